package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"portsyncd/internal/smallfile"
)

// ErrNoGood is returned by Load if none of the existing files can be used. The error also wraps the
// errors of the files, such as ErrNewerSchema.
var ErrNoGood = errors.New("no usable file or backup")

// Loaded is the result of [File.Load].
type Loaded struct {
	Body    []byte    // the saved body
	Schema  int       // schema of the body, at most File.Schema
	SavedAt time.Time // wall-clock time of the Save
	BootID  string    // ID of the boot in which the body was saved
	Writer  string

	Source    string // path of the file that was read
	Recovered bool   // Source is a backup

	// Tried is the number of newer files that could not be used, and Corrupt is the number of those
	// that were corrupt. Problems describes the first maxProblems of them, newest first.
	Tried, Corrupt int
	Problems       []Problem
}

// ErrOutdated means that a file is older than its newest backup, because an older copy of the file
// was put in its place.
var ErrOutdated = errors.New("older than its newest backup")

// Limits of one Load. They bound its time and memory if a directory contains many unusable files.
const (
	maxProblems = 16
	maxRead     = 32 << 20 // bytes
)

// Problem describes a file that could not be used.
type Problem struct {
	Path string
	// Err is ErrCorrupt, ErrNewerSchema, ErrOutdated, fs.ErrNotExist if there are only backups, or a
	// disk error.
	Err error
	// Aside is the new path of a file that was set aside. It is "" if the file is missing or
	// unreadable, or if renaming it failed with AsideErr.
	Aside    string
	AsideErr error
}

// Load reads the file or, if the file cannot be used or is outdated, the newest usable backup. It sets aside files
// that are corrupt or have a newer schema, and removes temporary files left by interrupted saves.
// It opens only regular files and does not read files larger than MaxSize.
//
// Load returns fs.ErrNotExist if there are no file and no backups, ErrNoGood if no file can be
// used, or a disk error. Problems is set in all cases.
func (f *File) Load() (Loaded, error) { return f.load(true) }

// Peek is like Load but does not modify the directory. It is for programs that do not save the
// file.
func (f *File) Peek() (Loaded, error) { return f.load(false) }

func (f *File) load(repair bool) (Loaded, error) {
	found, err := scan(f.fs(), f.Path)
	if err != nil {
		return Loaded{}, fmt.Errorf("load %q: %w", f.Path, err)
	}
	if repair {
		found.removeTemporary(f.fs())
	}
	backups := found.of(backup)
	paths := []string{f.Path}
	for i := len(backups) - 1; i >= 0; i-- {
		paths = append(paths, backups[i].path)
	}
	var got Loaded
	left := int64(maxRead)
	newest := f.newestCopy(paths[1:], &left)
	for i, path := range paths {
		e, err := f.read(path, &left)
		if err == nil && i == 0 && newest != nil && f.Older(e.Body, newest) {
			err = ErrOutdated
		}
		if err == nil {
			got.Body, got.Schema, got.SavedAt, got.BootID, got.Writer = e.Body, e.Schema, e.SavedAt, e.BootID, e.Writer
			got.Source, got.Recovered = path, i > 0
			return got, nil
		}
		p := Problem{Path: path, Err: err}
		if repair {
			p.Aside, p.AsideErr = f.setAside(&found, path, err)
		}
		got.Tried++
		if errors.Is(err, ErrCorrupt) {
			got.Corrupt++
		}
		if len(got.Problems) < maxProblems {
			got.Problems = append(got.Problems, p)
		}
		if left <= 0 {
			break
		}
	}
	return got, fmt.Errorf("load %q: %w", f.Path, loadError(&got))
}

// newestCopy returns the body of the newest usable backup among the newest Copies backups, or nil if
// there is none or if Older is not set.
func (f *File) newestCopy(backups []string, left *int64) []byte {
	if f.Older == nil {
		return nil
	}
	for _, path := range backups[:min(len(backups), f.Copies)] {
		if e, err := f.read(path, left); err == nil {
			return e.Body
		}
	}
	return nil
}

// read reads and validates one file and subtracts its size from left.
func (f *File) read(path string, left *int64) (e envelope, err error) {
	file, info, err := openRegular(f.fs(), path, os.O_RDONLY)
	if odd := (smallfile.NotRegular{}); errors.As(err, &odd) {
		return e, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return e, err
	}
	defer file.Close()
	size := info.Size()
	if size > f.maxSize() {
		return e, fmt.Errorf("%w: file of %d bytes is too large: must be at most %d bytes", ErrCorrupt, size, f.maxSize())
	}
	*left -= size
	text := make([]byte, size)
	if _, err := io.ReadFull(file, text); err != nil {
		return e, err // also if the file has been truncated since
	}
	if e, err = decode(text, f.Schema); err != nil {
		return e, err
	}
	if f.Check != nil {
		if err := f.Check(e.Schema, e.Body); err != nil {
			return e, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	return e, nil
}

// setAside renames a file that is corrupt or has a newer schema. It does not rename a file that
// could not be read, because its contents may be valid.
func (f *File) setAside(found *siblings, path string, cause error) (aside string, err error) {
	switch {
	case errors.Is(cause, ErrNewerSchema):
		aside = found.newName(newer, f.now())
	case errors.Is(cause, ErrCorrupt):
		aside = found.newName(corrupt, f.now())
	default:
		return "", nil
	}
	if err := f.fs().Rename(path, aside); err != nil {
		return "", err
	}
	return aside, nil
}

// loadError returns the error of a Load that found no usable file.
func loadError(got *Loaded) error {
	if got.Tried == 1 && errors.Is(got.Problems[0].Err, fs.ErrNotExist) {
		return got.Problems[0].Err
	}
	err := ErrNoGood
	for _, p := range got.Problems {
		if errors.Is(p.Err, fs.ErrNotExist) {
			continue
		}
		err = fmt.Errorf("%w; %s: %w", err, filepath.Base(p.Path), p.Err)
	}
	if more := got.Tried - len(got.Problems); more > 0 {
		err = fmt.Errorf("%w; and %d more errors", err, more)
	}
	return err
}
