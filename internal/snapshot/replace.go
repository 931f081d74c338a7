package snapshot

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// WriteFile atomically and durably replaces a file, like [File.Save] but without a checksum and
// backups. It is used for exports that other programs read. The directory must exist. The umask
// does not apply to mode. After an error, the file has its old contents or, if the directory could
// not be synced, possibly the new contents.
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

// replace replaces the contents of path, following the steps in the package documentation. It calls
// before when the new contents are on disk, prior to the rename.
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

// writeTemporary writes and syncs data to a new temporary file in the directory of path, so that it
// can be renamed to path. On an error, it removes the file.
func writeTemporary(fsys FS, path string, data []byte, mode fs.FileMode) (temp string, err error) {
	dir, base := filepath.Split(path)
	// The name is random in case a second process saves the same file by mistake. Other users must
	// not be able to read the file before its mode is set.
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
	// close(2) may be the first call to report an error, such as EDQUOT on NFS.
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		fsys.Unlink(temp)
		return "", err
	}
	return temp, nil
}
