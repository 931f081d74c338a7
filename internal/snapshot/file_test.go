package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dirNames returns the sorted names in a directory.
func dirNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := dirNames(t, dir); !slices.Equal(got, want) {
		t.Errorf("directory has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// noon is a constant clock.
func noon() time.Time { return time.Date(2026, 10, 5, 12, 0, 0, 123, time.UTC) }

const noonStamp = "20261005T120000Z"

// TestSaveLoad checks that Load returns what Save saved.
func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := saver(path, nil)
	f.Now = noon
	f.Writer, f.BootID = `port"syncd <1>`, "b"

	if _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoGood) {
		t.Errorf("load of nothing: %v", err)
	}
	const text = `{"b" : "<é>", "a":[1, 2.50] }` // to come back byte for byte
	if err := f.Save([]byte(" " + text + "\n")); err != nil {
		t.Fatal(err)
	}
	got, err := saver(path, nil).Load()
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Body) != text || !got.SavedAt.Equal(noon()) || got.Schema != 1 || got.BootID != "b" ||
		got.Writer != f.Writer || got.Source != path || got.Recovered || len(got.Problems) > 0 {
		t.Errorf("loaded %+v", got)
	}
}

// TestFormat checks the exact bytes of a file, because later versions must read it.
func TestFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := &File{Path: path, Schema: 3, Writer: "portsyncd 1.0.0", BootID: "1-2", Now: noon}
	if err := f.Save([]byte(`{"ports":[]}`)); err != nil {
		t.Fatal(err)
	}
	// The digest is that of sha256sum (coreutils 9.1) over the bytes from 77 on.
	const want = `{"sha256":"3b788a5c9af4105966cf3799fd01f5c54364203281f82eef6a768c70bc674c73","schema":3,` +
		`"writer":"portsyncd 1.0.0","boot_id":"1-2","saved_at":"2026-10-05T12:00:00.000000123Z","body":{"ports":[]}}` + "\n"
	if got, err := os.ReadFile(path); string(got) != want || err != nil {
		t.Errorf("file is\n%s%v\nwant\n%s", got, err, want)
	}
}

// TestSaveRefuses checks the errors for invalid bodies, schemas and sizes.
func TestSaveRefuses(t *testing.T) {
	f := func(want string, body string, change func(f *File)) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "state.json")
		f := saver(path, nil)
		mustSave(t, f, 1)
		change(f)
		err := f.Save([]byte(body))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("save %q: %v, want an error with %q", body, err, want)
		}
		wantNames(t, filepath.Dir(path), "state.json")
		checkEither(t, OS, path, 0, 1, true)
	}
	f("not valid JSON", ``, func(f *File) {})
	f("not valid JSON", `{"a":1`, func(f *File) {})
	f("not valid JSON", `1}{"sha256":2`, func(f *File) {})
	f("must be 1 or greater", `{}`, func(f *File) { f.Schema = 0 })
	f("file of 216 bytes is too large: must be at most 200 bytes", `"`+strings.Repeat("x", 40)+`"`, func(f *File) { f.MaxSize, f.Now = 200, noon })
}

// TestMode checks the mode of files with different umasks.
func TestMode(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, mode := range []fs.FileMode{0, 0o600, 0o644} {
		dir := t.TempDir()
		f := saver(filepath.Join(dir, "state.json"), nil)
		f.Mode = mode
		mustSave(t, f, 1)
		export := filepath.Join(dir, "export")
		if err := WriteFile(export, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		l := &Log{Path: filepath.Join(dir, "history.jsonl"), Mode: mode}
		if err := l.Append(line(1)); err != nil {
			t.Fatal(err)
		}
		want := mode
		if mode == 0 {
			want = 0o640
		}
		for path, want := range map[string]fs.FileMode{f.Path: want, l.Path: want, export: 0o644} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: mode %v, %v; want %v", path, info.Mode(), err, want)
			}
		}
	}
}

