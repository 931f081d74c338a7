package snapshot

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// longLine returns a line of JSON of n bytes, without a line break.
func longLine(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }

// TestRotateAtSize checks that a file has as many lines as fit, and that a longer line gets its own
// file.
func TestRotateAtSize(t *testing.T) {
	for limit := int64(4); limit <= 33; limit++ {
		dir := t.TempDir()
		l := &Log{Path: filepath.Join(dir, "history.jsonl"), Keep: Limits{Count: 10}, MaxFileSize: limit, Now: noon}
		const lines = 8
		for n := 1; n <= lines; n++ { // of 8 bytes
			must(t, l.Append(line(n)))
		}
		fit := max(int(limit)/8, 1)
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		must(t, err)
		if want := (lines + fit - 1) / fit; len(files) != want {
			t.Errorf("limit %d: %d files, want %d", limit, len(files), want)
		}
		for _, name := range files {
			if info, err := os.Stat(name); err != nil || info.Size() == 0 || info.Size() > int64(8*fit) {
				t.Errorf("limit %d: %s has %d bytes, %v", limit, filepath.Base(name), info.Size(), err)
			}
		}
	}
}

// TestRotateAtAge: a file ends when its first line, however long, is older than
// MaxSpan; without MaxSpan it never does.
func TestRotateAtAge(t *testing.T) {
	for _, c := range []struct {
		name      string
		span, age time.Duration
		files     int
	}{
		{"as old as allowed", time.Hour, time.Hour, 1},
		{"older", time.Hour, time.Hour + 1, 2},
		{"no limit", 0, time.Hour, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			now := noon()
			l := &Log{
				Path: filepath.Join(dir, "history.jsonl"), Keep: Limits{Count: 10}, MaxLine: 1000, MaxSpan: c.span,
				Now: func() time.Time { return now }, At: func([]byte) (time.Time, bool) { return noon(), true },
			}
			must(t, l.Append([]byte(longLine(l.MaxLine))))
			now = now.Add(c.age)
			must(t, l.Append(line(1)))
			if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != c.files {
				t.Errorf("files %q, want %d", files, c.files)
			}
		})
	}
}

// TestLongestLine checks a line of the maximum length, complete and without its line break, and a
// longer one.
func TestLongestLine(t *testing.T) {
	const most = 40
	whole := longLine(most)
	for _, c := range []struct{ name, content, want string }{
		{"whole", whole + "\n", whole + "\n{}\n"},
		{"without line break", whole, "{}\n"},
		{"behind an empty line", "\n" + whole, "\n{}\n"},
		{"too long", longLine(most + 1), "{}\n"}, // the old file is set aside
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			l := &Log{Path: filepath.Join(dir, "history.jsonl"), Keep: Limits{Count: 10}, MaxLine: most, Now: noon}
			must(t, os.WriteFile(l.Path, []byte(c.content), 0o600))
			must(t, l.Append([]byte("{}")))
			if got, err := os.ReadFile(l.Path); err != nil || string(got) != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			aside, _ := filepath.Glob(filepath.Join(dir, "*corrupt*"))
			if (len(aside) > 0) != (c.name == "too long") {
				t.Errorf("set aside: %q", aside)
			}
			_, stats := readAll(t, l, time.Time{})
			if c.name == "whole" && stats != (ReadStats{Files: 1, Lines: 2}) {
				t.Errorf("read %+v", stats)
			}
		})
	}
}

// TestLargestFile checks a file of the maximum size, and a larger one.
func TestLargestFile(t *testing.T) {
	f := &File{Path: filepath.Join(t.TempDir(), "state.json"), Schema: 1, Now: noon}
	must(t, f.Save([]byte("{}")))
	info, err := os.Stat(f.Path)
	must(t, err)
	f.MaxSize = 1000
	body := []byte(longLine(int(f.MaxSize-info.Size()) + len("{}")))
	must(t, f.Save(body))
	got, err := f.Load()
	if err != nil || !bytes.Equal(got.Body, body) || got.Recovered {
		t.Errorf("loaded %d bytes, %v", len(got.Body), err)
	}
	if err := f.Save(append(body[:len(body)-1], `x"`...)); err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("one byte more: %v", err)
	}
}

// TestLoadErrors checks that the error lists the files that were tried, and the number of further
// ones.
func TestLoadErrors(t *testing.T) {
	problems := []Problem{{Path: "/d/a", Err: ErrCorrupt}, {Path: "/d/b", Err: fs.ErrNotExist}}
	for tried, want := range map[int]string{
		2: "no good snapshot; a: corrupt",
		3: "no good snapshot; a: corrupt; and 1 more errors",
		9: "no good snapshot; a: corrupt; and 7 more errors",
	} {
		if err := loadError(&Loaded{Tried: tried, Problems: problems}); err.Error() != strings.Replace(want, "no good snapshot", ErrNoGood.Error(), 1) {
			t.Errorf("%d tried: %q, want %q", tried, err, want)
		}
	}
	if err := loadError(&Loaded{Tried: 1, Problems: problems[1:]}); err != fs.ErrNotExist {
		t.Errorf("no file at all: %v", err)
	}
}
