package journal

import (
	"bytes"
	"errors"
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
		if err != nil || sum != 29 || stats.Events != streamBurst+2 || stats.Corrupt != 0 {
			t.Errorf("read %d flaps, %+v, %v; want 29 flaps", sum, stats, err)
		}
	})
}

// TestFirstStart checks that the journal logs nothing if the storage directory does not exist yet.
func TestFirstStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := options(filepath.Join(t.TempDir(), "metrics"))
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		f := start(t, o)
		f.synced()
		f.stop()
		if log.Len() > 0 {
			t.Errorf("logged %q", &log)
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
		var troubles []error
		disk := &failingFS{FS: snapshot.OS, err: os.ErrPermission}
		o := options(t.TempDir())
		o.FS, o.Log = disk, slog.New(slog.NewTextHandler(&log, nil))
		o.Troubled = func(err error) { troubles = append(troubles, err) }
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
		if len(troubles) != 2 || !errors.Is(troubles[0], os.ErrPermission) || troubles[1] != nil {
			t.Errorf("troubles %v, want one and its end", troubles)
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

		var trouble atomic.Pointer[error]
		other := o
		other.Lock = &snapshot.DirLock{Path: o.Dir}
		other.Troubled = func(err error) { trouble.Store(&err) }
		second := start(t, other)
		second.Add(Event{Kind: Reload, Reason: "refused"})
		time.Sleep(5 * time.Second)
		if got := *trouble.Load(); !errors.Is(got, snapshot.ErrLocked) {
			t.Errorf("trouble %v, want that directory is locked by another process", got)
		}
		for range 3 {
			first.Add(Event{Kind: Reload, Reason: "first"})
			time.Sleep(time.Minute)
		}
		first.stop()
		o.Lock.Release()
		time.Sleep(2 * time.Minute)
		if got := *trouble.Load(); got != nil {
			t.Errorf("trouble %v after the other one has ended", got)
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

// countingFS counts the writes.
type countingFS struct {
	snapshot.FS
	writes atomic.Int64
}

func (c *countingFS) Open(path string, flags int, mode os.FileMode) (snapshot.Handle, error) {
	if flags&os.O_APPEND != 0 {
		c.writes.Add(1)
	}
	return c.FS.Open(path, flags, mode)
}

// TestWritesSpread checks that a single event is on the disk after a second, and that an hour of
// events, one each second, leads to one write each ten seconds.
func TestWritesSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &countingFS{FS: snapshot.OS}
		o := options(t.TempDir())
		o.FS = disk
		f := start(t, o)
		defer f.stop()
		f.synced()
		time.Sleep(time.Hour)
		f.port("Ethernet0", up(1, 0))
		time.Sleep(flushMin + 2*GatherFor)
		synctest.Wait()
		if n := disk.writes.Load(); n != 1 {
			t.Errorf("the file was opened %d times after a second, want once", n)
		}
		before := disk.writes.Load()
		for i := range 3600 {
			f.port(fmt.Sprintf("Ethernet%d", i), up(1, 0))
			time.Sleep(time.Second)
		}
		if n := disk.writes.Load() - before; n < 300 || n > 400 {
			t.Errorf("%d writes in an hour, want about 360", n)
		}
	})
}

// TestPendingIsBounded checks that a disk that fails for long does not let the pending events grow
// without limit.
func TestPendingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &failingFS{FS: snapshot.OS, err: os.ErrPermission}
		o := options(t.TempDir())
		o.FS = disk
		f := start(t, o)
		for range 4 * maxPending / maxReason {
			f.Add(Event{Kind: Reload, Reason: strings.Repeat("x", maxReason)})
			time.Sleep(streamRefill)
		}
		synctest.Wait()
		if n := len(f.store.pending); n > maxPending+maxLine {
			t.Errorf("%d bytes are pending, want at most %d", n, maxPending+maxLine)
		}
		f.stop()
	})
}

// TestRetention checks that earlier files are removed when all their events are older than the
// retention time.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		o.Retention = 24 * time.Hour
		o.Now = time.Now
		f := start(t, o)
		for range 7 * 24 {
			f.Add(Event{Kind: Reload})
			time.Sleep(time.Hour)
			// The modification times are those of the real clock, which is ahead.
			names, _ := filepath.Glob(filepath.Join(o.Dir, "events*.jsonl"))
			for _, name := range names {
				if info, err := os.Stat(name); err == nil && info.ModTime().After(time.Now()) {
					os.Chtimes(name, time.Time{}, time.Now())
				}
			}
		}
		f.stop()
		oldest := time.Time{}
		Read(o.Dir, &Filter{Limit: MaxLimit}, func(e *Event) error {
			if oldest.IsZero() {
				oldest = e.Time
			}
			return nil
		})
		if age := time.Since(oldest); age < 23*time.Hour || age > 29*time.Hour {
			t.Errorf("the oldest event is %v old, want 24h to 28h", age)
		}
	})
}
