package journal

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/snapshot"
)

// TestStopWritesAll checks that the end of Run writes what is pending, merged events included.
func TestStopWritesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		f := start(t, o)
		f.synced()
		for i := range uint32(30) {
			f.port("Ethernet0", up(i+1, i))
		}
		f.Add(Event{Kind: Stop, Reason: "terminated"})
		f.stop()
		var events []Event
		stats, err := Read(o.Dir, &Filter{}, func(e *Event) error { events = append(events, *e); return nil })
		sum := uint64(0)
		for _, e := range events {
			sum += e.Flaps
		}
		if err != nil || sum != 29 || stats.Events != streamBurst+2 || stats.Damaged != 0 {
			t.Errorf("read %d flaps, %+v, %v; want 29 flaps", sum, stats, err)
		}
	})
}

// failingFS fails all writes while err is set.
type failingFS struct {
	snapshot.FS
	mu  sync.Mutex
	err error
}

func (f *failingFS) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failingFS) Open(path string, flags int, mode os.FileMode) (snapshot.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil && flags&os.O_APPEND != 0 {
		return nil, &os.PathError{Op: "open", Path: path, Err: f.err}
	}
	return f.FS.Open(path, flags, mode)
}

// TestDiskFails checks that events wait while the disk fails, that the fault is logged and reported
// once, and that all events are written afterwards.
func TestDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var troubles []string
		disk := &failingFS{FS: snapshot.OS, err: os.ErrPermission}
		o := options(t.TempDir())
		o.FS, o.Log = disk, slog.New(slog.NewTextHandler(&log, nil))
		o.Troubled = func(s string) { troubles = append(troubles, s) }
		f := start(t, o)
		for range 5 {
			f.Add(Event{Kind: Reload})
			time.Sleep(2 * time.Minute)
		}
		if got := f.texts(Filter{}); strings.Count(got, "\n") != 5 {
			t.Errorf("memory has %q, want 5 events", got)
		}
		disk.set(nil)
		time.Sleep(2 * time.Minute)
		f.stop()
		n := 0
		if _, err := Read(o.Dir, &Filter{}, func(*Event) error { n++; return nil }); err != nil || n != 5 {
			t.Errorf("%d events in the file, %v; want 5", n, err)
		}
		if len(troubles) != 2 || !strings.Contains(troubles[0], "permission denied") || troubles[1] != "" {
			t.Errorf("troubles %q, want one and its end", troubles)
		}
		if got := strings.Count(log.String(), "cannot write events"); got != 1 {
			t.Errorf("the fault is logged %d times, want once:\n%s", got, log.String())
		}
	})
}

// TestSecondDaemon checks that a journal writes nothing into a directory that another one has
// locked, says so, and writes when the other one has ended, with numbers after those of the other.
func TestSecondDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		o.Lock = &snapshot.DirLock{Path: o.Dir}
		first := start(t, o)
		first.Add(Event{Kind: Reload, Reason: "first"})
		time.Sleep(5 * time.Second)

		var trouble atomic.Value
		other := o
		other.Lock = &snapshot.DirLock{Path: o.Dir}
		other.Troubled = func(s string) { trouble.Store(s) }
		second := start(t, other)
		second.Add(Event{Kind: Reload, Reason: "refused"})
		time.Sleep(5 * time.Second)
		if got := trouble.Load().(string); !strings.Contains(got, "another process uses the directory") {
			t.Errorf("trouble %q, want that another process uses the directory", got)
		}
		for range 3 {
			first.Add(Event{Kind: Reload, Reason: "first"})
			time.Sleep(time.Minute)
		}
		first.stop()
		o.Lock.Release()
		time.Sleep(2 * time.Minute)
		if got := trouble.Load().(string); got != "" {
			t.Errorf("trouble %q after the other one has ended", got)
		}
		second.Add(Event{Kind: Reload, Reason: "second"})
		second.stop()
		var got []string
		Read(o.Dir, &Filter{}, func(e *Event) error { got = append(got, fmt.Sprint(e.Seq, e.Reason)); return nil })
		if s := strings.Join(got, " "); s != "1first 2first 3first 4first 5second" {
			t.Errorf("the file has %s", s)
		}
		other.Lock.Release()
	})
}

// TestRotation checks that files are rotated by size and that the earlier ones have no more bytes
// together than one file may have.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		o.MaxFileSize = 4 << 10
		f := start(t, o)
		for range 500 {
			f.Add(Event{Kind: Reload, Reason: strings.Repeat("x", 100)})
			time.Sleep(time.Minute)
		}
		f.stop()
		names, err := filepath.Glob(filepath.Join(o.Dir, "events-*.jsonl"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no earlier file, %v", err)
		}
		sum := int64(0)
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			sum += info.Size()
		}
		if sum > o.MaxFileSize {
			t.Errorf("earlier files have %d bytes, want at most %d", sum, o.MaxFileSize)
		}
	})
}
