package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// AppendLines adds lines, each of which is one JSON value and ends with a line break, in one write
// and one fsync. When it returns nil, the lines are on the disk. On an error some of them may be in
// the file, and the caller may write all of them again. The caller guarantees that the lines are JSON; AppendLines checks their length.
func (l *Log) AppendLines(lines []byte) error {
	if err := l.appendLines(lines); err != nil {
		return fmt.Errorf("append to %q: %w", l.Path, err)
	}
	return nil
}

func (l *Log) appendLines(lines []byte) error {
	if len(lines) == 0 || lines[len(lines)-1] != '\n' {
		return errors.New("lines without a line break at the end")
	}
	for line := range bytes.Lines(lines) {
		if len(line)-1 > l.maxLine() {
			return fmt.Errorf("a line of %d bytes: want at most %d", len(line)-1, l.maxLine())
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
	err = l.write(file, size, lines[:len(lines)-1])
	if err != nil && size > 0 {
		file.Truncate(size) // the caller writes all lines again
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil && size == 0 {
		err = syncDir(l.fs(), l.Path)
	}
	return err
}

// Tail calls fn with the lines in the last size bytes of the log, or in a few more, oldest first.
// It reads earlier files if the current one is smaller. The line is valid until fn returns; fn
// reports whether the line makes sense. Tail changes nothing. A missing log is no error.
func (l *Log) Tail(size int64, fn func(line []byte) (good bool)) (ReadStats, error) {
	found, err := scan(l.fs(), l.Path)
	if err != nil {
		return ReadStats{}, fmt.Errorf("read the end of %q: %w", l.Path, err)
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
	var trouble error
	for _, path := range paths {
		if size <= 0 {
			break
		}
		file, info, err := openRegular(l.fs(), path, os.O_RDONLY)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				trouble = errors.Join(trouble, fmt.Errorf("read %q: %w", path, err))
			}
			continue
		}
		parts = append(parts, part{path: path, file: file, from: max(0, info.Size()-size), size: info.Size()})
		size -= info.Size()
	}
	var stats ReadStats
	for i := len(parts) - 1; i >= 0; i-- {
		if err := parts[i].read(l.maxLine(), fn, &stats); err != nil {
			trouble = errors.Join(trouble, fmt.Errorf("read %q: %w", parts[i].path, err))
		}
	}
	return stats, trouble
}

// part is the end of one file.
type part struct {
	path       string
	file       Handle
	from, size int64
}

// read calls fn with the whole lines of the part.
func (p *part) read(maxLine int, fn func([]byte) bool, stats *ReadStats) error {
	stats.Files++
	from := max(0, p.from-1) // to see whether a line begins at p.from
	text := make([]byte, p.size-from)
	n, err := p.file.ReadAt(text, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	text = text[:n]
	if p.from > 0 {
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	for line := range bytes.Lines(text) {
		switch {
		case line[len(line)-1] != '\n':
			stats.Torn = true
		case len(line) <= maxLine && fn(line[:len(line)-1]):
			stats.Lines++
		default:
			stats.Bad++
		}
	}
	return nil
}
