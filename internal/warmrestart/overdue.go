package warmrestart

import (
	"sync/atomic"
	"time"
)

// dirtyTime holds the time at which a file became dirty and the time at which its write is overdue,
// in nanoseconds since 1970. Both are 0 while the file is clean. Run writes them, and any goroutine
// may read them.
type dirtyTime struct{ since, overdue atomic.Int64 }

// Files that are written once per save interval are overdue after two more intervals. Ports
// that keep changing are written once per maxPause.
const (
	overdueIntervals = 2
	overduePorts     = 3 * maxPause
)

// maxDelay returns how long a file may stay dirty before it is overdue.
func (rec *Recorder) maxDelay(file int) time.Duration {
	if file == fileState {
		return overduePorts
	}
	return overdueIntervals * rec.cfg.SaveInterval
}

// setDirty sets whether a file has to be written.
func (rec *Recorder) setDirty(file int, dirty bool) {
	d := &rec.dirtyTimes[file]
	rec.tasks[file].dirty = dirty
	switch now := time.Now(); {
	case !dirty:
		d.since.Store(0)
		d.overdue.Store(0)
	case d.since.Load() == 0:
		d.since.Store(now.UnixNano())
		d.overdue.Store(now.Add(rec.maxDelay(file)).UnixNano())
	}
}

// Overdue returns the name of the overdue file that has been dirty for the longest time, and since
// when. After a restart, the daemon would read an outdated version of that file. Overdue may be
// called from any goroutine and does not allocate.
func (rec *Recorder) Overdue(now time.Time) (what string, since time.Time, overdue bool) {
	oldest := int64(0)
	for i := range rec.dirtyTimes {
		from, limit := rec.dirtyTimes[i].since.Load(), rec.dirtyTimes[i].overdue.Load()
		if limit == 0 || now.UnixNano() < limit || oldest != 0 && from >= oldest {
			continue
		}
		what, oldest = rec.tasks[i].what, from
	}
	return what, time.Unix(0, oldest), oldest != 0
}
