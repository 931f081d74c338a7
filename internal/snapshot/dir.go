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

// EnsureDir makes a directory, and those above it, if they are missing: with mode,
// whatever the umask, and durably. Of one that
// exists it wants only that we may write there. Its error names the path and
// what is wrong with it.
func EnsureDir(path string, mode fs.FileMode) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("directory %q: want an absolute path", path)
	}
	path = filepath.Clean(path)
	if err := makeDir(path, mode); err != nil {
		return fmt.Errorf("directory %q: %w", path, err)
	}
	// As root this fails only where the file system is read-only.
	if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("directory %q: not writable for us: %w", path, err)
	}
	return nil
}

// makeDir makes path and what is missing above it. Symbolic links to directories
// are as good as directories.
func makeDir(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%q is a file: want a directory", path)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return makeDir(filepath.Dir(path), mode) // which finds the file and says so
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDir(filepath.Dir(path), mode); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil {
		if info, lerr := os.Lstat(path); lerr == nil && info.Mode().Type() == fs.ModeSymlink {
			return fmt.Errorf("%q is a symbolic link to nothing: want a directory", path)
		}
		return err
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask took
		return err
	}
	return syncDir(OS, path)
}