// TestBackups checks which backups are kept.
func TestBackups(t *testing.T) {
	dir := t.TempDir()
	f := saver(filepath.Join(dir, "state.json"), nil)
	for n := 1; n <= 5; n++ {
		mustSave(t, f, n)
	}
	wantNames(t, dir, "state.json", "state.json.backup-000003", "state.json.backup-000004")

	// From the newest to the oldest, each corrupt when it was found.
	for i, want := range []int{5, 4, 3} {
		got, err := f.Load()
		if err != nil || string(got.Body) != string(body(want)) || got.Recovered != (i > 0) {
			t.Fatalf("loaded %s (recovered: %t), %v; want body %d", got.Body, got.Recovered, err, want)
		}
		damage(t, got.Source, []byte("{}"))
	}
	got, err := f.Load()
	if !errors.Is(err, ErrNoGood) || !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewerSchema) || got.Body != nil {
		t.Errorf("nothing good: %+v, %v", got, err)
	}
	// All files were set aside, so none is left.
	if _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoGood) {
		t.Errorf("after that: %v", err)
	}
	// Neither is only a bad backup like nothing at all.
	must(t, os.WriteFile(f.Path+".backup-000001", nil, 0o600))
	if _, err := f.Load(); !errors.Is(err, ErrNoGood) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a bad backup: %v", err)
	}
	// What was set aside is bounded too.
	mustSave(t, f, 6)
	if found, err := scan(OS, f.Path); err != nil || len(found.of(corrupt)) != 2 {
		t.Errorf("%d corrupt files remain, %v; want 2", len(found.of(corrupt)), err)
	}
}

// damage replaces a file without changing its hard links.
func damage(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestProblems checks the reported problems, and which files are set aside.
func TestProblems(t *testing.T) {
	dir := t.TempDir()
	f := saver(filepath.Join(dir, "state.json"), nil)
	f.Now, f.Keep.Count = noon, 4
	for n := 1; n <= 4; n++ {
		mustSave(t, f, n)
	}
	later := saver(filepath.Join(dir, "later.json"), nil)
	later.Schema = 2
	mustSave(t, later, 9)
	text, err := os.ReadFile(later.Path)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(later.Path)
	damage(t, f.Path, text)
	damage(t, f.Path+".backup-000003", nil)
	f.Check = func(schema int, got []byte) error {
		if bytes.Equal(got, body(2)) {
			return errors.New("two is not a number")
		}
		return nil
	}

	var before []string
	for i, load := range []func() (Loaded, error){f.Peek, f.Load} {
		got, err := load()
		if err != nil || string(got.Body) != string(body(1)) || !got.Recovered || got.Source != f.Path+".backup-000001" {
			t.Fatalf("loaded %s from %s, %v", got.Body, got.Source, err)
		}
		var report []string
		for _, p := range got.Problems {
			report = append(report, fmt.Sprintf("%s: %v -> %s", filepath.Base(p.Path), p.Err, filepath.Base(p.Aside)))
		}
		want := []string{
			"state.json: newer schema 2: this program supports schemas up to 1 -> state.json.newer-000004-" + noonStamp,
			"state.json.backup-000003: corrupt: empty -> state.json.corrupt-000005-" + noonStamp,
			"state.json.backup-000002: corrupt: two is not a number -> state.json.corrupt-000006-" + noonStamp,
		}
		if i == 0 { // Peek
			for i := range want {
				want[i], _, _ = strings.Cut(want[i], "->")
				want[i] += "-> ."
			}
			before = dirNames(t, dir)
			wantNames(t, dir, "state.json", "state.json.backup-000001", "state.json.backup-000002", "state.json.backup-000003")
		}
		if !slices.Equal(report, want) {
			t.Errorf("problems\n%s\nwant\n%s", strings.Join(report, "\n"), strings.Join(want, "\n"))
		}
	}
	if slices.Equal(dirNames(t, dir), before) {
		t.Error("Load set nothing aside")
	}
	// The newer one is always kept, whatever the limits.
	f.Keep = Limits{}
	if removed, err := f.Prune(); len(removed) != 3 || err != nil {
		t.Errorf("prune: %q, %v; want the backup and two corrupt files", removed, err)
	}
	wantNames(t, dir, "state.json.newer-000004-"+noonStamp)
	if kept, err := os.ReadFile(filepath.Join(dir, "state.json.newer-000004-"+noonStamp)); err != nil || !bytes.Equal(kept, text) {
		t.Errorf("the newer file has changed: %v", err)
	}
}

func TestNewerSchema(t *testing.T) {
	f := saver(filepath.Join(t.TempDir(), "state.json"), nil)
	f.Schema = 2
	mustSave(t, f, 1)
	f.Schema = 1
	_, err := f.Load()
	if !errors.Is(err, ErrNewerSchema) || !errors.Is(err, ErrNoGood) || errors.Is(err, ErrCorrupt) {
		t.Errorf("load: %v", err)
	}
	mustSave(t, f, 2)
	// An older one is the caller's to convert.
	f.Schema = 3
	if got, err := f.Load(); err != nil || got.Schema != 1 || string(got.Body) != string(body(2)) {
		t.Errorf("loaded schema %d, %s, %v", got.Schema, got.Body, err)
	}
	// A newer header may have other types.
	text := []byte(digestStart + strings.Repeat("0", 64) + `","schema":4,"writer":{"name":"x"},"saved_at":1}`)
	damage(t, f.Path, reseal(text))
	if got, err := f.Load(); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("a newer header: %+v, %v", got, err)
	}
}

