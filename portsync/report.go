package portsync

import (
	"math"
	"sync/atomic"
)

// This file is what the loop tells others about itself: all of it, in one place,
// derived from the loop's own state.

// publishStatus stores into Status what the loop knows. Nothing else of the loop
// stores there, so that no path can forget to. A turn calls it before the
// databases are asked, which can take long, and before the loop sleeps. Its cost
// grows with the ports that the turn touched, not with the ports there are; it
// allocates only when a port comes or goes.
func (l *Loop) publishStatus() {
	l.publishPorts()
	s := l.Status
	setNumber(&s.waiting, int64(l.batch.Len()))
	setNumber(&s.waitingFrom, l.batch.oldest())
	setNumber(&s.stalledFrom, l.stalledFrom()) // which needs its time: HealthMonitor.Watch looks often enough
	setNumber(&s.queued, int64(l.ring.len()))
	setNumber(&s.progress, l.progressAt)
	setNumber(&s.wroteAt, l.wroteAt)
	setNumber(&s.configured, int64(len(l.configured)))
	setNumber(&s.initPending, int64(l.state.InitPending()))
	setNumber(&s.syncTook, l.initial.took)
	setNumber(&s.resynced, l.dump.resynced)
	setNumber(&s.audited, l.audits.endedAt)
	setNumber(&s.announced, int64(l.counts.Announced))
	setNumber(&s.rows, int64(l.counts.Rows))
	setNumber(&s.unsynced, l.dump.unsynced())
	setFlag(&s.configDone, l.configDone)
	setFlag(&s.initDone, l.initDone)
	if s.decided.Load() != l.decision {
		s.decided.Store(l.decision)
	}

	// Health depends on these; whoever watches it is woken up.
	changed := setNumber(&s.maxStall, int64(l.MaxStall))
	changed = setNumber(&s.maxFailureRate, int64(math.Float64bits(l.MaxFailureRate))) || changed
	changed = setFlag(&s.started, l.started) || changed
	changed = setFlag(&s.ready, l.initial.done) || changed
	changed = setFlag(&s.synced, l.started && l.dump.unsynced() == 0) || changed
	changed = setNumber(&s.overran, l.overranAt) || changed
	changed = setFlag(&s.initLate, l.initLate && !l.initDone) || changed
	changed = setNumber(&s.mismatched, l.mismatched()) || changed
	changed = setNumber(&s.failures, int64(s.rate.failed.Load())) || changed
	if l.unreadShown != l.state.unreads {
		l.unreadShown = l.state.unreads
		s.unread.Store(l.state.unreadNames())
		changed = true
	}
	refusal := l.refusal
	if refusal == nil {
		refusal = l.rows.describe()
	}
	if s.refusal.Load() != refusal {
		s.refusal.Store(refusal)
		changed = true
	}
	if c := s.connection.Load(); c == nil || *c != l.connection {
		is := l.connection
		s.connection.Store(&is)
		setFlag(&s.connected, is.up)
		changed = true
	}
	if l.findMissing(l.clock.now()) {
		s.missing.Store(l.absences.missing)
		changed = true
	}
	if changed {
		s.poke()
	}
}

// publishPorts publishes the ports that were touched since the last time.
func (l *Loop) publishPorts() {
	if len(l.state.touched) == 0 {
		return
	}
	listed := false // the list of ports changes
	fresh := l.fresh[:0]
	for _, p := range l.state.touched {
		p.touched = false
		listed = l.publishPort(p, &fresh) || listed
	}
	clear(l.state.touched)
	l.state.touched = l.state.touched[:0]
	if listed {
		l.Status.ports.change(fresh)
		clear(fresh)
	}
	l.fresh = fresh
	setNumber(&l.Status.present, l.present)
}

// publishPort stores the facts of one port. It adds the view of a port that comes
// to fresh, and reports whether the port comes or goes.
func (l *Loop) publishPort(p *Port, fresh *[]*publishedPort) (listed bool) {
	if present := p.state() == PortPresent; present != p.present {
		p.present = present
		l.present += 2*bit(present) - 1
	}
	why := l.state.lackOf(p)
	l.absences.note(p, why, max(l.clock.now(), 1))
	l.rows.note(p)
	if !p.visible() {
		if p.view == nil {
			return false
		}
		p.view.gone, p.view.flaps.shown = true, false
		p.view = nil
		if p.series != nil {
			p.series.row.Remove()
			p.series = nil
		}
		return true
	}
	if p.view == nil {
		p.view = l.Status.ports.add(p.Name)
		*fresh = append(*fresh, p.view)
		listed = true
		if l.Metrics.ports != nil {
			p.series = l.Metrics.ports.add(p.Name)
		}
	}
	p.view.publish(p, why)
	if p.series != nil {
		p.series.update(p, l.clock)
	}
	return listed
}

// stalledFrom returns since when work has been waiting without an answer of the
// databases while nothing stood in its way; 0 if none waits or something does.
// Who is refused does not stand still.
func (l *Loop) stalledFrom() int64 {
	if l.batch.Len() == 0 || l.session == nil || !l.started || l.gated {
		return 0
	}
	return max(l.batch.oldest(), l.answeredAt, l.connection.since, l.gateOpenedAt)
}

// mismatched returns how many rows the last audit found wrong; 0 if no other one
// will say that they are right.
func (l *Loop) mismatched() int64 {
	if l.AuditInterval <= 0 {
		return 0
	}
	return l.audits.wrong
}

// setFlag and setNumber store a fact and report whether it has changed. Most have
// not, and a load costs less than a store.
func setFlag(a *atomic.Bool, v bool) bool {
	if a.Load() == v {
		return false
	}
	a.Store(v)
	return true
}

func setNumber(a *atomic.Int64, v int64) bool {
	if a.Load() == v {
		return false
	}
	a.Store(v)
	return true
}
