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

	// Problems are the files that would have come first, in the order in which
	// they were tried.
	Problems []Problem
}

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
	var problems []Problem
	for i, path := range paths {
		e, err := f.read(path)
		if err == nil {
			return Loaded{
				Body: e.Body, Schema: e.Schema, SavedAt: e.SavedAt, BootID: e.BootID, Writer: e.Writer,
				Source: path, Recovered: i > 0, Problems: problems,
			}, nil
		}
		p := Problem{Path: path, Err: err}
		if repair {
			p.Aside, p.AsideErr = f.setAside(&found, path, err)
		}
		problems = append(problems, p)
	}
	return Loaded{Problems: problems}, fmt.Errorf("load %q: %w", f.Path, verdict(problems))
}

// read reads and checks one file.
func (f *File) read(path string) (e envelope, err error) {
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
func verdict(problems []Problem) error {
	if len(problems) == 1 && errors.Is(problems[0].Err, fs.ErrNotExist) {
		return problems[0].Err
	}
	err := ErrNoGood
	for _, p := range problems {
		if errors.Is(p.Err, fs.ErrNotExist) {
			continue
		}
		err = fmt.Errorf("%w; %s: %w", err, filepath.Base(p.Path), p.Err)
	}
	return err
}
