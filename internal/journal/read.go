package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"portsyncd/internal/snapshot"
)

// Stats says what [Read] found.
type Stats struct {
	Files    int      // read
	Events   int      // passed to the caller
	Damaged  int      // lines that were skipped because they are no events
	Problems []string // what was skipped and why, for a person
}

// Read calls fn with the stored events that f selects, in the order in which they were recorded. It
// reads the files of the storage directory, changes nothing, and may be called while the daemon
// writes. An error of fn ends Read and is returned as it is. Damaged lines are skipped, and counted
// if they are not older than f.Since. The event is valid until fn returns. Read needs memory for
// f.Limit events, or for one if that is 0. A directory
// without events is no error; a missing one is.
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
	s := Stats{Files: read.Files, Events: r.events, Damaged: read.Bad}
	if read.Bad > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("skipped %d damaged lines in %s, the first is %.80q", read.Bad, dir, r.damaged))
	}
	if read.Torn {
		s.Problems = append(s.Problems, fmt.Sprintf("a file in %s ends within a line, which was skipped", dir))
	}
	if r.stop != nil {
		return s, r.stop
	}
	if err != nil {
		return s, fmt.Errorf("read the events in %s: %w", dir, err)
	}
	return s, nil
}

// reader selects lines.
type reader struct {
	filter  *Filter
	fn      func(*Event) error
	since   []byte // the text of filter.Since
	lines   decoder
	event   Event // of the current line
	repeats repeats
	events  int
	damaged []byte  // the first damaged line
	newest  []Event // a ring once it has cap(newest) events
	next    int
	stop    error // of fn
}

// errStopped ends ReadRaw after an error of fn.
var errStopped = errors.New("stopped")

// line takes one line of a file.
func (r *reader) line(line []byte) (good bool, err error) {
	// Most lines are too old. Their times can be compared as text.
	if r.since != nil {
		if text, ok := timeText(line); ok && string(text) < string(r.since) && line[len(line)-1] == '}' {
			return true, nil
		}
	}
	e := &r.event
	if *e, err = r.lines.decode(line); err != nil {
		if r.damaged == nil {
			r.damaged = append([]byte{}, line[:min(len(line), 80)]...)
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

// pass calls fn.
func (r *reader) pass(e *Event) error {
	r.events++
	if r.stop = r.fn(e); r.stop != nil {
		return errStopped
	}
	return nil
}

// keep keeps the newest events.
func (r *reader) keep(e *Event) {
	if len(r.newest) < cap(r.newest) {
		r.newest = append(r.newest, *e)
		return
	}
	r.newest[r.next] = *e
	r.next = (r.next + 1) % len(r.newest)
}

// flush passes the newest events on.
func (r *reader) flush() error {
	for i := range r.newest {
		if err := r.pass(&r.newest[(r.next+i)%len(r.newest)]); err != nil {
			return err
		}
	}
	return nil
}

// repeats recognises events that are in the files twice, because the daemon wrote a group of them
// again after an error of the disk.
type repeats struct {
	last   uint64
	recent [maxRepeats]struct {
		seq  uint64
		time int64
	}
}

// maxRepeats is more than the events in maxPending bytes.
const maxRepeats = 1 << 14

// seen reports whether the event was seen before.
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
