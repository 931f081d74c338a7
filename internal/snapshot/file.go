package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultMode    = 0o640
	defaultMaxSize = 8 << 20
)

// File is a JSON file with a checksum and backups. Path and Schema are required. Load must be
// called before the first Save, because it sets a corrupt file aside; otherwise the corrupt file
// would become a backup. A File must not be used by several goroutines at the same time.
type File struct {
	Path   string // path of the file; its directory must exist, see EnsureDir
	Schema int    // schema of saved bodies, at least 1; a loaded body may have a lower schema
	Writer string // name and version of the program
	BootID string // ID of this boot, see BootID

	// Copies is the number of backups with the same contents that each Save writes. That many files
	// can become corrupt without loss of data. If it is 0, the previous file becomes a backup by means
	// of a hard link.
	Copies int

	// Older reports whether body is older than the body of the newest copy. Load then uses the copy. If
	// nil, no body is older. Times of files are not compared, because the clock may be wrong.
	Older func(body, newest []byte) bool

	Mode    fs.FileMode // 0 means 0640; the umask does not apply
	Keep    Limits      // limits applied to backups and, separately, to files set aside
	MaxSize int64       // maximum file size in bytes for Load and Save; 0 means 8 MiB

	// Check returns an error if a body is invalid. Load then treats the file as corrupt and tries
	// the next backup. If nil, all bodies are valid.
	Check func(schema int, body []byte) error

	FS  FS               // nil means OS
	Now func() time.Time // nil means time.Now

	durable *digest // digest of the stored contents; nil if unknown
}

// digest identifies the contents of a saved file by the checksum of the body and the size of the
// file.
type digest struct {
	body [sha256.Size]byte
	size int64
}

// Save replaces the contents of the file. body is a JSON value. Unless Copies is set, the previous
// contents become the newest backup. When Save returns nil, the new contents and the copies are on
// disk, and backups that exceed Keep have been removed. After an error, the next Load returns the
// old contents, or the new contents if the error occurred after the rename, while syncing the
// directory or writing copies. If the path is not a regular file, it is set aside.
func (f *File) Save(body []byte) error {
	f.durable = nil
	if err := f.save(body); err != nil {
		return fmt.Errorf("save %q: %w", f.Path, err)
	}
	// An error here does not affect the saved contents. The next Save tries again.
	f.Prune()
	return nil
}

// SaveChanged calls Save if body differs from the last saved body, or if the file was removed or
// its size has changed. It reports whether it saved. It reduces flash wear when contents are saved
// at intervals.
func (f *File) SaveChanged(body []byte) (bool, error) {
	if d := f.durable; d != nil && d.body == sha256.Sum256(bytes.TrimSpace(body)) {
		info, err := f.fs().Lstat(f.Path)
		if err == nil && info.Mode().IsRegular() && info.Size() == d.size {
			return false, nil
		}
	}
	err := f.Save(body)
	return err == nil, err
}

func (f *File) save(body []byte) error {
	body = bytes.TrimSpace(body) // like a body returned by Load
	e := envelope{Schema: f.Schema, Writer: f.Writer, BootID: f.BootID, SavedAt: f.now(), Body: body}
	text, err := e.encode()
	if err != nil {
		return err
	}
	if size := int64(len(text)); size > f.maxSize() {
		return fmt.Errorf("file of %d bytes is too large: must be at most %d bytes", size, f.maxSize())
	}
	found, err := scan(f.fs(), f.Path)
	if err != nil {
		return err
	}
	found.removeTemporary(f.fs())
	mode := f.Mode
	if mode == 0 {
		mode = defaultMode
	}
	err = replace(f.fs(), f.Path, text, mode, func() error { return f.keepPrevious(&found) })
	if err == nil {
		err = f.writeCopies(&found, text, mode)
	}
	if err != nil {
		return err
	}
	f.durable = &digest{sha256.Sum256(body), int64(len(text))}
	return nil
}

// writeCopies writes the number of backups given by Copies.
func (f *File) writeCopies(found *siblings, text []byte, mode fs.FileMode) error {
	for range f.Copies {
		temp, err := writeTemporary(f.fs(), f.Path, text, mode)
		if err != nil {
			return err
		}
		if err := f.fs().Rename(temp, found.newName(backup, time.Time{})); err != nil {
			f.fs().Unlink(temp)
			return err
		}
	}
	if f.Copies == 0 {
		return nil
	}
	return syncDir(f.fs(), f.Path)
}

// keepPrevious keeps the current file as the newest backup. It creates a hard link or, if hard
// links are not possible, renames the file.
func (f *File) keepPrevious(found *siblings) error {
	info, err := f.fs().Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return f.fs().Rename(f.Path, found.newName(corrupt, f.now()))
	case f.Keep.Count <= 0 || f.Copies > 0:
		return nil
	}
	if backups := found.of(backup); len(backups) > 0 && os.SameFile(backups[len(backups)-1].info, info) {
		return nil // an earlier Save was interrupted after this step
	}
	name := found.newName(backup, time.Time{})
	err = f.fs().Link(f.Path, name)
	if noLinks(err) {
		err = f.fs().Rename(f.Path, name)
	}
	return err
}

// noLinks reports whether an error of link(2) is permanent: the file system does not support hard
// links (EPERM, or ENOTSUP and ENOSYS from FUSE), fs.protected_hardlinks forbids them (EPERM), or
// the file has too many (EMLINK).
func noLinks(err error) bool {
	return isAny(err, []syscall.Errno{unix.EPERM, unix.ENOTSUP, unix.ENOSYS, unix.EMLINK})
}

// SetAside renames the file and its backups, so that Load does not find them. Keep limits how long
// they are kept. It is not an error if the files do not exist.
func (f *File) SetAside() error {
	f.durable = nil
	if err := f.setAllAside(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rename corrupt file %q: %w", f.Path, err)
	}
	return nil
}

func (f *File) setAllAside() error {
	found, err := scan(f.fs(), f.Path)
	if err != nil {
		return err
	}
	paths := []string{}
	for _, b := range found.of(backup) {
		paths = append(paths, b.path)
	}
	// Rename the file itself last. Otherwise, after an interruption, Load would use a backup.
	for _, path := range append(paths, f.Path) {
		err := f.fs().Rename(path, found.newName(stale, f.now()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(f.fs(), f.Path)
}

// Prune removes backups and files set aside that exceed Keep, and returns their paths. Save calls
// Prune. If saves are rare, Prune should also be called at intervals.
func (f *File) Prune() (removed []string, err error) {
	removed, err = prune(f.fs(), f.Path, f.now(), f.Keep, []kind{backup}, []kind{corrupt, stale})
	if err != nil {
		return removed, fmt.Errorf("prune backups of %q: %w", f.Path, err)
	}
	return removed, nil
}

func (f *File) fs() FS { return orOS(f.FS) }

func (f *File) now() time.Time { return timeFrom(f.Now) }

func (f *File) maxSize() int64 {
	if f.MaxSize <= 0 {
		return defaultMaxSize
	}
	return f.MaxSize
}

func orOS(fsys FS) FS {
	if fsys == nil {
		return OS
	}
	return fsys
}

func timeFrom(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}
