package portsync

import (
	"math"
	"slices"
	"sync/atomic"
)

// publisher owns the port data shown by Status: views and series of the ports, missing ports, and
// ports whose row is refused.
type publisher struct {
	*base
	absences absences
	rows     refusedRows
	present  int64            // number of ports that are PortPresent
	hides    int              // the State.hides that Status shows
	fresh    []*publishedPort // scratch
}

func newPublisher(b *base) publisher { return publisher{base: b, absences: newAbsences(b)} }

// publishStatus stores the loop's state in Status. No other function of the loop does this, so no
// code path can omit it. A turn calls publishStatus before it accesses the databases, which may
// take long, and before the loop sleeps. The cost depends on the number of ports touched in the
// turn, not on the number of all ports. It allocates only when a port is added or removed.
func (l *Loop) publishStatus() {
	l.shown.publishPorts()
	s := l.Status
	setNumber(&s.backlog, int64(l.writes.len()))
	setNumber(&s.backlogSince, l.writes.batch.oldest())
	setNumber(&s.stalledSince, l.stalledFrom()) // no wake-up: HealthMonitor checks the duration of a stall itself
	setNumber(&s.progress, l.db.progressAt)
	setNumber(&s.wroteAt, l.writes.wroteAt)
	setNumber(&s.configured, int64(len(l.handover.configured)))
	setNumber(&s.initPending, int64(l.state.InitPending()))
	setNumber(&s.syncTook, l.initial.took)
	setNumber(&s.resynced, l.dumps.resynced)
	setNumber(&s.audited, l.audits.endedAt)
	setNumber(&s.announced, int64(l.audits.counts.Announced))
	setNumber(&s.rows, int64(l.audits.counts.Rows))
	setNumber(&s.unsynced, l.dumps.unsynced())
	from, held := l.dumps.slowSince()
	setNumber(&s.dumpFrom, from) // before dumpHeld: unsyncedFor reads them in the opposite order
	setNumber(&s.dumpHeld, held)
	setFlag(&s.configDone, l.handover.configDone)
	setFlag(&s.initDone, l.handover.initDone)
	if s.decided.Load() != l.initial.decision {
		s.decided.Store(l.initial.decision)
	}

	// Health depends on the following values, so a change wakes the HealthMonitor.
	changed := setNumber(&s.maxStall, int64(l.MaxStall))
	changed = setNumber(&s.maxFailureRate, int64(math.Float64bits(l.MaxFailureRate))) || changed
	changed = setFlag(&s.started, l.initial.started) || changed
	changed = setFlag(&s.ready, l.initial.done) || changed
	changed = setFlag(&s.synced, l.initial.started && l.dumps.unsynced() == 0) || changed
	changed = setNumber(&s.overrunAt, l.dumps.overranAt) || changed
	changed = setFlag(&s.initLate, l.handover.initLate && !l.handover.initDone) || changed
	changed = setNumber(&s.mismatched, l.audits.mismatched()) || changed
	if l.shown.unreadChanged() {
		s.unread.Store(l.state.unreadNames())
		changed = true
	}
	refusal := l.db.refusal
	if refusal == nil {
		refusal = l.shown.rows.describe()
	}
	if s.refusal.Load() != refusal {
		s.refusal.Store(refusal)
		changed = true
	}
	if s.portsUnread.Load() != l.db.portsUnread {
		s.portsUnread.Store(l.db.portsUnread)
		changed = true
	}
	if c := s.connection.Load(); c == nil || *c != l.db.connection {
		is := l.db.connection
		s.connection.Store(&is)
		setFlag(&s.connected, is.up)
		changed = true
	}
	if l.shown.absences.find(l.clock.now(), l.initial.eoiu) {
		s.missing.Store(l.shown.absences.missing)
		changed = true
	}
	if changed {
		s.wake()
	}
}

// stalledFrom returns the time at which the loop began to wait for a reply from a connected
// database, or 0 if it is not waiting. An error reply also ends the wait.
func (l *Loop) stalledFrom() int64 {
	if l.writes.len() == 0 || l.db.session == nil || !l.initial.started || l.initial.gated {
		return 0
	}
	return max(l.writes.batch.oldest(), l.db.answeredAt, l.db.connection.since, l.initial.gateOpenedAt)
}

// unreadChanged reports whether the set of links whose messages cannot be read may have changed
// since the last call.
func (p *publisher) unreadChanged() bool {
	was := p.hides
	p.hides = p.state.hides
	return p.hides != was
}

// publishPorts publishes the ports that were touched since the last call.
func (p *publisher) publishPorts() {
	if len(p.state.touched) == 0 {
		return
	}
	if slices.ContainsFunc(p.state.touched, func(port *Port) bool { return port.view == nil && port.visible() }) {
		// Adding ports in their natural order is cheaper than inserting each one into the lists.
		slices.SortFunc(p.state.touched, func(a, b *Port) int { return compareNames(a.Name, b.Name) })
	}
	listed := false // the list of ports has changed
	fresh := p.fresh[:0]
	for _, port := range p.state.touched {
		listed = p.publishPort(port, &fresh) || listed
	}
	p.state.untouch()
	if listed {
		p.Status.ports.change(fresh)
		clear(fresh)
	}
	p.fresh = fresh
	setNumber(&p.Status.present, p.present)
}

// publishPort publishes one port. If the port is published for the first time, its entry is
// appended to fresh. publishPort reports whether the list of ports has changed.
func (p *publisher) publishPort(port *Port, fresh *[]*publishedPort) (listed bool) {
	if present := port.isPresent(); present != port.present {
		port.present = present
		p.present += 2*bit(present) - 1
	}
	why := p.state.lackOf(port)
	p.absences.update(port, why, max(p.clock.now(), 1))
	p.rows.update(port)
	if !port.visible() {
		if port.view == nil {
			return false
		}
		p.Status.ports.remove(port.view)
		port.view = nil
		if port.series != nil {
			port.series.row.Remove()
			port.series = nil
		}
		return true
	}
	if port.view == nil {
		port.view = p.Status.ports.add(port.Name)
		*fresh = append(*fresh, port.view)
		listed = true
		if p.Metrics.ports != nil {
			port.series = p.Metrics.ports.add(port.Name)
		}
	}
	port.view.publish(port, why)
	if port.series != nil {
		port.series.update(port, p.clock)
	}
	return listed
}

// setFlag stores v in a and reports whether the value has changed. Usually it has not, and a load is
// cheaper than a store.
func setFlag(a *atomic.Bool, v bool) bool {
	if a.Load() == v {
		return false
	}
	a.Store(v)
	return true
}

// setNumber is like setFlag for numbers.
func setNumber(a *atomic.Int64, v int64) bool {
	if a.Load() == v {
		return false
	}
	a.Store(v)
	return true
}