// TestSaveChanged checks when SaveChanged saves and when it does not.
func TestSaveChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := saver(path, nil)
	save := func(n int, want bool, why string) {
		t.Helper()
		if wrote, err := f.SaveChanged(body(n)); wrote != want || err != nil {
			t.Errorf("%s: wrote %t, %v; want %t", why, wrote, err, want)
		}
		checkEither(t, OS, path, 0, n, true)
	}
	save(1, true, "first")
	save(1, false, "unchanged")
	save(2, true, "changed")
	os.Remove(path)
	save(2, true, "removed by another process")
	os.Truncate(path, 10)
	save(2, true, "truncated by another process")
	f = saver(path, nil)
	save(2, true, "after a start")
	f.FS = &cutter{FS: OS, at: 10, fault: syscall.EIO}
	if wrote, err := f.SaveChanged(body(3)); wrote || !errors.Is(err, syscall.EIO) {
		t.Errorf("with a bad disk: wrote %t, %v", wrote, err)
	}
	f.FS = nil
	save(2, true, "after an error nothing is known")
	if err := f.SetAside(); err != nil {
		t.Fatal(err)
	}
	save(2, true, "after SetAside")
}

// TestStaleTemporary checks that Save and Load remove temporary files of an interrupted save, and
// Peek does not.
func TestStaleTemporary(t *testing.T) {
	f := func(name string, do func(f *File), want ...string) {
		t.Helper()
		dir := t.TempDir()
		file := saver(filepath.Join(dir, "state.json"), nil)
		mustSave(t, file, 1)
		must(t, os.WriteFile(file.Path+".tmp-7fffffffffffffff", nil, 0o600))
		do(file)
		if got := dirNames(t, dir); !slices.Equal(got, want) {
			t.Errorf("%s left %q, want %q", name, got, want)
		}
	}
	f("Save", func(f *File) { f.Save(body(2)) }, "state.json", "state.json.backup-000001")
	f("Load", func(f *File) { f.Load() }, "state.json")
	f("Peek", func(f *File) { f.Peek() }, "state.json", "state.json.tmp-7fffffffffffffff")
}

// TestSaveFailsRepeatedly checks that repeatedly failing saves do not remove good backups.
func TestSaveFailsRepeatedly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for n := 1; n <= 3; n++ {
		mustSave(t, saver(path, nil), n)
	}
	for range 5 {
		if err := saver(path, noRename{OS}).Save(body(9)); !errors.Is(err, syscall.EIO) {
			t.Fatalf("save: %v", err)
		}
	}
	mustSave(t, saver(path, nil), 4)
	for want := 4; want >= 2; want-- {
		got, err := saver(path, nil).Load()
		if err != nil || string(got.Body) != string(body(want)) {
			t.Fatalf("loaded %s, %v; want body %d", got.Body, err, want)
		}
		must(t, os.Remove(got.Source))
	}
}

type noRename struct{ FS }

func (noRename) Rename(from, to string) error { return syscall.EIO }

// TestUnreadable checks that a file with a read error is not treated as corrupt.
func TestUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	mustSave(t, saver(path, nil), 1)
	f := saver(path, &cutter{FS: OS, at: 5, fault: syscall.EIO}) // getdents lstat open fstat read
	got, err := f.Load()
	if !errors.Is(err, ErrNoGood) || !errors.Is(err, syscall.EIO) || errors.Is(err, ErrCorrupt) {
		t.Errorf("load: %v", err)
	}
	if len(got.Problems) != 1 || got.Problems[0].Aside != "" {
		t.Errorf("problems: %+v", got.Problems)
	}
	checkEither(t, OS, path, 0, 1, true)
}

// TestWriteFile checks content, mode and errors of WriteFile.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "portsyncd.prom")
	for _, name := range []string{"portsyncd.prom.tmp-0000000000000001", "portsyncd.prom.tmp-1", "other.prom"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"a 1\n", "a 2\n"} {
		if err := WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != text || err != nil {
			t.Errorf("file has %q, %v; want %q", got, err, text)
		}
	}
	wantNames(t, dir, "other.prom", "portsyncd.prom", "portsyncd.prom.tmp-1")

	eachCut(t, func(t *testing.T, c *cutter) {
		path := filepath.Join(t.TempDir(), "portsyncd.prom")
		if err := WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := writeFile(c, path, []byte("new"), 0o600)
		got, rerr := os.ReadFile(path)
		if string(got) != "new" && (string(got) != "old" || err == nil) {
			t.Errorf("write: %v; the file has %q, %v", err, got, rerr)
		}
	})
	if err := WriteFile(filepath.Join(dir, "missing", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
}
