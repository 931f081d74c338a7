package warmrestart

import (
	"sync/atomic"
	"time"
)

// debt is since when a file should have been written, and from when on that is
// too long; nanoseconds since 1970, 0 while nothing is owed. Run writes, anyone
// reads.
type debt struct{ since, late atomic.Int64 }

// What is written each save interval may be two intervals late, as old as three.
// Ports that change all the time are written each pauseMax.
const (
	lateIntervals = 2
	latePorts     = 3 * pauseMax
)

// patience is how long a file may be owed.
func (m *Memory) patience(file int) time.Duration {
	if file == fileState {
		return latePorts
	}
	return lateIntervals * m.cfg.SaveInterval
}

// setOwed says whether a file is to be written.
func (m *Memory) setOwed(file int, owed bool) {
	d := &m.debts[file]
	m.chores[file].owed = owed
	switch now := time.Now(); {
	case !owed:
		d.since.Store(0)
		d.late.Store(0)
	case d.since.Load() == 0:
		d.since.Store(now.UnixNano())
		d.late.Store(now.Add(m.patience(file)).UnixNano())
	}
}

// Overdue returns the file that has been owed for the longest time, in words, and
// since when, if that is too long: the ports for minutes, what is written each
// save interval for two of them. Then a restart comes back with what is old. It
// may be called from any goroutine and allocates nothing.
func (m *Memory) Overdue(now time.Time) (what string, since time.Time, overdue bool) {
	oldest := int64(0)
	for i := range m.debts {
		from, late := m.debts[i].since.Load(), m.debts[i].late.Load()
		if late == 0 || now.UnixNano() < late || oldest != 0 && from >= oldest {
			continue
		}
		what, oldest = m.chores[i].what, from
	}
	return what, time.Unix(0, oldest), oldest != 0
}
