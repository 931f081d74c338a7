package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"portsyncd/internal/smallfile"
)

// FS is the set of system calls that this package uses. [OS] is the implementation for the
// operating system; tests replace it to simulate errors and power cuts. Errors are those of package
// os and wrap a syscall.Errno.
type FS interface {
	Open(path string, flags int, mode fs.FileMode) (Handle, error) // open(2)
	Link(from, to string) error                                    // link(2)
	Rename(from, to string) error                                  // rename(2)
	Unlink(path string) error                                      // unlink(2): not for directories
	Lstat(path string) (fs.FileInfo, error)                        // lstat(2)

	// List calls each with the name of every file in a directory, in any order. It does not read
	// all names into memory.
	List(dir string, each func(name string)) error
}

// Handle is an open file or directory. *os.File implements Handle.
type Handle interface {
	io.ReadWriteCloser
	io.ReaderAt
	Stat() (fs.FileInfo, error)
	Chmod(mode fs.FileMode) error
	Truncate(size int64) error
	Sync() error // fsync(2)
}

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Open(path string, flags int, mode fs.FileMode) (Handle, error) {
	file, err := os.OpenFile(path, flags, mode)
	if err != nil {
		return nil, err // return a nil Handle, not a Handle containing a nil *os.File
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
	// Without O_DIRECTORY, opening a FIFO would block until a writer opens it.
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

// openRegular opens an existing regular file, but no symbolic link. For other types of files it
// returns smallfile.NotRegular.
func openRegular(fsys FS, path string, flags int) (Handle, fs.FileInfo, error) {
	return smallfile.OpenRegular(path, flags|unix.O_NOFOLLOW, fsys.Lstat, fsys.Open)
}

// hasOtherNames reports whether the file has more than one hard link.
func hasOtherNames(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

// noSync lists the errors that mean that the file system does not support fsync for directories:
// EINVAL (fsync(2)), and the errors that FUSE daemons, overlays and network file systems return for
// unimplemented operations. EOPNOTSUPP equals ENOTSUP on Linux. 524 is the kernel's internal
// ENOTSUPP (include/linux/errno.h), which some file systems return to user space.
var noSync = []syscall.Errno{unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP, unix.ENOTTY, 524}

func isAny(err error, errnos []syscall.Errno) bool {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// syncDir syncs the directory that contains path. This makes the creation, renaming and removal of
// files durable.
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
