package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// FuzzLoad loads any text, with and without a valid checksum and with a good backup, and checks
// that Load returns one of the two or ErrNewerSchema.
func FuzzLoad(f *testing.F) {
	e := envelope{Schema: 1, Writer: "w", BootID: "b", SavedAt: noon(), Body: body(2)}
	good, err := e.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0}, 4096))
	f.Add(bytes.Replace(good, []byte(`"schema":1`), []byte(`"schema":2`), 1))
	f.Add(bytes.Replace(good, []byte(`"schema":1`), []byte(`"schema":-1`), 1))
	f.Add(bytes.Replace(good, []byte(`"body":{`), []byte(`"body":[{`), 1))
	f.Add(bytes.Replace(good, []byte(`"body":`), []byte(`"Body":`), 1))
	f.Add(bytes.Replace(good, []byte(`2026-10`), []byte(`2026-13`), 1))

	f.Fuzz(func(t *testing.T, text []byte) {
		for _, text := range [][]byte{text, reseal(text)} {
			disk := newMemFS()
			file := saver("/state.json", disk)
			mustSave(t, file, 1)
			mustSave(t, file, 2)
			disk.names[file.Path] = &inode{data: text}

			got, err := file.Load()
			if err != nil {
				t.Fatalf("with a good backup: %v", err)
			}
			if !json.Valid(got.Body) {
				t.Fatalf("loaded %q, which is not JSON", got.Body)
			}
			if got.Recovered {
				p := got.Problems[0]
				if string(got.Body) != string(body(1)) || len(got.Problems) != 1 || p.Aside == "" ||
					errors.Is(p.Err, ErrCorrupt) == errors.Is(p.Err, ErrNewerSchema) {
					t.Fatalf("recovered %q, %+v", got.Body, got.Problems)
				}
				if !bytes.Equal(disk.names[p.Aside].data, text) {
					t.Fatalf("set aside other bytes than were there")
				}
				continue
			}
			if got.Schema != 1 || !bytes.Contains(text, got.Body) || !bytes.Equal(reseal(text), text) {
				t.Fatalf("loaded %q of schema %d from %q", got.Body, got.Schema, text)
			}
			// Saving the loaded body results in the same body.
			if err := file.Save(got.Body); err != nil {
				t.Fatal(err)
			}
			if again, err := file.Load(); err != nil || !bytes.Equal(again.Body, got.Body) {
				t.Fatalf("saved %q and loaded %q, %v", got.Body, again.Body, err)
			}
		}
	})
}

// FuzzLog reads and repairs a log with any content.
func FuzzLog(f *testing.F) {
	f.Add([]byte("{}\n{}\n"))
	f.Add([]byte("{}\n{\"n\":"))
	f.Add([]byte("{}\n\x00\x00\x00"))
	f.Add([]byte("\n\n"))
	f.Add([]byte{})
	f.Add(append(bytes.Repeat([]byte{'x'}, 200), "\n{}\n"...))
	f.Fuzz(func(t *testing.T, text []byte) {
		disk := newMemFS()
		l := &Log{Path: "/history.jsonl", MaxLine: 64, FS: disk, Now: noon}
		disk.names[l.Path] = &inode{data: bytes.Clone(text)}
		want := [][]byte{}
		lines := bytes.Split(text, []byte("\n"))
		for _, line := range lines[:len(lines)-1] {
			if len(line) <= l.MaxLine && json.Valid(line) {
				want = append(want, line)
			}
		}
		check := func(want [][]byte) {
			t.Helper()
			var got [][]byte
			_, err := l.Read(time.Time{}, func(line []byte) error {
				got = append(got, bytes.Clone(line))
				return nil
			})
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			if err == nil && !bytes.Equal(bytes.Join(got, []byte("\n")), bytes.Join(want, []byte("\n"))) {
				t.Fatalf("of %q read %q, want %q", text, got, want)
			}
		}
		check(want)
		if err := l.Append(line(9)); err != nil {
			t.Fatal(err)
		}
		if aside := disk.names["/history.jsonl.corrupt-000001-"+noonStamp]; aside != nil {
			if !bytes.Equal(aside.data, text) {
				t.Fatal("set aside other bytes than were there")
			}
			want = nil
		}
		check(append(want, line(9)))
	})
}
