package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// AppendLines appends several lines with one write and one fsync. Each line must be one JSON value
// and end with a line break. When AppendLines returns nil, the lines are on disk. After an error,
// some lines may be in the file, and the caller may append all of them again. AppendLines checks
// the length of the lines but not whether they are valid JSON.
func (l *Log) AppendLines(lines []byte) error {
	if err := l.appendLines(lines); err != nil {
		return fmt.Errorf("append to %q: %w", l.Path, err)
	}
	return nil
}

func (l *Log) appendLines(lines []byte) error {
	if len(lines) == 0 || lines[len(lines)-1] != '\n' {
		return errors.New("invalid lines: the last line must end with a line break")
	}
	for line := range bytes.Lines(lines) {
		if len(line)-1 > l.maxLine() {
			return fmt.Errorf("line of %d bytes is too long: must be at most %d bytes", len(line)-1, l.maxLine())
		}
	}
	file, size, err := l.open()
	if err != nil {
		return err
	}
	if size > 0 && (l.isFull(size+int64(len(lines))) || l.isOld(file)) {
		file.Close()
		if err := l.rotate(); err != nil {
			return err
		}
		if file, size, err = l.open(); err != nil {
			return err
		}
	}
	err = l.write(file, size, lines)
	if err != nil && size > 0 {
		file.Truncate(size) // the caller will append all lines again
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil && size == 0 {
		err = syncDir(l.fs(), l.Path)
	}
	return err
}

// Tail calls fn with the lines in approximately the last size bytes of the log, oldest first. If
// the current file is smaller, it reads rotated files as well. The line is valid until fn returns.
// fn reports whether the line is valid. Tail holds one line in memory and does not modify the log. It
// does not set FirstBad and FirstTorn. It is not an error if there is no log.
func (l *Log) Tail(size int64, fn func(line []byte) (good bool)) (ReadStats, error) {
	found, err := scan(l.fs(), l.Path)
	if err != nil {
		return ReadStats{}, fmt.Errorf("read the last lines of %q: %w", l.Path, err)
	}
	paths := []string{l.Path}
	rotatedFiles := found.of(rotated)
	for i := len(rotatedFiles) - 1; i >= 0; i-- {
		paths = append(paths, rotatedFiles[i].path)
	}
	var parts []part
	defer func() {
		for _, p := range parts {
			p.file.Close()
		}
	}()
	var readErr error
	for _, path := range paths {
		if size <= 0 {
			break
		}
		file, info, err := openRegular(l.fs(), path, os.O_RDONLY)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				readErr = errors.Join(readErr, fmt.Errorf("read %q: %w", path, err))
			}
			continue
		}
		parts = append(parts, part{path: path, file: file, from: max(0, info.Size()-size), size: info.Size()})
		size -= info.Size()
	}
	r := reader{fn: func(line []byte) (bool, error) { return fn(line), nil }}
	if len(parts) > 0 {
		r.in = bufio.NewReaderSize(nil, l.maxLine()+1)
	}
	for i := len(parts) - 1; i >= 0; i-- {
		r.read(parts[i].path, parts[i].lines(r.in))
	}
	r.stats.FirstBad, r.stats.FirstTorn = "", "" // their line numbers begin in the middle of a file
	return r.stats, errors.Join(readErr, r.readErr)
}

// part is the last part of a file.
type part struct {
	path       string
	file       Handle
	from, size int64
}

// lines returns a reader that begins with the first line that begins in the part. It uses in to find
// the line.
func (p *part) lines(in *bufio.Reader) io.Reader {
	if p.from == 0 {
		return io.NewSectionReader(p.file, 0, p.size)
	}
	from := p.from - 1 // include the preceding byte to detect whether a line begins at p.from
	in.Reset(io.NewSectionReader(p.file, from, p.size-from))
	for {
		text, err := in.ReadSlice('\n')
		from += int64(len(text))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return io.NewSectionReader(p.file, from, p.size-from) // reading it repeats other errors
		}
	}
}
