package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// FS is the handful of system calls that this package makes. It is there for
// tests, which let each of them fail, or cut the power at it; [OS] is the real
// one. Errors are those of package os, and wrap a syscall.Errno.
type FS interface {
	Open(path string, flags int, mode fs.FileMode) (Handle, error) // open(2)
	Link(from, to string) error                                    // link(2)
	Rename(from, to string) error                                  // rename(2)
	Unlink(path string) error                                      // unlink(2): not for directories
	Lstat(path string) (fs.FileInfo, error)                        // lstat(2)

	// List calls each with every name in a directory, in any order. It does not
	// hold all of them in memory.
	List(dir string, each func(name string)) error
}

// Handle is an open file or directory, such as an *os.File.
type Handle interface {
	io.ReadWriteCloser
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	Chmod(mode fs.FileMode) error
	Truncate(size int64) error
	Sync() error // fsync(2)
}

// OS is the file system of the machine.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Open(path string, flags int, mode fs.FileMode) (Handle, error) {
	file, err := os.OpenFile(path, flags, mode)
	if err != nil {
		return nil, err // not a nil *os.File in an interface
	}
	return file, nil
}

func (osFS) Link(from, to string) error             { return os.Link(from, to) }
func (osFS) Rename(from, to string) error           { return os.Rename(from, to) }
func (osFS) Lstat(path string) (fs.FileInfo, error) { return os.Lstat(path) }

func (osFS) Unlink(path string) error {
	if err := unix.Unlink(path); err != nil {
		return &fs.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}

func (osFS) List(dir string, each func(name string)) error {
	// Were it a FIFO, opening it without O_DIRECTORY would wait for a writer.
	file, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		names, err := file.Readdirnames(256)
		for _, name := range names {
			each(name)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// notRegular says what stands where a file should be.
type notRegular struct{ mode fs.FileMode }

func (e notRegular) Error() string {
	kind := "device"
	switch e.mode.Type() {
	case fs.ModeDir:
		kind = "directory"
	case fs.ModeSymlink:
		kind = "symbolic link"
	case fs.ModeNamedPipe:
		kind = "named pipe"
	case fs.ModeSocket:
		kind = "socket"
	}
	return fmt.Sprintf("is a %s: want a regular file", kind)
}

// openRegular opens an existing file. Anything else than a regular file is not
// even opened, since that can block (a FIFO) or act (a device); the flags are for
// one that takes the file's place between the two calls.
func openRegular(fsys FS, path string, flags int) (Handle, fs.FileInfo, error) {
	info, err := fsys.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, notRegular{info.Mode()}
	}
	file, err := fsys.Open(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular{info.Mode()}
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// hasOtherNames reports whether the file has more hard links than one.
func hasOtherNames(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

// noSync are the errors by which a file system says that it has no fsync for
// directories, not that the disk failed: EINVAL (fsync(2)), and whatever FUSE daemons,
// overlays and network file systems answer to what they do not implement. EOPNOTSUPP is
// ENOTSUP on Linux; 524 is the kernel's own ENOTSUPP (include/linux/errno.h), which
// should not reach us and does.
var noSync = []syscall.Errno{unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP, unix.ENOTTY, 524}

func isAny(err error, errnos []syscall.Errno) bool {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// syncDir makes durable what was done to the names in a file's directory.
func syncDir(fsys FS, path string) error {
	dir, err := fsys.Open(filepath.Dir(path), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if isAny(err, noSync) {
		err = nil
	}
	if cerr := dir.Close(); err == nil {
		err = cerr
	}
	return err
}
