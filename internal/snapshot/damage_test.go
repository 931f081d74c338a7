package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reseal sets the checksum of a text, for tests of the following checks.
func reseal(text []byte) []byte {
	text = append([]byte{}, text...)
	if len(text) > digestEnd {
		sum := sha256.Sum256(text[digestEnd+1:])
		hex.Encode(text[len(digestStart):], sum[:])
	}
	return text
}

// damaged saves body(2) with body(1) as backup, and returns a function that replaces the file by a text
// and loads it.
func damaged(t *testing.T) (text []byte, load func(text []byte) (Loaded, error)) {
	t.Helper()
	disk := newMemFS()
	f := saver("/state.json", disk)
	mustSave(t, f, 1)
	mustSave(t, f, 2)
	names := disk.names
	return names[f.Path].data, func(text []byte) (Loaded, error) {
		again := newMemFS()
		for path, node := range names {
			again.names[path] = node
		}
		again.names[f.Path] = &inode{data: text}
		f.FS = again
		return f.Load()
	}
}

// wantRecovered checks that the backup was loaded and the damage reported.
func wantRecovered(t *testing.T, what string, got Loaded, err error) {
	t.Helper()
	if err != nil || string(got.Body) != string(body(1)) || !got.Recovered {
		t.Fatalf("%s: loaded %s, %v; want the backup", what, got.Body, err)
	}
	if len(got.Problems) != 1 || !errors.Is(got.Problems[0].Err, ErrCorrupt) || got.Problems[0].Aside == "" {
		t.Fatalf("%s: problems %+v; want one corrupt file, set aside", what, got.Problems)
	}
}

// TestEveryBitFlip checks that each changed bit of a file is detected.
func TestEveryBitFlip(t *testing.T) {
	text, load := damaged(t)
	for i := range text {
		for bit := range 8 {
			flipped := append([]byte{}, text...)
			flipped[i] ^= 1 << bit
			got, err := load(flipped)
			wantRecovered(t, string(flipped), got, err)
		}
	}
	t.Logf("%d bits", 8*len(text))
}

// TestEveryLength checks that a file truncated to any length is detected.
func TestEveryLength(t *testing.T) {
	text, load := damaged(t)
	for n := range text {
		got, err := load(text[:n])
		wantRecovered(t, string(text[:n]), got, err)
	}
	for _, more := range []string{"\n", " ", "\x00", "{}"} {
		got, err := load(append(text[:len(text):len(text)], more...))
		wantRecovered(t, "followed by "+more, got, err)
	}
	if got, err := load(text); err != nil || got.Recovered {
		t.Errorf("whole: %+v, %v", got, err)
	}
}

// TestInvalidContent checks invalid content with a valid checksum.
func TestInvalidContent(t *testing.T) {
	_, load := damaged(t)
	f := func(rest string) {
		t.Helper()
		text := reseal([]byte(digestStart + strings.Repeat("0", 64) + `"` + rest))
		got, err := load(text)
		wantRecovered(t, rest, got, err)
	}
	f(``)
	f(`}`)
	f(`,"schema":1}`)
	f(`,"schema":0,"body":{}}`)
	f(`,"schema":-1,"body":{}}`)
	f(`,"schema":1e99,"body":{}}`)
	f(`,"schema":"1","body":{}}`)
	f(`,"schema":1,"body":{}`)
	f(`,"schema":1,"body":{}}}`)
	f(`,"schema":1,"writer":1,"body":{}}`)
	f(`,"schema":1,"saved_at":"yesterday","body":{}}`)
	f(`,"schema":1,"body":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`)
}

// inItsPlace are things other than regular files, and files with other content.
var inItsPlace = []struct {
	name string
	make func(t *testing.T, path string)
	want string
}{
	{"empty file", func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) }, "empty"},
	{"directory", func(t *testing.T, path string) { must(t, os.MkdirAll(filepath.Join(path, "sub"), 0o700)) }, "is a directory"},
	{"named pipe", func(t *testing.T, path string) { must(t, unix.Mkfifo(path, 0o600)) }, "is a named pipe"},
	{"symbolic link to nothing", func(t *testing.T, path string) { must(t, os.Symlink("nothing", path)) }, "is a symbolic link"},
	{"symbolic link to a file", func(t *testing.T, path string) { must(t, os.Symlink("/etc/passwd", path)) }, "is a symbolic link"},
	{"symbolic link to itself", func(t *testing.T, path string) { must(t, os.Symlink(filepath.Base(path), path)) }, "is a symbolic link"},
	{"symbolic link to a device", func(t *testing.T, path string) { must(t, os.Symlink("/dev/zero", path)) }, "is a symbolic link"},
	{"socket", func(t *testing.T, path string) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		must(t, err)
		l.SetUnlinkOnClose(false)
		l.Close()
	}, "is a socket"},
	{"1 GiB of zeros", func(t *testing.T, path string) {
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.Truncate(path, 1<<30)) // sparse
	}, "file of 1073741824 bytes is too large: must be at most 8388608 bytes"},
	{"8 MiB of zeros", func(t *testing.T, path string) {
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.Truncate(path, 8<<20))
	}, "does not start with"},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bounded runs do and checks its memory and time.
func bounded(t *testing.T, do func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	do()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 9<<20 || took > 20*time.Second {
		t.Errorf("took %d bytes and %v; want at most 9 MiB and 20 s", bytes, took)
	} else {
		t.Logf("%d KiB, %v", bytes>>10, took.Round(10*time.Microsecond))
	}
}

