package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// cutter lets one call of a file system go wrong: call number at, counted from 1.
// With a fault that call fails and the others work; without one the process ends
// there, so that neither that call nor any later one does anything.
type cutter struct {
	FS
	at    int
	fault syscall.Errno // 0: the process ends
	// portion of a write that is cut still reaches the file: 0, 1 (half), 2 (all
	// but the last byte).
	portion int
	noLinks bool // the file system has no hard links

	calls int
	log   []string // what was called
	cut   bool     // the call was reached
}

var errEnded = errors.New("the process has ended")

// call counts a call and reports whether it succeeds.
func (c *cutter) call(name string) error {
	if c.cut && c.fault == 0 {
		return errEnded
	}
	c.calls++
	c.log = append(c.log, name)
	if c.calls != c.at {
		return nil
	}
	c.cut = true
	if c.fault == 0 {
		return errEnded
	}
	return &fs.PathError{Op: name, Path: "...", Err: c.fault}
}

func (c *cutter) Open(path string, flags int, mode fs.FileMode) (Handle, error) {
	if err := c.call("open"); err != nil {
		return nil, err
	}
	file, err := c.FS.Open(path, flags, mode)
	if err != nil {
		return nil, err
	}
	return &cutHandle{file, c}, nil
}

func (c *cutter) Link(from, to string) error {
	if err := c.call("link"); err != nil {
		return err
	}
	if c.noLinks {
		return syscall.EPERM
	}
	return c.FS.Link(from, to)
}

func (c *cutter) Rename(from, to string) error {
	if err := c.call("rename"); err != nil {
		return err
	}
	return c.FS.Rename(from, to)
}

func (c *cutter) Unlink(path string) error {
	if err := c.call("unlink"); err != nil {
		return err
	}
	return c.FS.Unlink(path)
}

func (c *cutter) Lstat(path string) (fs.FileInfo, error) {
	if err := c.call("lstat"); err != nil {
		return nil, err
	}
	return c.FS.Lstat(path)
}

func (c *cutter) List(dir string, each func(name string)) error {
	if err := c.call("getdents"); err != nil {
		return err
	}
	return c.FS.List(dir, each)
}

type cutHandle struct {
	Handle
	c *cutter
}

func (h *cutHandle) Write(p []byte) (int, error) {
	if err := h.c.call("write"); err != nil {
		part := [...]int{0, len(p) / 2, len(p) - 1}[h.c.portion]
		if part > 0 && !(h.c.cut && h.c.calls != h.c.at) {
			h.Handle.Write(p[:part])
		}
		return part, err
	}
	return h.Handle.Write(p)
}

func (h *cutHandle) Read(p []byte) (int, error) {
	if err := h.c.call("read"); err != nil {
		return 0, err
	}
	return h.Handle.Read(p)
}

func (h *cutHandle) ReadAt(p []byte, off int64) (int, error) {
	if err := h.c.call("pread"); err != nil {
		return 0, err
	}
	return h.Handle.ReadAt(p, off)
}

func (h *cutHandle) Stat() (fs.FileInfo, error) {
	if err := h.c.call("fstat"); err != nil {
		return nil, err
	}
	return h.Handle.Stat()
}

func (h *cutHandle) Chmod(mode fs.FileMode) error {
	if err := h.c.call("fchmod"); err != nil {
		return err
	}
	return h.Handle.Chmod(mode)
}

func (h *cutHandle) Truncate(size int64) error {
	if err := h.c.call("ftruncate"); err != nil {
		return err
	}
	return h.Handle.Truncate(size)
}

func (h *cutHandle) Sync() error {
	if err := h.c.call("fsync"); err != nil {
		return err
	}
	if _, real := h.Handle.(*os.File); real {
		return nil // which saves most of the time; what it is good for memFS knows
	}
	return h.Handle.Sync()
}

// quick is the file system of the machine without fsync.
func quick() FS { return &cutter{FS: OS} }

// Close always closes, as the end of a process does.
func (h *cutHandle) Close() error {
	err := h.c.call("close")
	if cerr := h.Handle.Close(); err == nil {
		err = cerr
	}
	return err
}
