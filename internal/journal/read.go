package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"portsyncd/internal/snapshot"
)

// Stats contains statistics of a [Read].
type Stats struct {
	Files    int      // number of files read
	Events   int      // number of events passed to the caller
	Corrupt  int      // number of skipped lines that are not events
	Problems []string // descriptions of what was skipped and why
}

// Read calls fn with the stored events that f selects, in the order in which they were recorded. It
// only reads the files in the storage directory and may be called while the daemon writes them. If
// fn returns an error, Read stops and returns that error unchanged. Corrupt lines are skipped;
// those not older than f.Since are counted. The event passed to fn is valid until fn returns. Read
// needs memory for f.Limit events, or for one event if f.Limit is 0. A directory without events is
// not an error, but a missing directory is.
func Read(dir string, f *Filter, fn func(*Event) error) (Stats, error) {
	r := reader{filter: f, fn: fn}
	if !f.Since.IsZero() && f.Since.Year() > 0 {
		r.since = f.Since.UTC().AppendFormat(nil, timeFormat)
	}
	if f.Limit > 0 {
		r.newest = make([]Event, 0, min(f.Limit, MaxLimit))
	}
	log := snapshot.Log{Path: filepath.Join(dir, FileName), MaxLine: maxLine}
	read, err := log.ReadRaw(f.Since, r.line)
	if err == nil && read.Files == 0 {
		_, err = os.Stat(dir)
	}
	if err == nil {
		err = r.flush()
	}
	s := Stats{Files: read.Files, Events: r.events, Corrupt: read.Bad}
	if read.Bad > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("skipped corrupt lines: %d, the first is %s: %.80q", read.Bad, read.FirstBad, r.corrupt))
	}
	if read.Torn {
		s.Problems = append(s.Problems, fmt.Sprintf("skipped an incomplete last line: %s", read.FirstTorn))
	}
	if r.stop != nil {
		return s, r.stop
	}
	if err != nil {
		return s, fmt.Errorf("read events in %s: %w", dir, err)
	}
	return s, nil
}

// reader selects events from lines.
type reader struct {
	filter  *Filter
	fn      func(*Event) error
	since   []byte // filter.Since as text
	lines   decoder
	event   Event // of the current line
	repeats repeats
	events  int
	corrupt []byte  // the first corrupt line
	newest  []Event // a ring once it holds cap(newest) events
	next    int
	stop    error // error returned by fn
}

// errStopped ends ReadRaw after fn returned an error.
var errStopped = errors.New("stopped")

// line processes one line of a file.
func (r *reader) line(line []byte) (good bool, err error) {
	// Most lines are too old. Compare the times as text to skip them quickly.
	if r.since != nil {
		if text, ok := timeText(line); ok && string(text) < string(r.since) && line[len(line)-1] == '}' {
			return true, nil
		}
	}
	e := &r.event
	if *e, err = r.lines.decode(line); err != nil {
		if r.corrupt == nil {
			r.corrupt = append([]byte{}, line[:min(len(line), 80)]...)
		}
		return false, nil
	}
	if !r.filter.Match(e) || r.repeats.seen(e) {
		return true, nil
	}
	if r.filter.Limit > 0 {
		r.keep(e)
		return true, nil
	}
	return true, r.pass(e)
}

// pass calls fn with an event.
func (r *reader) pass(e *Event) error {
	r.events++
	if r.stop = r.fn(e); r.stop != nil {
		return errStopped
	}
	return nil
}

// keep stores an event among the newest events.
func (r *reader) keep(e *Event) {
	if len(r.newest) < cap(r.newest) {
		r.newest = append(r.newest, *e)
		return
	}
	r.newest[r.next] = *e
	r.next = (r.next + 1) % len(r.newest)
}

// flush passes the stored events to fn.
func (r *reader) flush() error {
	for i := range r.newest {
		if err := r.pass(&r.newest[(r.next+i)%len(r.newest)]); err != nil {
			return err
		}
	}
	return nil
}

// repeats detects events that are in the files twice because the daemon repeated a write after a
// disk error.
type repeats struct {
	last   uint64
	recent [maxRepeats]struct {
		seq  uint64
		time int64
	}
}

// maxRepeats is greater than the number of events in maxPending bytes.
const maxRepeats = 1 << 14

// seen reports whether seen was called before with the same event.
func (r *repeats) seen(e *Event) bool {
	slot := &r.recent[e.Seq%maxRepeats]
	at := e.Time.UnixMilli()
	if e.Seq <= r.last && slot.seq == e.Seq && slot.time == at {
		return true
	}
	slot.seq, slot.time = e.Seq, at
	r.last = max(r.last, e.Seq)
	return false
}
