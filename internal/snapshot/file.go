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

// File is a JSON file with a checksum and backups. Fill in at least Path and
// Schema, and call Load before the first save, so that a damaged file does not
// become a backup. A File must not be used by two goroutines at a time.
type File struct {
	Path   string // its directory has to exist, see EnsureDir
	Schema int    // of the bodies saved, 1 or more; that of a body loaded may be lower
	Writer string // name and version of the program
	BootID string // of this boot, see BootID

	// Copies is how many further files with the same content each save makes, as
	// backups: as many files can be damaged together without a loss. With 0 the
	// previous content becomes the backup, as a hard link.
	Copies int

	Mode    fs.FileMode // 0 means 0640; not subject to the umask
	Keep    Limits      // of backups and, apart from them, of files set aside
	MaxSize int64       // bytes of the whole file that Load reads and Save writes; 0 means 8 MiB

	// Check says whether a body makes sense, so that Load can look further if
	// it does not. Its error makes the file corrupt. Nil takes every body.
	Check func(schema int, body []byte) error

	FS  FS               // nil means OS
	Now func() time.Time // nil means time.Now

	durable *digest // of what surely is in the file, nil if unknown
}

// digest tells what was saved: the body, and the size of the whole file.
type digest struct {
	body [sha256.Size]byte
	size int64
}

// Save replaces the file's content and makes the previous one the newest backup, or
// else Copies of the new one. body is any JSON value. When Save returns nil the new
// content and its copies are on the disk, and backups beyond Keep are gone. On an error
// the old content is what the next Load finds, unless it was the directory or a copy
// that could not be written; then it may be either. Something else than a regular file in its place is set aside.
func (f *File) Save(body []byte) error {
	f.durable = nil
	if err := f.save(body); err != nil {
		return fmt.Errorf("save %q: %w", f.Path, err)
	}
	// Durable is what was asked for; what could not be removed is tried again.
	f.Prune()
	return nil
}

// SaveChanged is Save if body differs from that of the last save by this File, or
// if the file is not there any more or has another size. It reports whether it
// wrote. Flash wears, so this is for saving at intervals.
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
	body = bytes.TrimSpace(body) // as it will be read
	e := envelope{Schema: f.Schema, Writer: f.Writer, BootID: f.BootID, SavedAt: f.now(), Body: body}
	text, err := e.encode()
	if err != nil {
		return err
	}
	if size := int64(len(text)); size > f.maxSize() {
		return fmt.Errorf("%d bytes: want at most %d, or it could not be read again", size, f.maxSize())
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

// writeCopies writes text as backups, each a file of its own.
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

// keepPrevious makes the present content the newest backup. The file itself stays
// where it is, if the file system has hard links.
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
		return nil // a save got this far and no further
	}
	name := found.newName(backup, time.Time{})
	err = f.fs().Link(f.Path, name)
	if noLinks(err) {
		err = f.fs().Rename(f.Path, name)
	}
	return err
}

// noLinks reports whether link(2) says that it will never work here: no hard
// links in this file system (EPERM, or ENOTSUP from FUSE), forbidden by
// fs.protected_hardlinks (EPERM), or too many.
func noLinks(err error) bool {
	return isAny(err, []syscall.Errno{unix.EPERM, unix.ENOTSUP, unix.ENOSYS, unix.EMLINK})
}

// SetAside renames the file and its backups, for a caller that knows them to be
// of no use any more, so that no later Load finds them. Keep bounds how long they
// stay. It is no error if there is nothing.
func (f *File) SetAside() error {
	f.durable = nil
	if err := f.setAllAside(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set %q aside: %w", f.Path, err)
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
	// The file itself is the last: were we stopped in between, a backup would
	// otherwise take its place.
	for _, path := range append(paths, f.Path) {
		err := f.fs().Rename(path, found.newName(stale, f.now()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(f.fs(), f.Path)
}

// Prune removes backups and files set aside beyond Keep and returns their paths.
// Save does so itself; call Prune where nothing is saved for long.
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
