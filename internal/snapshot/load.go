package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrNoGood is returned by Load when there is something, but nothing of use: an
// empty start is what remains. If part of it is of a newer schema, the error is
// ErrNewerSchema as well.
var ErrNoGood = errors.New("no good file and no good backup")

// Loaded is what [File.Load] found.
type Loaded struct {
	Body    []byte    // as it was saved
	Schema  int       // of the body, at most that of the File
	SavedAt time.Time // by the wall clock of then
	BootID  string    // of the boot in which it was saved
	Writer  string

	Source    string // the path it was read from
	Recovered bool   // that is a backup

	// Tried is how many files would have come first and could not be used, Corrupt how
	// many of them were corrupt. Problems are the first mostProblems of them, in the
	// order in which they were tried.
	Tried, Corrupt int
	Problems       []Problem
}

// What one Load reads at most before it gives up, so that it needs neither much memory
// nor much time, whatever somebody has put into the directory.
const (
	mostProblems = 16
	mostRead     = 32 << 20 // bytes
)

// Problem is a file that could not be used.
type Problem struct {
	Path string
	// Err is ErrCorrupt, ErrNewerSchema, fs.ErrNotExist if there are only
	// backups, or trouble in reading it.
	Err error
	// Aside is the new name of a file set aside, "" if it was left where it is:
	// because it is missing or unreadable, or because of AsideErr.
	Aside    string
	AsideErr error
}

// Load reads the file or, if that is no good, its newest good backup. What is
// corrupt or of a newer schema is set aside, and the temporary files of
// interrupted saves are removed. Load never reads more than MaxSize of a file and
// does not open what is not a regular one.
//
// If there is neither file nor backup, the error is fs.ErrNotExist. Otherwise,
// if none is good, it is ErrNoGood, or trouble of the disk if that is why; then
// Problems are set nevertheless.
func (f *File) Load() (Loaded, error) { return f.load(true) }

// Peek is Load without changing anything in the directory, for programs other
// than the one that saves.
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
	left := int64(mostRead)
	for i, path := range paths {
		e, err := f.read(path, &left)
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
		if len(got.Problems) < mostProblems {
			got.Problems = append(got.Problems, p)
		}
		if left <= 0 {
			break
		}
	}
	return got, fmt.Errorf("load %q: %w", f.Path, verdict(&got))
}

// read reads and checks one file, and takes its size from left.
func (f *File) read(path string, left *int64) (e envelope, err error) {
	file, info, err := openRegular(f.fs(), path, os.O_RDONLY)
	if odd := (notRegular{}); errors.As(err, &odd) {
		return e, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return e, err
	}
	defer file.Close()
	size := info.Size()
	if size > f.maxSize() {
		return e, fmt.Errorf("%w: %d bytes, want at most %d", ErrCorrupt, size, f.maxSize())
	}
	*left -= size
	text := make([]byte, size)
	if _, err := io.ReadFull(file, text); err != nil {
		return e, err // shorter than its size: somebody else writes to it
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

// setAside renames a file that proved corrupt or newer. One that could not be
// read stays: it may well be good, and the disk is to blame.
func (f *File) setAside(found *siblings, path string, why error) (aside string, err error) {
	switch {
	case errors.Is(why, ErrNewerSchema):
		aside = found.newName(newer, f.now())
	case errors.Is(why, ErrCorrupt):
		aside = found.newName(corrupt, f.now())
	default:
		return "", nil
	}
	if err := f.fs().Rename(path, aside); err != nil {
		return "", err
	}
	return aside, nil
}

// verdict sums up why nothing was good.
func verdict(got *Loaded) error {
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
		err = fmt.Errorf("%w; and %d more", err, more)
	}
	return err
}