// TestNotAFile replaces the file by something else, and checks that it is set aside, the backup
// is used, and saves work.
func TestNotAFile(t *testing.T) {
	for _, tt := range inItsPlace {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			f := saver(path, nil)
			mustSave(t, f, 1)
			mustSave(t, f, 2)
			must(t, os.Remove(path))
			tt.make(t, path)

			var got Loaded
			var err error
			bounded(t, func() { got, err = f.Peek() })
			if err != nil || string(got.Body) != string(body(1)) || !strings.Contains(got.Problems[0].Err.Error(), tt.want) {
				t.Errorf("peek: %s, %v, %+v; want the backup and %q", got.Body, err, got.Problems, tt.want)
			}
			got, err = f.Load()
			wantRecovered(t, tt.name, got, err)
			if _, err := os.Lstat(got.Problems[0].Aside); err != nil {
				t.Errorf("set aside: %v", err)
			}
			mustSave(t, f, 3)
			checkEither(t, OS, path, 0, 3, true)

			// Without a load in between.
			must(t, os.Remove(path))
			tt.make(t, path)
			mustSave(t, f, 4)
			checkEither(t, OS, path, 0, 4, true)
			found, err := scan(OS, path)
			must(t, err)
			for _, b := range found.of(backup) {
				if !b.info.Mode().IsRegular() {
					t.Errorf("%s is a backup: %v", b.path, b.info.Mode())
				}
			}

			// Everything of ours goes when it is time, directories excepted.
			f.Keep = Limits{}
			if _, err := f.Prune(); err != nil {
				t.Error(err)
			}
			left := dirNames(t, filepath.Dir(path))
			if tt.name == "directory" && len(left) == 3 || len(left) == 1 {
				return
			}
			t.Errorf("left: %q", left)
		})
	}
}

// TestSwapped replaces the file between lstat and open of Load.
func TestSwapped(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.json")
	mustSave(t, saver(other, nil), 3)
	f := func(name string, put func(t *testing.T, path string)) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			f := saver(path, nil)
			mustSave(t, f, 1)
			mustSave(t, f, 2)
			f.FS = &onLstat{FS: OS, path: path, do: func() {
				must(t, os.Remove(path))
				put(t, path)
			}}
			got, err := f.Load()
			if err != nil || string(got.Body) != string(body(1)) {
				t.Errorf("loaded %s, %v; want the backup", got.Body, err)
			}
		})
	}
	for _, tt := range inItsPlace {
		f(tt.name, tt.make)
	}
	f("symbolic link to a good file", func(t *testing.T, path string) { must(t, os.Symlink(other, path)) })
}

// onLstat calls a function once after lstat of a path.
type onLstat struct {
	FS
	path string
	do   func()
}

func (o *onLstat) Lstat(path string) (fs.FileInfo, error) {
	info, err := o.FS.Lstat(path)
	if path == o.path && o.do != nil {
		o.do()
		o.do = nil
	}
	return info, err
}

// TestLogNotAFile replaces the log by something else, and checks that appends work.
func TestLogNotAFile(t *testing.T) {
	for _, tt := range inItsPlace {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history.jsonl")
			l := history(path, nil)
			must(t, l.Append(line(1)))
			must(t, l.rotate())
			tt.make(t, path)
			read := func() (lines string) {
				t.Helper()
				bounded(t, func() {
					_, err := l.Read(time.Time{}, func(line []byte) error { lines += string(line); return nil })
					if err != nil && !errors.Is(err, ErrCorrupt) && !strings.Contains(err.Error(), tt.want) {
						t.Errorf("read: %v", err)
					}
				})
				return lines
			}
			if got := read(); got != `{"n":1}` {
				t.Errorf("read %s", got)
			}
			bounded(t, func() { must(t, l.Append(line(2))) })
			if got := read(); got != `{"n":1}{"n":2}` {
				t.Errorf("read %s", got)
			}
		})
	}
}

// TestLogLinkedElsewhere checks that appending to a log with a second hard link does not change the
// linked file.
func TestLogLinkedElsewhere(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "history.jsonl")
	const text = "somebody's text\nwithout an end"
	must(t, os.WriteFile(victim, []byte(text), 0o600))
	must(t, os.Link(victim, path))
	l := history(path, nil)
	must(t, l.Append(line(1)))
	must(t, l.Append(line(2)))
	got, err := os.ReadFile(victim)
	info, serr := os.Stat(victim)
	if err != nil || serr != nil || string(got) != text || info.Mode() != 0o600 {
		t.Errorf("the victim is %q, %v, %v, %v", got, err, info.Mode(), serr)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != `{"n":1}`+"\n"+`{"n":2}`+"\n" {
		t.Errorf("the log is %q, %v", got, err)
	}
}

// TestPermission checks the errors for files and directories without permission.
func TestPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	path := filepath.Join(t.TempDir(), "state.json")
	f := saver(path, nil)
	mustSave(t, f, 1)
	must(t, os.Chmod(path, 0))
	if _, err := f.Load(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("load: %v", err)
	}
	must(t, os.Chmod(filepath.Dir(path), 0o500))
	defer os.Chmod(filepath.Dir(path), 0o700)
	if err := f.Save(body(2)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("save: %v", err)
	}
	if err := EnsureDir(filepath.Dir(path), 0o750); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("directory: %v", err)
	}
}
