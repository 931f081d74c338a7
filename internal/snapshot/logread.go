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

// ReadStats contains statistics of [Log.Read].
type ReadStats struct {
	Files int  // number of files read
	Lines int  // number of valid lines
	Bad   int  // number of lines skipped because they are too long or not valid JSON
	Torn  bool // the incomplete last line of a file was skipped

	// FirstBad and FirstTorn are the positions of the first of these lines, such as "/dir/log.jsonl:12".
	FirstBad, FirstTorn string
}

// maxGarbage is the maximum number of bytes of invalid lines to read in one file. It exceeds what a
// power cut can leave, and it limits the time needed for a file with a gigabyte of zeros.
const maxGarbage = 1 << 20

// Read calls fn with each line, oldest first. It skips files that were rotated before since; other
// files may also contain older lines. The line is valid until fn returns. If fn returns an error,
// Read stops and returns the error. If a file cannot be read, Read continues with the remaining
// files and returns an error at the end. It is not an error if there is no log. Read holds one line
// in memory and does not modify the log, so it may be called while another process appends.
func (l *Log) Read(since time.Time, fn func(line []byte) error) (ReadStats, error) {
	return l.ReadRaw(since, func(line []byte) (bool, error) {
		if !json.Valid(line) {
			return false, nil
		}
		return true, fn(line)
	})
}

// ReadRaw is like Read but does not check that lines are valid JSON. Instead fn reports whether the
// line is valid, which avoids parsing the line twice.
func (l *Log) ReadRaw(since time.Time, fn func(line []byte) (good bool, err error)) (ReadStats, error) {
	r := reader{fn: fn, in: bufio.NewReaderSize(nil, l.maxLine()+1)}
	// Open the current file before listing the others. If it is rotated in between, it is found
	// twice, which SameFile detects. In the reverse order it would be missed.
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

// reader is the state of one Read.
type reader struct {
	in      *bufio.Reader
	fn      func(line []byte) (good bool, err error)
	stats   ReadStats
	readErr error // errors of the files
	stop    error // error returned by fn
}

// note records an error that occurred while the file at path was read. It ignores fs.ErrNotExist,
// because the file may have been pruned.
func (r *reader) note(path string, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		r.readErr = errors.Join(r.readErr, fmt.Errorf("read %q: %w", path, err))
	}
}

// read calls fn for each line of one file until fn returns an error.
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

// next returns the next line without its line break. If the line is too long, next returns the end
// of the line, and the number of skipped bytes in more. It stops after about limit bytes. With
// io.EOF, it returns the data after the last line break.
func (r *reader) next(limit int) (line []byte, more int, err error) {
	line, err = r.in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) && more <= limit {
		more += len(line)
		line, err = r.in.ReadSlice('\n')
	}
	if more > limit || limit <= 0 {
		err = fmt.Errorf("%w: more than %d bytes are not JSON lines", ErrCorrupt, maxGarbage)
	}
	if err == nil {
		line = line[:len(line)-1]
	}
	return line, more, err
}

// Last returns the last complete line of the current file, or nil if there is none. It reads at
// most the maximum length of two lines and does not modify the file.
func (l *Log) Last() ([]byte, error) {
	line, err := l.last()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the last lines of %q: %w", l.Path, err)
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
