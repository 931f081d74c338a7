package portsync

import (
	"time"

	"portsyncd/internal/syslog"
	"portsyncd/internal/warmrestart"
)

// This file is the initial sync: from the request of the first dump until what
// it brought is acknowledged by STATE_DB.

// initialSync is what one start has to tell.
type initialSync struct {
	begun    int64 // when the dump was requested
	eoiuAt   int64 // when it is too late for the end of the dump; never once it came or was given up
	eoiu     bool  // the end came,
	eoiuTook int64 // so long after the request
	timedOut bool  // it came too late, or not at all
	done     bool
	took     int64 // nanoseconds from the request of the dump on

	compared, changed, deleted int
}

func (i *initialSync) begin(now int64, timeout time.Duration) {
	i.begun, i.eoiuAt = now, now+int64(timeout)
}

// Recorder stores what has to survive a restart. Its methods do not block, so that the loop
// never waits for the disk. warmrestart.Recorder implements it.
type Recorder interface {
	// HasState reports whether a good state file of this boot was found.
	HasState() bool
	// DiscardState tells the recorder that the state file does not match the databases.
	DiscardState()
	// RecordRestart stores the record of this start, once its initial sync is complete.
	RecordRestart(warmrestart.Restart)
	// RecordPorts stores the current ports, in any order. The recorder owns the slice.
	RecordPorts([]warmrestart.Port)
}

// Ports are handed to the recorder recordSettle after a change, so that a burst
// is one record, and at most every recordEvery: flash wears.
const (
	recordSettle = 50 * time.Millisecond
	recordEvery  = time.Second
)

// recordPorts hands a copy of the ports over.
func (l *Loop) recordPorts(now int64) {
	l.records = records{at: never, last: now}
	if l.Recorder == nil {
		return
	}
	ports := make([]warmrestart.Port, 0, len(l.state.ports))
	for _, p := range l.state.ports {
		if p.Accepted {
			ports = append(ports, warmrestart.Port{Name: p.Name, Index: p.Index, Admin: p.Admin, Oper: p.Oper,
				MTU: p.MTU, CarrierUp: p.CarrierUp, CarrierDown: p.CarrierDown})
		}
	}
	l.Recorder.RecordPorts(ports)
}

// endOfInitialUpdate is EOIU: the initial dump is complete.
func (l *Loop) endOfInitialUpdate() {
	l.initial.eoiu, l.initial.eoiuAt = true, never
	l.initial.eoiuTook = l.clock.now() - l.initial.begun
	l.initial.compared = l.state.interfaces()
	l.gateDue = true
	for _, c := range l.ports {
		// Orchagent had set it up: if it has no interface now, it had one.
		if p := l.state.ports[c.Name]; c.HasAdmin && p != nil {
			p.wasThere = true
			l.state.touch(p)
		}
	}
}

// eoiuTimeout goes on with what is known. The dump may still complete; rows of
// interfaces that vanished are deleted then.
func (l *Loop) eoiuTimeout() {
	l.initial.timedOut, l.initial.eoiuAt = true, never
	l.initial.compared = l.state.interfaces()
	l.gateDue = true
	l.Log.Warn("the kernel's initial dump did not end in time, going on with what is known",
		"timeout", l.EOIUTimeout, "interfaces", l.initial.compared)
}

// openGate lets writes out, as soon as there is a connection. What a warm start
// finds in STATE_DB already is settled without a write, so that no row
// flickers; what differs stays in the batch.
func (l *Loop) openGate() {
	if !l.gateDue || l.session == nil || !l.started || l.clock.now() < l.retryAt {
		return
	}
	if l.gated {
		if !l.check(l.session.store.Compare(l.batch.ports)) {
			return
		}
		l.batch.Settle(l.found)
		l.todo.produce = l.todo.produce || l.decision.Produce == ProduceAfterEOIU
	}
	l.gate = gate{gateOpenedAt: l.clock.now()}
}

// finishInitial ends the initial sync once all it brought is acknowledged, and
// tells whoever waits for that.
func (l *Loop) finishInitial() {
	i := &l.initial
	if i.done || !l.started || l.session == nil || l.gated || l.audits.compare || l.batch.Len() > 0 ||
		!(i.eoiu || i.timedOut) || i.eoiu && l.audits.sweep == sweepStart {
		return
	}
	now := l.clock.now()
	i.done, i.took = true, now-i.begun
	took := time.Duration(i.took)
	r := warmrestart.Restart{
		At: l.clock.time(i.begun), Kind: l.decision.Kind.String(), Reason: l.decision.Reason, Requested: l.decision.Requested(), Duration: took,
		EOIU: i.eoiu, TimedOut: i.timedOut, EOIULatency: time.Duration(i.eoiuTook),
		Process: l.clock.base.UTC(), Events: l.Metrics.counts().Events,
		Compared: i.compared, Changed: i.changed, Deleted: i.deleted,
	}
	l.Log.Log(l.ctx, syslog.LevelNotice, "initial sync complete", "kind", r.Kind, "took", took,
		"compared", r.Compared, "changed", r.Changed, "deleted", r.Deleted)
	if l.Recorder != nil {
		l.Recorder.RecordRestart(r)
	}
	l.countAt = now + int64(countAfter)
}
