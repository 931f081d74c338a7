package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// copier returns a File with copies that keeps two contents.
func copier(path string, fsys FS) *File {
	f := saver(path, fsys)
	f.Copies, f.Keep = 2, Limits{Count: 4, Spare: 2}
	return f
}

// TestCopies checks that damage to two files of the newest content loses nothing, and that damage
// to all three leaves the previous content.
func TestCopies(t *testing.T) {
	prepare := func(t *testing.T) (path string, newest []string) {
		path = filepath.Join(t.TempDir(), "state.json")
		f := copier(path, quick())
		for n := 1; n <= 3; n++ {
			mustSave(t, f, n)
		}
		backups := dirNames(t, filepath.Dir(path))[1:]
		if len(backups) != 4 {
			t.Fatalf("backups %q, want two contents with a copy each", backups)
		}
		for _, name := range backups[2:] {
			newest = append(newest, filepath.Join(filepath.Dir(path), name))
		}
		return path, append(newest, path)
	}
	for first := range 3 {
		for second := range 3 {
			path, newest := prepare(t)
			for _, i := range []int{first, second} {
				must(t, os.WriteFile(newest[i], []byte("junk"), 0o640)) // in place: the same inode
			}
			if got, err := copier(path, OS).Load(); err != nil || string(got.Body) != string(body(3)) {
				t.Errorf("with files %d and %d corrupt: %s, %v", first, second, got.Body, err)
			}
		}
	}
	path, newest := prepare(t)
	for _, name := range newest {
		must(t, os.WriteFile(name, []byte("junk"), 0o640))
	}
	got, err := copier(path, OS).Load()
	if err != nil || string(got.Body) != string(body(2)) || got.Tried != 3 || got.Corrupt != 3 {
		t.Errorf("with all three corrupt: %s, %d of %d corrupt, %v", got.Body, got.Corrupt, got.Tried, err)
	}
}

// TestOlder checks that Load uses the newest copy if the file is older, and the file if it is not.
func TestOlder(t *testing.T) {
	for name, damage := range map[string]func(copies []string) error{
		"none":                  func([]string) error { return nil },
		"newest copy corrupt":   func(copies []string) error { return os.WriteFile(copies[3], []byte("junk"), 0o640) },
		"newest copies corrupt": func(copies []string) error { return errors.Join(os.Truncate(copies[3], 0), os.Truncate(copies[2], 0)) },
	} {
		path := filepath.Join(t.TempDir(), "state.json")
		f := copier(path, quick())
		f.Older = func(body, newest []byte) bool { return string(body) < string(newest) }
		checked := ""
		f.Check = func(_ int, body []byte) error {
			checked = string(body)
			return nil
		}
		mustSave(t, f, 1)
		older, err := os.ReadFile(path)
		must(t, err)
		mustSave(t, f, 2)
		if got, err := f.Load(); err != nil || got.Recovered || got.Tried != 0 || checked != string(got.Body) {
			t.Errorf("intact file: %+v, %v; checked last: %s", got, err, checked)
		}
		must(t, os.WriteFile(path, older, 0o640))
		var copies []string
		for _, name := range dirNames(t, filepath.Dir(path))[1:] {
			copies = append(copies, filepath.Join(filepath.Dir(path), name))
		}
		must(t, damage(copies))
		want := 2
		if name == "newest copies corrupt" { // nothing newer is left
			want = 1
		}
		got, err := f.Load()
		if err != nil || string(got.Body) != string(body(want)) || checked != string(got.Body) || got.Recovered != (want == 2) {
			t.Errorf("%s: %+v, %v, want %s; checked last: %s", name, got, err, body(want), checked)
		}
		if want == 2 && !errors.Is(got.Problems[0].Err, ErrOutdated) {
			t.Errorf("%s: problems %+v, want that the file is outdated", name, got.Problems)
		}
	}
}

// TestPowerCutCopies cuts the power during a save with copies, and checks that the old or the new
// content is found.
func TestPowerCutCopies(t *testing.T) {
	const path = "/state.json"
	for n := 1; ; n++ {
		disk := newMemFS()
		mustSave(t, copier(path, disk), 3)
		c := &cutter{FS: disk, at: n}
		saved := copier(path, c).Save(body(9)) == nil
		disk.survivors(func(after *memFS) { checkEither(t, after, path, 3, 9, saved) })
		if t.Failed() {
			t.Fatalf("at call %d of %v", n, c.log)
		}
		if !c.cut {
			break
		}
	}
}

