package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/snapshot"
)

// write appends events numbered from first to last, a minute apart, to the files of dir.
func write(t testing.TB, dir string, maxSize int64, first, last uint64) {
	t.Helper()
	log := snapshot.Log{Path: filepath.Join(dir, FileName), MaxFileSize: maxSize, Keep: snapshot.Limits{Count: 100}}
	for seq := first; seq <= last; seq++ {
		e := Event{Time: now.Add(time.Duration(seq) * time.Minute), Seq: seq, Kind: LinkUp, Port: fmt.Sprintf("Ethernet%d", 4*(seq%2))}
		if err := log.AppendLines(append(e.AppendJSON(nil), '\n')); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns the numbers of the events that a filter selects.
func read(t testing.TB, dir string, f Filter) (string, Stats) {
	t.Helper()
	var seqs []string
	stats, err := Read(dir, &f, func(e *Event) error {
		seqs = append(seqs, fmt.Sprint(e.Seq))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return strings.Join(seqs, " "), stats
}

// TestRead checks that all files are read in order, and the filter and the limit.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	if got, stats := read(t, dir, Filter{}); got != "" || stats.Files != 0 {
		t.Errorf("an empty directory has %q, %+v", got, stats)
	}
	write(t, dir, 300, 1, 9)
	for _, c := range []struct {
		f    Filter
		want string
	}{
		{Filter{}, "1 2 3 4 5 6 7 8 9"},
		{Filter{Limit: 4}, "6 7 8 9"},
		{Filter{Limit: 100}, "1 2 3 4 5 6 7 8 9"},
		{Filter{Since: now.Add(7 * time.Minute)}, "7 8 9"},
		{Filter{Since: now.Add(7*time.Minute + time.Nanosecond)}, "8 9"},
		{Filter{Until: now.Add(2 * time.Minute)}, "1 2"},
		{Filter{Ports: []string{"Ethernet4"}, Limit: 2}, "7 9"},
		{Filter{After: 8}, "9"},
	} {
		if got, _ := read(t, dir, c.f); got != c.want {
			t.Errorf("%+v: events %s, want %s", c.f, got, c.want)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "events-*.jsonl")); len(names) < 2 {
		t.Errorf("earlier files %q, want several", names)
	}
	enough := errors.New("enough")
	calls := 0
	if _, err := Read(dir, &Filter{}, func(*Event) error { calls++; return enough }); err != enough || calls != 1 {
		t.Errorf("error %v after %d calls, want that of the caller after one", err, calls)
	}
}

// TestReadDamaged checks that corrupt lines are skipped, counted and shown, and that an incomplete
// line at the end is removed by the next append.
func TestReadDamaged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	write(t, dir, 0, 1, 3)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines[1] = "\x00\x00\x00garbage\n"
	lines[2] = strings.Replace(lines[2], `"seq":3`, `"seq":x`, 1)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")+lines[0][:40]), 0o640); err != nil {
		t.Fatal(err)
	}
	got, stats := read(t, dir, Filter{})
	problems := strings.Join(stats.Problems, "; ")
	if got != "1" || stats.Corrupt != 2 || !strings.Contains(problems, path+`:2: "\x00\x00\x00garbage`) || !strings.Contains(problems, "incomplete last line: "+path+":4") {
		t.Errorf("events %s, %+v; want 1 and two corrupt lines", got, stats)
	}
	write(t, dir, 0, 4, 4)
	if got, stats := read(t, dir, Filter{}); got != "1 4" || stats.Corrupt != 2 || len(stats.Problems) != 1 {
		t.Errorf("after an append: events %s, %+v; want 1 4, no incomplete line", got, stats)
	}
}

// TestReadSkipsRepeats checks that events that were written twice are read once.
func TestReadSkipsRepeats(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, 0, 1, 4)
	write(t, dir, 0, 3, 6)
	if got, _ := read(t, dir, Filter{}); got != "1 2 3 4 5 6" {
		t.Errorf("events %s, want each once", got)
	}
}

// TestReadClockSetBack checks that events are selected by their times, and in the order in which
// they were recorded, when the clock was set back.
func TestReadClockSetBack(t *testing.T) {
	dir := t.TempDir()
	log := snapshot.Log{Path: filepath.Join(dir, FileName)}
	for seq, minute := range []int{10, 11, 1, 2, 12} {
		e := Event{Time: now.Add(time.Duration(minute) * time.Minute), Seq: uint64(seq + 1), Kind: Reload}
		if err := log.AppendLines(append(e.AppendJSON(nil), '\n')); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := read(t, dir, Filter{Since: now.Add(2 * time.Minute)}); got != "1 2 4 5" {
		t.Errorf("events %s, want 1 2 4 5", got)
	}
}

// TestReadWithoutDirectory checks that a directory that is missing or cannot be read is an error that
// names it.
func TestReadWithoutDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if _, err := Read(dir, &Filter{}, func(*Event) error { return nil }); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a missing directory: error %v, want one that names %q", err, dir)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir, &Filter{}, func(*Event) error { return nil }); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v, want one that names %q", err, dir)
	}
}
