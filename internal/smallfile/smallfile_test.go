package smallfile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestReadRegularFile checks a file, a symbolic link, a file at and above the limit, and a missing one.
func TestReadRegularFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	must(t, os.WriteFile(path, []byte("12345"), 0o600))
	must(t, os.Symlink("file", link))
	for _, name := range []string{path, link} {
		if got, err := Read(t.Context(), name, 5); err != nil || string(got) != "12345" {
			t.Errorf("Read(%q) = %q, %v", name, got, err)
		}
	}
	if _, err := Read(t.Context(), path, 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("limit of 4 for a file of 5 bytes: %v, want ErrTooLarge", err)
	}
	if _, err := Read(t.Context(), filepath.Join(dir, "none"), 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v, want ErrNotExist", err)
	}
}

// TestReadOtherThanFile checks that reading a FIFO, a socket, a device or a directory fails at once.
func TestReadOtherThanFile(t *testing.T) {
	dir := t.TempDir()
	fifo, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	must(t, unix.Mkfifo(fifo, 0o600))
	l, err := net.Listen("unix", socket)
	must(t, err)
	defer l.Close()
	for path, want := range map[string]string{dir: "a directory", fifo: "a named pipe", socket: "a socket", "/dev/zero": "a device"} {
		_, err := Read(t.Context(), path, 100)
		if err == nil || !strings.HasSuffix(err.Error(), `" is `+want+", not a regular file") {
			t.Errorf("Read(%q): %v, want an error that says %s", path, err, want)
		}
	}
}

// TestReadIsBounded checks that reading a file of a terabyte returns ErrTooLarge.
func TestReadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge")
	must(t, os.WriteFile(path, bytes.Repeat([]byte{1}, 4096), 0o600))
	must(t, os.Truncate(path, 1<<40))
	if _, err := Read(t.Context(), path, 1<<16); !errors.Is(err, ErrTooLarge) {
		t.Errorf("file of a terabyte: %v, want ErrTooLarge", err)
	}
}

// TestReadFromHungMount checks that a read of a hung mount ends after Timeout, that further reads
// start no attempt, and that the file can be read again after the mount answered.
func TestReadFromHungMount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte("text"), 0o600))
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		var attempts atomic.Int32
		r := newReader()
		r.open = func(path string) (*os.File, error) {
			attempts.Add(1)
			<-answer
			return openRegular(path)
		}
		began := time.Now()
		for range 3 {
			if _, err := r.read(t.Context(), path, 100); !errors.Is(err, ErrTimeout) {
				t.Errorf("hung mount: %v", err)
			}
		}
		if took := time.Since(began); took != Timeout || attempts.Load() != 1 {
			t.Errorf("three reads took %v and %d attempts, want %v and 1", took, attempts.Load(), Timeout)
		}
		close(answer)
		synctest.Wait()
		if got, err := r.read(t.Context(), path, 100); err != nil || string(got) != "text" {
			t.Errorf("after the mount answered: %q, %v", got, err)
		}
	})
}

// TestReadEndsWithContext checks that a read of a hung mount ends with its context.
func TestReadEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		r := newReader()
		r.open = func(string) (*os.File, error) { <-answer; return nil, fs.ErrNotExist }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		began := time.Now()
		if _, err := r.read(ctx, "file", 100); !errors.Is(err, context.Canceled) || time.Since(began) != time.Millisecond {
			t.Errorf("read = %v after %v, want the context's error after 1ms", err, time.Since(began))
		}
		close(answer)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
