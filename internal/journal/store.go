package journal

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"portsyncd/internal/snapshot"
)

// FileName is the name of the journal's current file in the storage directory.
const FileName = "events.jsonl"

// Limits of the events waiting to be written.
const (
	flushEvents = 256         // number of events that triggers a write
	flushMin    = time.Second // how long the first event waits for others
	flushMax    = 10 * time.Second
	flushCalm   = time.Minute // time without a write after which flushMin applies again
	maxPending  = 1 << 20     // maximum bytes kept while writes fail
	retryMin    = time.Second
	retryMax    = time.Minute
	maxLine     = 16 << 10 // maximum bytes of one line
	usualLine   = 512      // bytes that usually suffice for a line
	loadBytes   = 1 << 20  // bytes read at startup
	dirMode     = 0o755    // same as for the other files in the storage directory
)

// Settings hold the retention and size limits of the event files. They can be changed at run time.
type Settings struct {
	Retention   time.Duration // age at which events are removed
	MaxFileSize int64         // file size in bytes that triggers rotation; also the total size of the rotated files
}

// store writes events to files. Only the writer's goroutine uses it. Its times are readings of the
// loop's clock.
type store struct {
	dir      string // "" if events are not stored
	lock     *snapshot.DirLock
	log      snapshot.Log
	slog     *slog.Logger
	troubled func(error)

	pending   []byte // lines
	events    int    // number of lines
	discarded uint64 // number of events removed from pending
	since     int64  // when the first of them was added
	pause     time.Duration
	wroteAt   int64
	retryAt   int64
	retry     time.Duration // 0 if the last write succeeded
	refused   bool          // another process had locked the directory
	err       error         // of the last write
}

// open initializes the store.
func (s *store) open(o *Options) {
	s.dir, s.lock, s.slog, s.troubled = o.Dir, o.Lock, o.Log, o.Troubled
	s.log = snapshot.Log{Path: filepath.Join(o.Dir, FileName), At: lineTime, MaxLine: maxLine, FS: o.FS, Now: o.Now}
	s.configure(o.Settings)
	s.pause = flushMin
}

// configure applies settings.
func (s *store) configure(c Settings) {
	s.log.MaxFileSize = c.MaxFileSize
	s.log.MaxSpan = c.Retention / 8 // whole files are removed
	s.log.Keep = snapshot.Limits{Count: 1 << 20, Age: c.Retention, Bytes: c.MaxFileSize}
}

// lineTime parses the time of a line.
func lineTime(line []byte) (time.Time, bool) {
	text, ok := timeText(line)
	if !ok {
		return time.Time{}, false
	}
	var t time.Time
	return t, plainTime(text, &t)
}

// timeText returns the text of the member "time" of a line that AppendJSON wrote.
func timeText(line []byte) ([]byte, bool) {
	const begin = `{"time":"`
	const end = len(begin) + len(timeFormat)
	if len(line) <= end || string(line[:len(begin)]) != begin || line[end] != '"' {
		return nil, false
	}
	return line[len(begin):end], true
}

// load calls fn with the newest stored events, oldest first. The event is valid until fn returns.
// more is true if there are older events.
func (s *store) load(fn func(*Event)) (more bool) {
	if s.dir == "" {
		return false
	}
	var lines decoder
	var e Event // of the current line
	read := 0
	stats, err := s.log.Tail(loadBytes, func(line []byte) (good bool) {
		read += len(line) + 1
		var err error
		if e, err = lines.decode(line); err != nil {
			return false
		}
		fn(&e)
		return true
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // the recorder may not have created the directory yet
		s.slog.Error("cannot read the stored events", "error", err)
	}
	if stats.Bad > 0 {
		s.slog.Warn("skipping corrupt lines in the stored events", "file", s.log.Path, "lines", stats.Bad)
	}
	return read >= loadBytes/2 || stats.Files > 1
}

// add adds an event to those waiting to be written.
func (s *store) add(e *Event, now int64) {
	if s.dir == "" {
		return
	}
	if s.events == 0 {
		s.since = now
	}
	if len(s.pending) > maxPending {
		s.discarded += uint64(s.events)
		s.pending, s.events = s.pending[:0], 0
	}
	if cap(s.pending)-len(s.pending) < usualLine {
		// append would increase the capacity by a quarter and copy the lines many times.
		s.pending = slices.Grow(s.pending, max(cap(s.pending), 4*usualLine))
	}
	s.pending = append(e.AppendJSON(s.pending), '\n')
	s.events++
}

// due returns the time of the next scheduled write.
func (s *store) due() int64 {
	switch {
	case s.events == 0:
		return never
	case s.retry > 0:
		return s.retryAt
	case s.events >= flushEvents:
		return s.since
	}
	return s.since + int64(s.pause)
}

// write writes the pending events.
func (s *store) write(now int64) {
	if s.events == 0 {
		return
	}
	err := s.append()
	if err != nil {
		s.retry = min(max(2*s.retry, retryMin), retryMax)
		s.retryAt = now + int64(s.retry)
	} else {
		// To reduce flash wear, the interval grows if writes follow each other closely.
		if now-s.wroteAt > int64(flushCalm) {
			s.pause = flushMin
		} else {
			s.pause = min(2*s.pause, flushMax)
		}
		s.pending, s.events, s.wroteAt, s.retry = s.pending[:0], 0, now, 0
	}
	s.report(err)
}

// append writes the pending events to the file.
func (s *store) append() error {
	if err := snapshot.EnsureDir(s.dir, dirMode); err != nil {
		return err
	}
	if s.lock != nil {
		if err := s.lock.Acquire(); err != nil {
			s.refused = s.refused || errors.Is(err, snapshot.ErrLocked)
			return err
		}
	}
	if s.refused {
		// These events have the same sequence numbers as events written by the other process.
		s.refused = false
		s.discarded += uint64(s.events)
		return nil
	}
	return s.log.AppendLines(s.pending)
}

// report logs when writing events starts to fail and when it succeeds again. In both cases it calls
// troubled.
func (s *store) report(err error) {
	was := s.err
	s.err = err
	switch {
	case err != nil && was == nil:
		s.slog.Error("cannot write events; keeping them in memory and retrying", "error", err)
		s.troubled(err)
	case err == nil && was != nil:
		s.slog.Warn("writing events resumed", "discarded", s.discarded)
		s.discarded = 0
		s.troubled(nil)
	}
}

// newestSeq returns the sequence number of the newest stored event, or 0 if there is none.
func (s *store) newestSeq() (seq uint64) {
	var lines decoder
	_, err := s.log.Tail(loadBytes, func(line []byte) bool {
		e, err := lines.decode(line)
		seq = max(seq, e.Seq)
		return err == nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.slog.Error("cannot read the stored events", "error", err)
	}
	return seq
}
