// Package smallfile reads small files that are maintained by administrators and other programs,
// such as settings, certificates and credentials. Time and memory are bounded, even if the path
// refers to a FIFO, a device, a file of several gigabytes, or a mount that does not respond.
package smallfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Timeout is how long Read waits for the file system. The daemon must stop within 5 s, which leaves
// time for two reads.
const Timeout = 2 * time.Second

// ErrTimeout is returned if the file system does not respond within Timeout.
var ErrTimeout = errors.New("file system does not respond")

// ErrTooLarge is returned if a file is larger than the caller's limit.
var ErrTooLarge = errors.New("file is too large")

// Read returns the contents of a regular file of at most maxSize bytes. It follows symbolic links.
// If the file system does not respond, Read returns after Timeout or when ctx ends. The goroutine
// that it started keeps waiting. Until that goroutine ends, further calls for the same path return
// ErrTimeout immediately, so that a hung mount blocks only one goroutine. Read may be called from
// any goroutine.
func Read(ctx context.Context, path string, maxSize int64) ([]byte, error) {
	return files.read(ctx, path, maxSize)
}

// result is the result of one attempt.
type result struct {
	text []byte
	err  error
}

// reader reads files and tracks the paths that do not respond.
type reader struct {
	open    func(path string) (*os.File, error)
	timeout time.Duration

	mu   sync.Mutex
	hung map[string]bool // paths with a read that has not returned
}

var files = newReader()

func newReader() *reader {
	return &reader{open: openRegular, timeout: Timeout, hung: make(map[string]bool)}
}

func (r *reader) read(ctx context.Context, path string, maxSize int64) ([]byte, error) {
	if r.isHung(path) {
		return nil, fmt.Errorf("read %q: %w", path, ErrTimeout)
	}
	done := make(chan result, 1)
	go func() {
		text, err := r.attempt(path, maxSize)
		done <- result{text, err}
	}()
	timer := time.NewTimer(r.timeout)
	defer timer.Stop()
	cause := ErrTimeout
	select {
	case got := <-done:
		return got.text, got.err
	case <-timer.C:
	case <-ctx.Done():
		cause = ctx.Err()
	}
	r.setHung(path, true)
	go func() {
		<-done
		r.setHung(path, false)
	}()
	return nil, fmt.Errorf("read %q: %w", path, cause)
}

func (r *reader) attempt(path string, maxSize int64) ([]byte, error) {
	file, err := r.open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > maxSize {
		return nil, fmt.Errorf("read %q: %w: must be at most %d bytes", path, ErrTooLarge, maxSize)
	}
	return text, nil
}

func (r *reader) isHung(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hung[path]
}

func (r *reader) setHung(path string, hung bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if hung {
		r.hung[path] = true
	} else {
		delete(r.hung, path)
	}
}

// openRegular opens a regular file or a symbolic link to one for reading.
func openRegular(path string) (*os.File, error) {
	file, _, err := OpenRegular(path, os.O_RDONLY, os.Stat, os.OpenFile)
	if odd := (NotRegular{}); errors.As(err, &odd) {
		return nil, fmt.Errorf("%q %w", path, err)
	}
	return file, err
}

// NotRegular is the error for a path that is not a regular file.
type NotRegular struct{ Mode fs.FileMode }

func (e NotRegular) Error() string {
	kind := "special file"
	switch {
	case e.Mode.IsDir():
		kind = "directory"
	case e.Mode&fs.ModeSymlink != 0:
		kind = "symbolic link"
	case e.Mode&fs.ModeNamedPipe != 0:
		kind = "named pipe"
	case e.Mode&fs.ModeSocket != 0:
		kind = "socket"
	case e.Mode&fs.ModeDevice != 0:
		kind = "device"
	}
	return fmt.Sprintf("is a %s, not a regular file", kind)
}

// OpenRegular opens an existing regular file with the functions stat and open, which are [os.Stat] or
// [os.Lstat] and [os.OpenFile], or those of a simulated file system. It does not open other types of
// files, which can block (a FIFO), have side effects (a device) or never end (/dev/zero); for these it
// returns [NotRegular]. The flags that it adds make opening harmless if the file is replaced between
// the two calls.
func OpenRegular[F interface {
	Stat() (fs.FileInfo, error)
	Close() error
}](path string, flags int, stat func(path string) (fs.FileInfo, error),
	open func(path string, flags int, mode fs.FileMode) (F, error)) (file F, info fs.FileInfo, err error) {
	var none F
	if info, err = stat(path); err != nil {
		return none, nil, err
	}
	if !info.Mode().IsRegular() {
		return none, nil, NotRegular{info.Mode()}
	}
	if file, err = open(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY, 0); err != nil {
		return none, nil, err
	}
	if info, err = file.Stat(); err == nil && !info.Mode().IsRegular() {
		err = NotRegular{info.Mode()}
	}
	if err != nil {
		file.Close()
		return none, nil, err
	}
	return file, info, nil
}
