package journal

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"portsyncd/internal/snapshot"
)

// FileName is the name of the current file of the journal in the storage directory.
const FileName = "events.jsonl"

// Bounds of the events that wait to be written.
const (
	flushEvents = 256         // so many are written at once
	flushMin    = time.Second // the first event waits this long for others
	flushMax    = 10 * time.Second
	flushCalm   = time.Minute // after this long without a write, flushMin holds again
	maxPending  = 1 << 20     // bytes kept while the disk fails
	retryMin    = time.Second
	retryMax    = time.Minute
	maxLine     = 16 << 10 // bytes of one line
	loadBytes   = 1 << 20  // read at the start
	dirMode     = 0o755    // as of the other files of the storage directory
)

// Settings of the files. They can change while running.
type Settings struct {
	Retention   time.Duration // age at which events are removed
	MaxFileSize int64         // bytes at which a new file begins; the earlier files have as much together
}

// store writes the events to the disk. It belongs to the writer. Its times are on the loop's clock.
type store struct {
	dir      string // "" if no files are kept
	lock     *snapshot.DirLock
	log      snapshot.Log
	slog     *slog.Logger
	troubled func(string)

	pending   []byte // lines
	events    int    // number of lines
	discarded uint64 // events that were removed from pending
	since     int64  // when the first of them was added
	pause     time.Duration
	wroteAt   int64
	retryAt   int64
	retry     time.Duration // 0 if the last write succeeded
	refused   bool          // another process had the directory
	err       error         // of the last write
}

// open sets the store up.
func (s *store) open(o *Options) {
	s.dir, s.lock, s.slog, s.troubled = o.Dir, o.Lock, o.Log, o.Troubled
	s.log = snapshot.Log{Path: filepath.Join(o.Dir, FileName), At: lineTime, MaxLine: maxLine, FS: o.FS, Now: o.Now}
	s.configure(o.Settings)
	s.pause = flushMin
}

// configure takes settings into use.
func (s *store) configure(c Settings) {
	s.log.MaxFileSize = c.MaxFileSize
	s.log.MaxSpan = c.Retention / 8 // whole files are removed
	s.log.Keep = snapshot.Limits{Count: 1 << 20, Age: c.Retention, Bytes: c.MaxFileSize}
}

// lineTime returns the time of a line.
func lineTime(line []byte) (time.Time, bool) {
	text, ok := timeText(line)
	if !ok {
		return time.Time{}, false
	}
	var t time.Time
	return t, plainTime(text, &t)
}

// timeText returns the text of the time of a line as AppendJSON writes it.
func timeText(line []byte) ([]byte, bool) {
	const begin = `{"time":"`
	const end = len(begin) + len(timeFormat)
	if len(line) <= end || string(line[:len(begin)]) != begin || line[end] != '"' {
		return nil, false
	}
	return line[len(begin):end], true
}

// load calls fn with the newest stored events, oldest first.
func (s *store) load(fn func(*Event)) (more bool) {
	if s.dir == "" {
		return false
	}
	var lines decoder
	read := 0
	stats, err := s.log.Tail(loadBytes, func(line []byte) bool {
		read += len(line) + 1
		e, err := lines.decode(line)
		if err != nil {
			return false
		}
		fn(&e)
		return true
	})
	if err != nil {
		s.slog.Error("cannot read the stored events", "error", err)
	}
	if stats.Bad > 0 {
		s.slog.Warn("skipped damaged lines of the stored events", "file", s.log.Path, "lines", stats.Bad)
	}
	return read >= loadBytes/2 || stats.Files > 1
}

// add adds an event to those that wait to be written.
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
	s.pending = append(e.AppendJSON(s.pending), '\n')
	s.events++
}

// due returns when write has something to do.
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
		// Flash wears: writes that follow each other closely come less often.
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
		// The numbers of these events are those of the other process's events.
		s.refused = false
		s.discarded += uint64(s.events)
		return nil
	}
	return s.log.AppendLines(s.pending)
}

// report logs when writing begins to fail and when it works again, and tells the owner.
func (s *store) report(err error) {
	was := s.err
	s.err = err
	switch {
	case err != nil && was == nil:
		s.slog.Error("cannot write events; keeping them in memory and retrying", "error", err)
		s.troubled("cannot write the events: " + err.Error())
	case err == nil && was != nil:
		s.slog.Warn("events are written again", "discarded", s.discarded)
		s.discarded = 0
		s.troubled("")
	}
}

// newestSeq returns the sequence number of the newest stored event, 0 if there is none.
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
