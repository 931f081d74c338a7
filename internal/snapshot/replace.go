package snapshot

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// WriteFile replaces a file atomically and durably, as [File.Save] does, but
// with nothing around the data and without backups: for exports that other
// programs read. The directory has to exist; mode is not subject to the umask.
// On an error the file is the old one, unless it was the directory that could
// not be synced; then it may be either.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return writeFile(OS, path, data, mode)
}

func writeFile(fsys FS, path string, data []byte, mode fs.FileMode) error {
	found, err := scan(fsys, path)
	if err == nil {
		found.removeTemporary(fsys)
		err = replace(fsys, path, data, mode, func() error { return nil })
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// replace gives path another content in the steps of the package comment.
// before is called when the new content is safe and the old one still in place.
func replace(fsys FS, path string, data []byte, mode fs.FileMode, before func() error) error {
	temp, err := writeTemporary(fsys, path, data, mode)
	if err != nil {
		return err
	}
	err = before()
	if err == nil {
		err = fsys.Rename(temp, path)
	}
	if err != nil {
		fsys.Unlink(temp)
		return err
	}
	return syncDir(fsys, path)
}

// writeTemporary puts data on the disk under a name of its own, beside path
// because a rename does not cross file systems. On an error nothing is left,
// as far as that can be helped.
func writeTemporary(fsys FS, path string, data []byte, mode fs.FileMode) (temp string, err error) {
	dir, base := filepath.Split(path)
	// The name is random so that a second process by mistake does not write into
	// our file while we rename it. Until it has its mode nobody else may read it.
	temp = dir + label{kind: temporary, seq: rand.Uint64()}.name(base)
	file, err := fsys.Open(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	// close(2) too can be the first to report an error, such as EDQUOT on NFS.
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		fsys.Unlink(temp)
		return "", err
	}
	return temp, nil
}
