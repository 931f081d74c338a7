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

	"portsyncd/internal/smallfile"
)

const defaultMaxLine = 64 << 10

// Log is a file of JSON lines that grows until it is rotated, that is, renamed and replaced by a
// new file. Between calls, a Log holds no data and no descriptors. A Log must not be used by
// several goroutines at the same time.
type Log struct {
	Path string // path such as .../history.jsonl; its directory must exist

	// MaxFileSize is the maximum size of a file in bytes; 0 means no limit.
	MaxFileSize int64
	// MaxSpan is the maximum age of a file's first line, as returned by At; 0 means no limit.
	// Because Keep.Age removes whole files, lines can be kept up to MaxSpan longer.
	MaxSpan time.Duration
	// At returns the time of a line. It is required only if MaxSpan is set.
	At func(line []byte) (time.Time, bool)

	Keep    Limits      // limits applied to rotated files and, separately, to files set aside
	MaxLine int         // maximum length of a line in bytes; 0 means 64 KiB
	Mode    fs.FileMode // 0 means 0640; the umask does not apply

	FS  FS               // nil means OS
	Now func() time.Time // nil means time.Now
}

// Append appends a line. The line must be one JSON value without line breaks. When Append returns
// nil, the line is on disk. After an error or a power cut, the file may end with an incomplete
// line, which the next Append removes. A file that is not a log is set aside. A file with several
// hard links is rotated.
func (l *Log) Append(line []byte) error {
	if err := l.append(line); err != nil {
		return fmt.Errorf("append to %q: %w", l.Path, err)
	}
	return nil
}

func (l *Log) append(line []byte) error {
	switch {
	case len(line) > l.maxLine():
		return fmt.Errorf("line of %d bytes is too long: must be at most %d bytes", len(line), l.maxLine())
	case bytes.IndexByte(line, '\n') >= 0 || !json.Valid(line):
		return errors.New("invalid line: must be one JSON value without line breaks")
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
	err = l.write(file, size, append(line[:len(line):len(line)], '\n'))
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil && size == 0 {
		err = syncDir(l.fs(), l.Path)
	}
	return err
}

// write appends lines to the file with a single write(2), so that readers never see a part of a
// line, and then syncs the file. After a failed fsync the file is no longer used: it is rotated, or
// removed if it had no other lines, so that a disk with repeated errors does not displace valid
// files.
func (l *Log) write(file Handle, size int64, lines []byte) error {
	if _, err := file.Write(lines); err != nil {
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

// open opens the file for appending and removes an incomplete last line. It creates the file if it
// does not exist.
func (l *Log) open() (file Handle, size int64, err error) {
	file, info, err := openRegular(l.fs(), l.Path, os.O_RDWR|os.O_APPEND)
	if err == nil && hasOtherNames(info) {
		// Appending or truncating would also modify the file under its other names, such as a
		// backup or a file that another user linked here.
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
	if errors.As(err, &smallfile.NotRegular{}) || errors.Is(err, ErrCorrupt) {
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

// create creates an empty log file. After a power cut the file still exists only if syncDir was
// called.
func (l *Log) create() (Handle, error) {
	mode := l.Mode
	if mode == 0 {
		mode = defaultMode
	}
	file, err := l.fs().Open(l.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	if err := file.Chmod(mode); err != nil { // Open applies the umask
		file.Close()
		return nil, err
	}
	return file, nil
}

// repair removes an incomplete last line, which a power cut, a full disk or SIGKILL can leave. It
// returns the new size, or ErrCorrupt if the last line is longer than allowed.
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
		return 0, fmt.Errorf("%w: no line feed in the last %d bytes", ErrCorrupt, len(tail))
	}
	size -= int64(len(tail) - (end + 1))
	return size, file.Truncate(size)
}

// isFull reports whether size exceeds MaxFileSize.
func (l *Log) isFull(size int64) bool { return l.MaxFileSize > 0 && size > l.MaxFileSize }

// isOld reports whether the first line is older than MaxSpan. It also returns true if the line is
// more than MaxSpan in the future, which means that the clock was wrong.
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

// rotate renames the file and prunes rotated files. The rename must be durable before a new file
// with the old name is created.
func (l *Log) rotate() error {
	if err := l.moveTo(rotated); err != nil {
		return err
	}
	if err := syncDir(l.fs(), l.Path); err != nil {
		return err
	}
	l.Prune() // the next rotation retries failed removals
	return nil
}

func (l *Log) moveTo(k kind) error {
	found, err := scan(l.fs(), l.Path)
	if err != nil {
		return err
	}
	return l.fs().Rename(l.Path, found.newName(k, l.now()))
}

// Prune removes rotated files and files set aside that exceed Keep, and returns their paths. It is
// called on each rotation. Call it at intervals as well to apply Keep.Age between rotations.
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
