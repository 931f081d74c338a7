package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// EnsureDir durably creates a directory and its missing parents with the given mode, regardless of
// the umask. If the directory exists, EnsureDir only checks that it is writable.
func EnsureDir(path string, mode fs.FileMode) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("invalid directory %q: must be an absolute path", path)
	}
	path = filepath.Clean(path)
	if err := makeDir(path, mode); err != nil {
		return fmt.Errorf("create directory %q: %w", path, err)
	}
	// For root, this fails only on a read-only file system.
	if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("directory %q is not writable: %w", path, err)
	}
	return nil
}

// makeDir creates path and its missing parents. It follows symbolic links to directories.
func makeDir(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%q is a file, not a directory", path)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return makeDir(filepath.Dir(path), mode) // a parent is a file; the error contains its path
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDir(filepath.Dir(path), mode); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil {
		if info, lerr := os.Lstat(path); lerr == nil && info.Mode().Type() == fs.ModeSymlink {
			return fmt.Errorf("%q is a broken symbolic link, not a directory", path)
		}
		return err
	}
	if err := os.Chmod(path, mode); err != nil { // Mkdir applies the umask
		return err
	}
	return syncDir(OS, path)
}
