package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// lines returns the lines numbered from first to last, each with its line break.
func lines(first, last int) []byte {
	var b []byte
	for n := first; n <= last; n++ {
		b = append(append(b, line(n)...), '\n')
	}
	return b
}

// TestAppendLines checks that a group of lines is appended behind others, removes an incomplete
// line before it, and goes to a new file as a whole when it does not fit.
func TestAppendLines(t *testing.T) {
	dir := t.TempDir()
	l := &Log{Path: filepath.Join(dir, "events.jsonl"), Keep: Limits{Count: 9}, MaxFileSize: 40, Now: noon}
	must(t, l.AppendLines(lines(1, 2)))
	file, err := os.OpenFile(l.Path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	file.WriteString(`{"n":`)
	must(t, file.Close())
	must(t, l.AppendLines(lines(3, 4)))
	must(t, l.AppendLines(lines(5, 6)))
	wantNames(t, dir, "events-000001-"+noonStamp+".jsonl", "events.jsonl")
	if got, _ := os.ReadFile(l.Path); string(got) != string(lines(5, 6)) {
		t.Errorf("the new file has %q, want the last group", got)
	}
	got, stats := readAll(t, l, noon().AddDate(-1, 0, 0))
	if got != `{"n":1} {"n":2} {"n":3} {"n":4} {"n":5} {"n":6}` || stats.Torn || stats.Bad != 0 {
		t.Errorf("read %s, %+v", got, stats)
	}
	for _, bad := range []string{"", "{}", strings.Repeat("x", defaultMaxLine+1) + "\n"} {
		if err := l.AppendLines([]byte(bad)); err == nil {
			t.Errorf("AppendLines accepts %.20q", bad)
		}
	}
}

// TestAppendLinesDiskFull checks that nothing of a group remains in the file after a write that
// failed in the middle, so that writing all of it again repeats no line.
func TestAppendLinesDiskFull(t *testing.T) {
	l := &Log{Path: filepath.Join(t.TempDir(), "events.jsonl")}
	must(t, l.AppendLines(lines(1, 2)))
	full := *l
	full.FS = shortWrites{OS}
	if err := full.AppendLines(lines(3, 6)); err == nil {
		t.Fatal("no error from a full disk")
	}
	must(t, l.AppendLines(lines(3, 6)))
	if got, _ := os.ReadFile(l.Path); string(got) != string(lines(1, 6)) {
		t.Errorf("the file has %q, want each line once", got)
	}
}

// shortWrites is a file system on which a write writes 12 bytes and fails.
type shortWrites struct{ FS }

type shortHandle struct{ Handle }

func (s shortWrites) Open(path string, flags int, mode os.FileMode) (Handle, error) {
	h, err := s.FS.Open(path, flags, mode)
	if err != nil {
		return nil, err
	}
	return shortHandle{h}, nil
}

func (h shortHandle) Write(b []byte) (int, error) {
	n, err := h.Handle.Write(b[:min(len(b), 12)])
	if err == nil {
		err = syscall.ENOSPC
	}
	return n, err
}

// TestTail checks that the end of a log is read over several files, in order, from the beginning of
// a line, and that corrupt and incomplete lines are counted.
func TestTail(t *testing.T) {
	l := &Log{Path: filepath.Join(t.TempDir(), "events.jsonl"), Keep: Limits{Count: 9}, MaxFileSize: 24, Now: noon}
	tail := func(size int64) (string, ReadStats) {
		t.Helper()
		var got []string
		stats, err := l.Tail(size, func(line []byte) bool {
			got = append(got, string(line))
			return line[0] == '{'
		})
		must(t, err)
		return strings.Join(got, " "), stats
	}
	if got, stats := tail(100); got != "" || stats != (ReadStats{}) {
		t.Errorf("a missing log has %q, %+v", got, stats)
	}
	for n := range 8 { // three in a file
		must(t, l.AppendLines(lines(n+1, n+1)))
	}
	for size, want := range map[int64]string{
		0: "", 8: `{"n":8}`, 16: `{"n":7} {"n":8}`, 20: `{"n":7} {"n":8}`, 33: `{"n":5} {"n":6} {"n":7} {"n":8}`,
		1000: `{"n":1} {"n":2} {"n":3} {"n":4} {"n":5} {"n":6} {"n":7} {"n":8}`,
	} {
		if got, stats := tail(size); got != want || stats.Lines != strings.Count(want, "{") {
			t.Errorf("the last %d bytes have %s, %+v; want %s", size, got, stats, want)
		}
	}
	file, err := os.OpenFile(l.Path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	fmt.Fprintf(file, "bad\n{\"n\":")
	must(t, file.Close())
	if got, stats := tail(20); got != "{\"n\":8} bad" || stats != (ReadStats{Files: 1, Lines: 1, Bad: 1, Torn: true}) {
		t.Errorf("a corrupt end has %s, %+v", got, stats)
	}
}

// TestAppendLinesMemory checks that AppendLines does not copy the lines.
func TestAppendLinesMemory(t *testing.T) {
	l := Log{Path: filepath.Join(t.TempDir(), "events.jsonl")}
	text := lines(1, 50_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, l.AppendLines(text))
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(len(text)/4) {
		t.Errorf("%d KiB allocated for %d KiB of lines", got>>10, len(text)>>10)
	}
}
