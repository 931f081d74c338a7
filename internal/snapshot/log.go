package snapshot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const defaultMaxLine = 64 << 10

// Log is a file of JSON lines that only grows, until it is renamed and begun
// anew. Nothing is kept open or in memory between two calls. A Log must not be
// used by two goroutines at a time.
type Log struct {
	Path string // such as .../history.jsonl; its directory has to exist

	// MaxFileSize begins a new file before one gets more bytes than that; 0 means
	// no limit.
	MaxFileSize int64
	// MaxSpan begins a new file once the first line of this one is older, by At.
	// Keep.Age removes whole files, so this is how exact it is. 0 means no limit.
	MaxSpan time.Duration
	// At returns the time of a line. It is needed only for MaxSpan.
	At func(line []byte) (time.Time, bool)

	Keep    Limits      // of earlier files and, apart from them, of files set aside
	MaxLine int         // bytes of one line; 0 means 64 KiB
	Mode    fs.FileMode // 0 means 0640; not subject to the umask

	FS  FS               // nil means OS
	Now func() time.Time // nil means time.Now
}

// Append adds a line, which is one JSON value without line breaks. When it
// returns nil, the line is on the disk. On an error part of it may be in the
// file; the next Append removes that first. The same heals a line that a power
// cut left behind. What is no log at all is set aside; a file that has another
// name (link(2)) is ended as if it were full.
func (l *Log) Append(line []byte) error {
	if err := l.append(line); err != nil {
		return fmt.Errorf("append to %q: %w", l.Path, err)
	}
	return nil
}

func (l *Log) append(line []byte) error {
	switch {
	case len(line) > l.maxLine():
		return fmt.Errorf("a line of %d bytes: want at most %d", len(line), l.maxLine())
	case bytes.IndexByte(line, '\n') >= 0 || !json.Valid(line):
		return errors.New("want one JSON value without line breaks")
	}
	file, size, err := l.open()
	if err != nil {
		return err
	}
	if size > 0 && (l.isFull(size+int64(len(line))+1) || l.isOld(file)) {
		file.Close()
		if err := l.rotate(); err != nil {
			return err
		}
		if file, size, err = l.open(); err != nil {
			return err
		}
	}
	err = l.write(file, size, line)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil && size == 0 {
		err = syncDir(l.fs(), l.Path)
	}
	return err
}

// write adds the line in one write, so that no reader sees lines mixed up, and
// waits for the disk. A failed fsync is final for this file: then the next line
// goes to another. If this is the only line, nothing is lost, and a disk that
// fails again and again does not fill the place of good files with bad ones.
func (l *Log) write(file Handle, size int64, line []byte) error {
	if _, err := file.Write(append(line[:len(line):len(line)], '\n')); err != nil {
		return err
	}
	err := file.Sync()
	switch {
	case err != nil && size == 0:
		l.fs().Unlink(l.Path)
	case err != nil:
		l.rotate()
	}
	return err
}

// open opens the file at its end, which is the end of a line. It makes it if
// there is none.
func (l *Log) open() (file Handle, size int64, err error) {
	file, info, err := openRegular(l.fs(), l.Path, os.O_RDWR|os.O_APPEND)
	if err == nil && hasOtherNames(info) {
		// What is appended, or cut off, would be so under the other name too: of a
		// backup, or of whatever somebody who may write here linked to. Here it
		// becomes an earlier part.
		file.Close()
		if err := l.rotate(); err != nil {
			return nil, 0, err
		}
		file, err = l.create()
		return file, 0, err
	}
	if err == nil {
		size, err = l.repair(file, info.Size())
		if err == nil {
			return file, size, nil
		}
		file.Close()
	}
	if errors.As(err, &notRegular{}) || errors.Is(err, ErrCorrupt) {
		if err := l.moveTo(corrupt); err != nil {
			return nil, 0, err
		}
		err = fs.ErrNotExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, err
	}
	file, err = l.create()
	return file, 0, err
}

// create makes an empty file. The name is durable only after syncDir.
func (l *Log) create() (Handle, error) {
	mode := l.Mode
	if mode == 0 {
		mode = defaultMode
	}
	file, err := l.fs().Open(l.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	if err := file.Chmod(mode); err != nil { // whatever the umask took
		file.Close()
		return nil, err
	}
	return file, nil
}

// repair cuts off what follows the last line break, which a power cut, a full
// disk or a kill left there, and returns the size after that. If no line that
// long is allowed, the file is no log: ErrCorrupt.
func (l *Log) repair(file Handle, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	tail := make([]byte, min(size, int64(l.maxLine())+1))
	if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil {
		return 0, err
	}
	end := bytes.LastIndexByte(tail, '\n')
	if end < 0 && len(tail) > l.maxLine() {
		return 0, fmt.Errorf("%w: no line break in the last %d bytes", ErrCorrupt, len(tail))
	}
	size -= int64(len(tail) - (end + 1))
	return size, file.Truncate(size)
}

// isFull reports whether size is beyond what a file may have.
func (l *Log) isFull(size int64) bool { return l.MaxFileSize > 0 && size > l.MaxFileSize }

// isOld reports whether the first line is older than MaxSpan. So is one that far
// in the future: either clock is wrong, and only a file that ends has an age.
func (l *Log) isOld(file Handle) bool {
	if l.MaxSpan <= 0 || l.At == nil {
		return false
	}
	first := bufio.NewReaderSize(io.NewSectionReader(file, 0, int64(l.maxLine())+1), 512)
	line, err := first.ReadBytes('\n')
	if err != nil {
		return false
	}
	at, ok := l.At(line[:len(line)-1])
	return ok && l.now().Sub(at).Abs() > l.MaxSpan
}

// rotate gives the file another name and removes the surplus. The new name has to
// be durable before another file takes the old one.
func (l *Log) rotate() error {
	if err := l.moveTo(rotated); err != nil {
		return err
	}
	if err := syncDir(l.fs(), l.Path); err != nil {
		return err
	}
	l.Prune() // what cannot be removed is tried again
	return nil
}

func (l *Log) moveTo(k kind) error {
	found, err := scan(l.fs(), l.Path)
	if err != nil {
		return err
	}
	return l.fs().Rename(l.Path, found.newName(k, l.now()))
}

// Prune removes earlier files and files set aside beyond Keep and returns their
// paths. Call it at intervals: rotation does so too, but Keep.Age does not wait.
func (l *Log) Prune() (removed []string, err error) {
	removed, err = prune(l.fs(), l.Path, l.now(), l.Keep, []kind{rotated}, []kind{corrupt})
	if err != nil {
		return removed, fmt.Errorf("prune %q: %w", l.Path, err)
	}
	return removed, nil
}

func (l *Log) fs() FS { return orOS(l.FS) }

func (l *Log) now() time.Time { return timeFrom(l.Now) }

func (l *Log) maxLine() int {
	if l.MaxLine <= 0 {
		return defaultMaxLine
	}
	return l.MaxLine
}