// TestCutCopies interrupts a save with copies at each system call, and checks that the next save is
// complete.
func TestCutCopies(t *testing.T) {
	eachCut(t, func(t *testing.T, c *cutter) {
		path := filepath.Join(t.TempDir(), "state.json")
		mustSave(t, copier(path, quick()), 3)
		saved := copier(path, c).Save(body(9)) == nil
		checkEither(t, OS, path, 3, 9, saved)
		mustSave(t, copier(path, quick()), 10)
		checkEither(t, OS, path, 0, 10, true)
	})
}

// TestManyBackups checks that many files with names of backups cost bounded time and memory, and are
// removed by the next save.
func TestManyBackups(t *testing.T) {
	const crowd = 5000
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	mustSave(t, saver(path, quick()), 1)
	for n := range crowd {
		must(t, os.WriteFile(fmt.Sprintf("%s.backup-%06d", path, n+10), nil, 0o640))
	}
	must(t, os.WriteFile(path, nil, 0o640))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := saver(path, nil).Peek()
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrNoGood) || len(got.Problems) != maxProblems || got.Corrupt != maxSiblings[backup]+1 {
		t.Errorf("%d problems, %d corrupt, %v", len(got.Problems), got.Corrupt, err)
	}
	if n := len(err.Error()); n > 4<<10 {
		t.Errorf("the error has %d bytes", n)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
	f := saver(path, quick())
	mustSave(t, f, 2)
	if got := dirNames(t, dir); len(got) != 1+f.Keep.Count {
		t.Errorf("%d files are left, want the file and %d backups", len(got), f.Keep.Count)
	}
}

// TestLoadReadLimit checks that Load stops after maxRead bytes of unusable files.
func TestLoadReadLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for n := range 20 {
		name := fmt.Sprintf("%s.backup-%06d", path, n+1)
		must(t, os.WriteFile(name, []byte("junk"), 0o640))
		must(t, os.Truncate(name, defaultMaxSize))
	}
	got, err := saver(path, nil).Peek()
	if want := 1 + maxRead/defaultMaxSize; !errors.Is(err, ErrNoGood) || got.Tried != want {
		t.Errorf("%d files were tried, want %d; %v", got.Tried, want, err)
	}
}

// TestScanIsBounded checks that scanning a very large directory uses bounded memory and finds the
// newest files.
func TestScanIsBounded(t *testing.T) {
	dir := &listing{FS: OS}
	for n := range 100_000 {
		dir.names = append(dir.names, label{kind: backup, seq: uint64(n)}.name("state.json"), label{kind: temporary, seq: 1<<63 + uint64(n)}.name("state.json"))
	}
	dir.names = append(dir.names, label{kind: newer, seq: 1, stamp: noon().Truncate(time.Second)}.name("state.json"))
	found, err := scan(dir, "/state.json")
	must(t, err)
	backups := found.of(backup)
	if len(backups) != maxSiblings[backup] || backups[len(backups)-1].seq != 99_999 || len(found.of(newer)) != 1 ||
		len(found.of(temporary)) > maxSiblings[temporary] || !found.dropped || found.next != 100_000 {
		t.Errorf("%d backups, %d temporary, %d newer, dropped %v, next %d", len(backups), len(found.of(temporary)), len(found.of(newer)), found.dropped, found.next)
	}
}

// listing is a directory with many regular files.
type listing struct {
	FS
	names []string
}

func (l *listing) List(_ string, each func(string)) error {
	for _, name := range l.names {
		each(name)
	}
	return nil
}

func (l *listing) Lstat(path string) (os.FileInfo, error) {
	return memInfo{filepath.Base(path), &inode{}}, nil
}

// TestNoDirectorySync checks that a file system without fsync for directories is accepted, and that
// EIO is not.
func TestNoDirectorySync(t *testing.T) {
	for _, errno := range append(slices.Clone(noSync), syscall.EIO) {
		f := saver(filepath.Join(t.TempDir(), "state.json"), noDirSync{OS, errno})
		if err := f.Save(body(1)); (err == nil) != (errno != syscall.EIO) {
			t.Errorf("fsync of the directory answers %v: save = %v", errno, err)
		}
	}
}

// noDirSync is the file system of the machine, but fsync of a directory fails.
type noDirSync struct {
	FS
	errno syscall.Errno
}

func (n noDirSync) Open(path string, flags int, mode os.FileMode) (Handle, error) {
	h, err := n.FS.Open(path, flags, mode)
	if err == nil && flags&syscall.O_DIRECTORY != 0 {
		return failingSync{h, n.errno}, nil
	}
	return h, err
}

type failingSync struct {
	Handle
	errno syscall.Errno
}

func (f failingSync) Sync() error { return &os.PathError{Op: "sync", Err: f.errno} }
