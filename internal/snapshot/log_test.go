package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readAll returns all lines of a log, joined.
func readAll(t *testing.T, l *Log, since time.Time) (lines string, stats ReadStats) {
	t.Helper()
	stats, err := l.Read(since, func(line []byte) error {
		lines += string(line) + " "
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(lines), stats
}

// TestLog checks appended lines, rotation and reading from a time on.
func TestLog(t *testing.T) {
	dir := t.TempDir()
	now := noon()
	l := &Log{Path: filepath.Join(dir, "history.jsonl"), Keep: Limits{Count: 2}, MaxFileSize: 24, Now: func() time.Time { return now }}
	if got, stats := readAll(t, l, time.Time{}); got != "" || stats != (ReadStats{}) {
		t.Errorf("nothing there: read %s, %+v", got, stats)
	}
	for n := 1; n <= 11; n++ { // three lines of 8 bytes fit
		must(t, l.Append(line(n)))
		now = now.Add(time.Hour)
	}
	wantNames(t, dir,
		"history-000002-20261005T180000Z.jsonl", // 4 to 6
		"history-000003-20261005T210000Z.jsonl", // 7 to 9
		"history.jsonl")
	got, stats := readAll(t, l, time.Time{})
	if got != `{"n":4} {"n":5} {"n":6} {"n":7} {"n":8} {"n":9} {"n":10} {"n":11}` || stats != (ReadStats{Files: 3, Lines: 8}) {
		t.Errorf("read %s, %+v", got, stats)
	}
	// A file is left out if neither its name nor its time is recent enough.
	first := filepath.Join(dir, "history-000002-20261005T180000Z.jsonl")
	must(t, os.Chtimes(first, time.Time{}, noon()))
	if got, _ := readAll(t, l, noon().Add(7*time.Hour)); !strings.HasPrefix(got, `{"n":7}`) {
		t.Errorf("since 19:00: read %s", got)
	}
	if got, _ := readAll(t, l, noon().Add(5*time.Hour)); !strings.HasPrefix(got, `{"n":4}`) {
		t.Errorf("since 17:00: read %s", got)
	}
	enough := errors.New("enough")
	calls := 0
	if _, err := l.Read(time.Time{}, func([]byte) error { calls++; return enough }); err != enough || calls != 1 {
		t.Errorf("read: %v after %d calls; want the caller's error after one", err, calls)
	}
}

// TestAppendRefuses checks the errors for invalid lines.
func TestAppendRefuses(t *testing.T) {
	dir := t.TempDir()
	l := &Log{Path: filepath.Join(dir, "history.jsonl"), MaxLine: 20}
	for _, bad := range []string{"", "{", "{}\n", "\n{}", "{\n}", "{} {}", `"` + strings.Repeat("x", 19) + `"`} {
		if err := l.Append([]byte(bad)); err == nil {
			t.Errorf("append %q: %v; want an error, and no trouble of the disk", bad, err)
		}
	}
	wantNames(t, dir)
	if err := l.Append([]byte(`"` + strings.Repeat("x", 18) + `"`)); err != nil {
		t.Error(err)
	}
}

// TestAppendKeepsLine checks that Append does not change the slice of the caller.
func TestAppendKeepsLine(t *testing.T) {
	l := &Log{Path: filepath.Join(t.TempDir(), "history.jsonl")}
	buffer := []byte(`{}---`)
	must(t, l.Append(buffer[:2]))
	if string(buffer) != `{}---` {
		t.Errorf("buffer is %q", buffer)
	}
}

// TestFailedSync checks that a file is not used after a failed fsync, and that files with lines are
// kept.
func TestFailedSync(t *testing.T) {
	dir := t.TempDir()
	l := &Log{Path: filepath.Join(dir, "history.jsonl"), Keep: Limits{Count: 1}, Now: noon}
	must(t, l.Append(line(1)))
	for _, calls := range []string{"lstat open fstat pread write fsync", "lstat open fchmod write fsync", "lstat open fchmod write fsync"} {
		c := &cutter{FS: OS, at: strings.Count(calls, " ") + 1, fault: syscall.EIO}
		l.FS = c
		if err := l.Append(line(2)); !errors.Is(err, syscall.EIO) || !strings.HasPrefix(strings.Join(c.log, " "), calls) {
			t.Fatalf("append: %v after %q", err, c.log)
		}
		wantNames(t, dir, "history-000001-"+noonStamp+".jsonl")
	}
	l.FS = nil
	must(t, l.Append(line(3)))
	if got, _ := readAll(t, l, time.Time{}); got != `{"n":1} {"n":2} {"n":3}` {
		t.Errorf("read %s", got)
	}
}

// TestTornLine truncates a log to each length, and checks that complete lines are read and that the
// next append removes the rest.
func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	l := &Log{Path: filepath.Join(dir, "history.jsonl"), MaxLine: 50}
	whole := `{"n":1}` + "\n" + `{"a":"longer than that"}` + "\n" + `{"n":3}` + "\n"
	for n := range len(whole) + 1 {
		for _, garbage := range []string{"", strings.Repeat("\x00", 20)} {
			text := whole[:n] + garbage
			must(t, os.WriteFile(l.Path, []byte(text), 0o600))
			kept := text[:strings.LastIndexByte(text, '\n')+1]
			want := strings.TrimSpace(strings.ReplaceAll(kept, "\n", " "))
			got, stats := readAll(t, l, time.Time{})
			if got != want || stats.Bad > 0 || stats.Torn != (kept != text) {
				t.Fatalf("of %q read %s, %+v; want %s", text, got, stats, want)
			}
			must(t, l.Append(line(9)))
			if now, err := os.ReadFile(l.Path); string(now) != kept+`{"n":9}`+"\n" || err != nil {
				t.Fatalf("%q became %q, %v", text, now, err)
			}
		}
	}
	wantNames(t, dir, "history.jsonl") // nothing was set aside
}

// TestBadLines checks that invalid lines are skipped up to a limit, and that the first is named.
func TestBadLines(t *testing.T) {
	l := &Log{Path: filepath.Join(t.TempDir(), "history.jsonl"), MaxLine: 100}
	// first is the number of the first skipped line, 0 if there is none.
	f := func(text, want string, stats ReadStats, first int) {
		t.Helper()
		at := fmt.Sprintf("%s:%d", l.Path, first)
		switch {
		case stats.Bad > 0:
			stats.FirstBad = at
		case stats.Torn:
			stats.FirstTorn = at
		}
		must(t, os.WriteFile(l.Path, []byte(text), 0o600))
		stats.Files = 1
		if got, is := readAll(t, l, time.Time{}); got != want || is != stats {
			t.Errorf("of %.80q read %s, %+v; want %s, %+v", text, got, is, want, stats)
		}
	}
	long := strings.Repeat("x", 1000)
	f("{}\nnonsense\n\n{}\n", "{} {}", ReadStats{Lines: 2, Bad: 2}, 2)
	f("{}\n"+long+"\n{}\n", "{} {}", ReadStats{Lines: 2, Bad: 1}, 2)
	f("{}\n"+long, "{}", ReadStats{Lines: 1, Torn: true}, 2)
	f(`"`+long[:98]+`"`+"\n", `"`+long[:98]+`"`, ReadStats{Lines: 1}, 0)
	f(`"`+long[:99]+`"`+"\n", "", ReadStats{Bad: 1}, 1)
	f(`"`+long[:100]+`"`+"\n", "", ReadStats{Bad: 1}, 1)
	f(`"`+long[:200]+`"`+"\n", "", ReadStats{Bad: 1}, 1)
	f(strings.Repeat("\x00", 4096)+"{}\n{}\n", "{}", ReadStats{Lines: 1, Bad: 1}, 1)

	for _, garbage := range []string{"\n", "\x00", "x\n", long + "\n"} {
		text := "{}\n" + strings.Repeat(garbage, maxGarbage/len(garbage)+2) + "\n{}\n"
		must(t, os.WriteFile(l.Path, []byte(text), 0o600))
		lines := 0
		if stats, err := l.Read(time.Time{}, func([]byte) error { lines++; return nil }); !errors.Is(err, ErrCorrupt) || lines != 1 {
			t.Errorf("1 MiB of %.5q: %d lines, %+v, %v; want one and ErrCorrupt", garbage, lines, stats, err)
		}
	}
}

// at returns the time of a line in these tests.
func at(line []byte) (time.Time, bool) {
	var sample struct{ At time.Time }
	err := json.Unmarshal(line, &sample)
	return sample.At, err == nil
}

// TestSpan checks rotation by day and retention by age with a clock that jumps.
func TestSpan(t *testing.T) {
	dir := t.TempDir()
	now := noon()
	l := &Log{
		Path: filepath.Join(dir, "history.jsonl"), MaxSpan: 24 * time.Hour, At: at,
		Keep: Limits{Count: 1000, Age: 10 * 24 * time.Hour, Spare: 2},
		Now:  func() time.Time { return now },
		FS:   quick(),
	}
	hours := func(n int) {
		t.Helper()
		for range n {
			must(t, l.Append(fmt.Appendf(nil, `{"at":%q}`, now.Format(time.RFC3339))))
			if _, err := os.Stat(l.Path); err == nil {
				must(t, os.Chtimes(l.Path, time.Time{}, now))
			}
			if _, err := l.Prune(); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Hour)
		}
	}
	wantLines := func(from, to int, when string) {
		t.Helper()
		_, stats := readAll(t, l, time.Time{})
		if stats.Lines < from || stats.Lines > to || stats.Bad > 0 {
			t.Errorf("%s: %+v, want %d to %d lines", when, stats, from, to)
		}
	}
	hours(30 * 24)
	wantLines(10*24, 12*24, "after 30 days of hourly samples, 10 kept")

	right := now
	now = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	hours(5)
	wantLines(10*24, 12*24+5, "in 1970")
	now = right
	hours(24)
	wantLines(10*24, 12*24+5, "a day after 1970")

	now = right.AddDate(24, 0, 0)
	hours(5)
	_, stats := readAll(t, l, time.Time{})
	if stats.Files != 3 || stats.Lines < 24 {
		t.Errorf("24 years ahead: %+v; want the present file and the two spared", stats)
	}
	now = right.Add(24 * time.Hour)
	hours(20 * 24)
	wantLines(9*24, 15*24, "20 days after that")
	names := dirNames(t, dir)
	if !slices.IsSorted(names[:len(names)-1]) || len(names) > 15 {
		t.Errorf("names: %q", names)
	}
}

