// Package smallfile reads small files that somebody else maintains: settings,
// certificates, credentials. Reading one ends in bounded time and memory, whatever
// is in the file's place: a FIFO, a device, gigabytes, or a mount that does not
// answer.
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

// Timeout is how long Read waits for the file system. It leaves room for a second
// attempt within the 5 s that the daemon has to end.
const Timeout = 2 * time.Second

// ErrTimeout is the error of a file system that does not answer in time.
var ErrTimeout = errors.New("the file system does not answer")

// ErrTooLarge is the error of a file with more bytes than the caller allows.
var ErrTooLarge = errors.New("file is too large")

// Read returns the content of a regular file of at most most bytes, following
// symbolic links. It returns after Timeout, or when ctx ends, even if the file
// system does not answer. The attempt that hangs is left behind, and until it ends
// every Read of the same path fails at once with ErrTimeout: a hung mount costs one
// goroutine, however often it is asked. Read may be called from any goroutine.
func Read(ctx context.Context, path string, most int64) ([]byte, error) {
	return all.read(ctx, path, most)
}

// result is what one attempt came to.
type result struct {
	text []byte
	err  error
}

// reader makes the attempts.
type reader struct {
	open    func(path string) (*os.File, error)
	timeout time.Duration

	mu   sync.Mutex
	hung map[string]bool // paths whose last attempt has not ended
}

var all = newReader()

func newReader() *reader {
	return &reader{open: openRegular, timeout: Timeout, hung: make(map[string]bool)}
}

func (r *reader) read(ctx context.Context, path string, most int64) ([]byte, error) {
	if r.isHung(path) {
		return nil, fmt.Errorf("read %q: %w", path, ErrTimeout)
	}
	done := make(chan result, 1)
	go func() {
		text, err := r.attempt(path, most)
		done <- result{text, err}
	}()
	timer := time.NewTimer(r.timeout)
	defer timer.Stop()
	why := ErrTimeout
	select {
	case got := <-done:
		return got.text, got.err
	case <-timer.C:
	case <-ctx.Done():
		why = ctx.Err()
	}
	r.setHung(path, true)
	go func() {
		<-done
		r.setHung(path, false)
	}()
	return nil, fmt.Errorf("read %q: %w", path, why)
}

func (r *reader) attempt(path string, most int64) ([]byte, error) {
	file, err := r.open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("read %q: %w: want at most %d bytes", path, ErrTooLarge, most)
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

// openRegular opens a regular file. Anything else is not even opened, since that
// can block (a FIFO), act (a device) or never end (/dev/zero).
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil {
		err = checkRegular(path, info.Mode())
	}
	if err != nil {
		return nil, err
	}
	// The flags are for a FIFO or a terminal that took the file's place since.
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if info, err = file.Stat(); err == nil {
		err = checkRegular(path, info.Mode())
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// checkRegular returns an error that names what is in the file's place.
func checkRegular(path string, mode fs.FileMode) error {
	if mode.IsRegular() {
		return nil
	}
	kind := "a special file"
	switch {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%q is %s, expected a regular file", path, kind)
}
