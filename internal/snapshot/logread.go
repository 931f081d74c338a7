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

// ReadStats says what [Log.Read] came across.
type ReadStats struct {
	Files int  // read
	Lines int  // handed over and good
	Bad   int  // skipped: no JSON, or too long
	Torn  bool // the last line of a file is incomplete, and skipped
}

// maxGarbage is how many bytes of bad lines are read in one file. It is more than
// what a power cut leaves, and little enough for a gigabyte of zeros.
const maxGarbage = 1 << 20

// Read calls fn with each line, oldest first. Earlier files that were finished
// before since are left out; within a file the caller has to choose. The line is
// valid until fn returns. An error of fn ends Read and is returned as it is. A
// file that cannot be read does not end it, but is in the error. Read needs
// memory for one line and changes nothing, so it may run while another process
// appends. That there is no log at all is no error.
func (l *Log) Read(since time.Time, fn func(line []byte) error) (ReadStats, error) {
	return l.ReadRaw(since, func(line []byte) (bool, error) {
		if !json.Valid(line) {
			return false, nil
		}
		return true, fn(line)
	})
}

// ReadRaw is Read for a caller that finds out by itself, and quicker, whether a
// line is one: it may be any bytes, and fn reports whether it makes sense.
func (l *Log) ReadRaw(since time.Time, fn func(line []byte) (good bool, err error)) (ReadStats, error) {
	r := reader{fn: fn, in: bufio.NewReaderSize(nil, l.maxLine()+1)}
	// The present file is opened before the others are listed: were it renamed
	// in between, it would be in neither place. The other way round it is in both.
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
		over := f.stamp.Before(since) && f.info.ModTime().Before(since)
		if over || present != nil && os.SameFile(f.info, info) {
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
	return r.stats, r.trouble
}

// reader goes through the files of one Read.
type reader struct {
	in      *bufio.Reader
	fn      func(line []byte) (good bool, err error)
	stats   ReadStats
	trouble error // in reading
	stop    error // of fn
}

// note keeps an error for the end. A file that is not there is none of ours, or
// was pruned in the meantime.
func (r *reader) note(path string, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		r.trouble = errors.Join(r.trouble, fmt.Errorf("read %q: %w", path, err))
	}
}

// read hands over the lines of one file, unless fn has had enough.
func (r *reader) read(path string, file io.Reader) {
	if r.stop != nil {
		return
	}
	r.stats.Files++
	r.in.Reset(file)
	for garbage := 0; r.stop == nil; {
		line, more, err := r.next(maxGarbage - garbage)
		garbage += more
		switch {
		case errors.Is(err, io.EOF):
			r.stats.Torn = r.stats.Torn || len(line) > 0 || more > 0
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
				garbage += len(line) + 1
			}
		}
	}
}

// next returns the next line without its end. If it is too long, that is its last
// part, and more is the size of what came before, of which next reads little more
// than most. With io.EOF it returns what follows the last line break.
func (r *reader) next(most int) (line []byte, more int, err error) {
	line, err = r.in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) && more <= most {
		more += len(line)
		line, err = r.in.ReadSlice('\n')
	}
	if more > most || most <= 0 {
		err = fmt.Errorf("%w: more than %d bytes are not lines of JSON", ErrCorrupt, maxGarbage)
	}
	if err == nil {
		line = line[:len(line)-1]
	}
	return line, more, err
}

// Last returns the last whole line of the present file, nil if there is none. It
// reads no more than two lines may have, and changes nothing.
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
	if err != nil && !errors.Is(err, io.EOF) { // shorter than its size: somebody repairs it
		return nil, err
	}
	whole := bytes.LastIndexByte(tail[:n], '\n')
	if whole < 0 {
		return nil, nil
	}
	tail = tail[:whole]
	begin := bytes.LastIndexByte(tail, '\n') + 1
	if begin == 0 && int64(n) < info.Size() {
		return nil, nil // longer than any line
	}
	return tail[begin:], nil
}
