package portsync

import (
	"sync/atomic"
	"time"
)

// Status is what others may see of the loop: the loop writes, anyone reads, and
// nobody waits.
type Status struct {
	started    atomic.Bool // the start's writes are acknowledged
	ready      atomic.Bool
	connected  atomic.Bool // to the databases
	synced     atomic.Bool // the last dump asked for is complete
	configDone atomic.Bool
	initDone   atomic.Bool

	waitingSince atomic.Int64     // since when work has been waiting, on the loop's clock; 0: none waits
	waiting      atomic.Int64     // ports in the batch
	events       [8]atomic.Uint64 // by EventKind
	resyncs      atomic.Uint64
	repairs      atomic.Uint64
	reconnects   atomic.Uint64
	writes       atomic.Uint64 // rows set or deleted, acknowledged
	writeErrors  atomic.Uint64
}

// Health is a verdict on the daemon.
type Health struct {
	OK      bool
	Reasons []string // why not, or what is still awaited
}

// Health says whether STATE_DB is, as far as the loop knows, what the kernel
// says. It reads atomics only.
func (s *Status) Health() Health {
	var h Health
	for _, c := range []struct {
		ok     bool
		reason string
	}{
		{s.connected.Load(), "no connection to the databases"},
		{s.started.Load(), "the start is not complete"},
		{s.synced.Load() || !s.started.Load(), "a dump of the kernel's links is under way"},
	} {
		if !c.ok {
			h.Reasons = append(h.Reasons, c.reason)
		}
	}
	h.OK = len(h.Reasons) == 0
	return h
}

// InitDone reports whether PortInitDone was produced.
func (s *Status) InitDone() bool { return s.initDone.Load() }

// event counts one event that was decided on.
func (s *Status) event(ev *Event) { s.events[ev.Kind].Add(1) }

// resync counts one resync.
func (s *Status) resync(reason string) { s.resyncs.Add(1) }

// backlog notes how many ports wait for the databases.
func (s *Status) backlog(n int, now int64) {
	s.waiting.Store(int64(n))
	switch {
	case n == 0:
		s.waitingSince.Store(0)
	case s.waitingSince.Load() == 0:
		s.waitingSince.Store(now)
	}
}

// acknowledged notes that the databases answered.
func (s *Status) acknowledged(now int64) {
	if s.waitingSince.Load() != 0 {
		s.waitingSince.Store(now)
	}
}

// written counts an acknowledged row.
func (s *Status) written(was pending, now int64) { s.writes.Add(1) }

// stalledFor returns for how long work has been waiting without an answer.
func (s *Status) stalledFor(now int64) time.Duration {
	since := s.waitingSince.Load()
	if since == 0 {
		return 0
	}
	return time.Duration(now - since)
}

// Ready reports whether the initial sync is complete.
func (s *Status) Ready() bool { return s.ready.Load() }