// TestReadWhileRotated checks that Read returns each line once if the file is rotated while it
// reads.
func TestReadWhileRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	fillLog(t, path, quick(), "")
	reading := history(path, &onList{OS, func() {
		l := history(path, quick())
		must(t, l.rotate())
		must(t, l.Append(line(5)))
	}})
	got, _ := readAll(t, reading, time.Time{})
	if got != `{"n":1} {"n":2} {"n":3} {"n":4}` {
		t.Errorf("read %s", got)
	}
}

// onList calls a function before the directory is read.
type onList struct {
	FS
	do func()
}

func (o *onList) List(dir string, each func(name string)) error {
	o.do()
	return o.FS.List(dir, each)
}

// TestLast checks the last complete line, with and without an incomplete one after it.
func TestLast(t *testing.T) {
	long := strings.Repeat("x", 18)
	for _, c := range []struct{ text, want string }{
		{"", ""}, {"\n", ""}, {"1", ""}, {"1\n", "1"}, {"1\n2\n", "2"}, {"1\n2\n3", "2"}, {"1\n\n", ""},
		{"1\n" + long + "\n" + long, long},
		{strings.Repeat("0\n", 100) + long + "\n" + long, long},
		{strings.Repeat("0\n", 100) + strings.Repeat(long, 10), ""}, // no log
		{strings.Repeat(long, 10) + "\n", ""},                       // likewise
	} {
		l := &Log{Path: filepath.Join(t.TempDir(), "history.jsonl"), MaxLine: len(long)}
		must(t, os.WriteFile(l.Path, []byte(c.text), 0o640))
		if got, err := l.Last(); string(got) != c.want || err != nil {
			t.Errorf("of %q: %q, %v; want %q", c.text, got, err, c.want)
		}
	}
	l := &Log{Path: filepath.Join(t.TempDir(), "history.jsonl")}
	if got, err := l.Last(); got != nil || err != nil {
		t.Errorf("without a file: %q, %v", got, err)
	}
	must(t, os.Mkdir(l.Path, 0o750))
	if got, err := l.Last(); got != nil || err == nil {
		t.Errorf("of a directory: %q, %v", got, err)
	}
}
