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
)

// ReadStats counts what [Log.Read] read.
type ReadStats struct {
	Files int  // files read
	Lines int  // valid lines
	Bad   int  // lines skipped because they are not JSON or too long
	Torn  bool // an incomplete last line of a file was skipped

	// FirstBad and FirstTorn are where the first of these lines is, such as "/dir/log.jsonl:12".
	FirstBad, FirstTorn string
}

// maxGarbage is the maximum number of bytes of bad lines to read in one file. It is more than a power
// cut leaves, and limits the time for a file of a gigabyte of zeros.
const maxGarbage = 1 << 20

// Read calls fn with each line, oldest first. It skips files that were rotated before since; other
// files may contain older lines. The line is valid until fn returns. If fn returns an error, Read
// stops and returns it. If a file cannot be read, Read continues with the others and returns an error
// at the end. It is not an error if there is no log. Read holds one line in memory and changes
// nothing, so it may run while another process appends.
func (l *Log) Read(since time.Time, fn func(line []byte) error) (ReadStats, error) {
	return l.ReadRaw(since, func(line []byte) (bool, error) {
		if !json.Valid(line) {
			return false, nil
		}
		return true, fn(line)
	})
}

// ReadRaw is like Read, but does not check that lines are valid JSON. fn reports whether the line is
// good, which saves parsing it twice.
func (l *Log) ReadRaw(since time.Time, fn func(line []byte) (good bool, err error)) (ReadStats, error) {
	r := reader{fn: fn, in: bufio.NewReaderSize(nil, l.maxLine()+1)}
	// Open the present file before listing the others. If it is rotated in between, it is found
	// twice, which SameFile detects; in the other order it would be missed.
	present, info, err := openRegular(l.fs(), l.Path, os.O_RDONLY)
	if err != nil {
		r.note(l.Path, err)
	} else {
		defer present.Close()
	}
	found, err := scan(l.fs(), l.Path)
	if err != nil {
		r.note(l.Path, err)
	}
	for _, f := range found.of(rotated) {
		old := f.stamp.Before(since) && f.info.ModTime().Before(since)
		if old || present != nil && os.SameFile(f.info, info) {
			continue
		}
		file, _, err := openRegular(l.fs(), f.path, os.O_RDONLY)
		if err != nil {
			r.note(f.path, err)
			continue
		}
		r.read(f.path, file)
		file.Close()
	}
	if present != nil {
		r.read(l.Path, present)
	}
	if r.stop != nil {
		return r.stats, r.stop
	}
	return r.stats, r.readErr
}

// reader holds the state of one Read.
type reader struct {
	in      *bufio.Reader
	fn      func(line []byte) (good bool, err error)
	stats   ReadStats
	readErr error // errors of files
	stop    error // error of fn
}

// note records the error of a file, unless the file does not exist, because it may have been pruned
// in the meantime.
func (r *reader) note(path string, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		r.readErr = errors.Join(r.readErr, fmt.Errorf("read %q: %w", path, err))
	}
}

// read passes the lines of one file to fn, unless fn returned an error.
func (r *reader) read(path string, file io.Reader) {
	if r.stop != nil {
		return
	}
	r.stats.Files++
	r.in.Reset(file)
	number := 0 // of the line
	place := func(first *string) {
		if *first == "" {
			*first = fmt.Sprintf("%s:%d", path, number)
		}
	}
	for garbage := 0; r.stop == nil; {
		number++
		line, more, err := r.next(maxGarbage - garbage)
		garbage += more
		switch {
		case errors.Is(err, io.EOF):
			if len(line) > 0 || more > 0 {
				r.stats.Torn = true
				place(&r.stats.FirstTorn)
			}
			return
		case err != nil:
			r.note(path, err)
			return
		default:
			good := false
			if more == 0 {
				good, r.stop = r.fn(line)
			}
			if good {
				r.stats.Lines++
			} else {
				r.stats.Bad++
				place(&r.stats.FirstBad)
				garbage += len(line) + 1
			}
		}
	}
}

// next returns the next line without its line break. If the line is too long, next returns its last
// part, and the size of the rest in more; it stops after about limit bytes. With io.EOF it returns
// what follows the last line break.
func (r *reader) next(limit int) (line []byte, more int, err error) {
	line, err = r.in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) && more <= limit {
		more += len(line)
		line, err = r.in.ReadSlice('\n')
	}
	if more > limit || limit <= 0 {
		err = fmt.Errorf("%w: more than %d bytes that are not lines of JSON", ErrCorrupt, maxGarbage)
	}
	if err == nil {
		line = line[:len(line)-1]
	}
	return line, more, err
}

// Last returns the last complete line of the present file, nil if there is none. It reads at most the
// length of two lines, and changes nothing.
func (l *Log) Last() ([]byte, error) {
	line, err := l.last()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the end of %q: %w", l.Path, err)
	}
	return line, nil
}

func (l *Log) last() ([]byte, error) {
	file, info, err := openRegular(l.fs(), l.Path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	tail := make([]byte, min(info.Size(), 2*(int64(l.maxLine())+1)))
	n, err := file.ReadAt(tail, info.Size()-int64(len(tail)))
	if err != nil && !errors.Is(err, io.EOF) { // EOF: another process truncated the file
		return nil, err
	}
	whole := bytes.LastIndexByte(tail[:n], '\n')
	if whole < 0 {
		return nil, nil
	}
	tail = tail[:whole]
	begin := bytes.LastIndexByte(tail, '\n') + 1
	if begin == 0 && int64(n) < info.Size() {
		return nil, nil // longer than MaxLine
	}
	return tail[begin:], nil
}
