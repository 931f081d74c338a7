package portsync

import (
	"time"

	"portsyncd/syslog"
	"portsyncd/systemd"
)

// This file is the initial sync: from the request of the first dump until what
// it brought is acknowledged by STATE_DB.

// initialSync is what one start has to tell.
type initialSync struct {
	begun    int64 // when the dump was requested
	eoiuAt   int64 // when it is too late for the end of the dump; never once it came or was given up
	eoiu     bool  // the end came
	timedOut bool  // it came too late, or not at all
	done     bool

	compared, changed, deleted int
}

func (i *initialSync) begin(now int64, timeout time.Duration) {
	i.begun, i.eoiuAt = now, now+int64(timeout)
}

// Restart is the record of one start.
type Restart struct {
	At       time.Time // when the dump was requested
	Kind     StartKind
	Reason   string        // why this kind
	Duration time.Duration // of the initial sync
	EOIU     bool          // the end of the initial dump came, in time or late
	TimedOut bool          // it did not come within the timeout
	// Compared ports were in the dump; Changed ones had a row in STATE_DB that
	// was not what the kernel says, and Deleted rows had no interface any more.
	Compared, Changed, Deleted int
}

// Recorder keeps what has to survive the process. Its methods return at once:
// the loop never waits for a disk.
type Recorder interface {
	// Restarted gets the record of this start, once its initial sync is over.
	Restarted(Restart)
	// PortsChanged gets the ports as they are now, a copy that is the
	// recorder's to keep.
	PortsChanged([]PortState)
}

// PortState is a port as it was last acknowledged.
type PortState struct {
	Name                   string
	Index                  int32
	Admin, Oper            bool
	MTU                    uint32
	CarrierUp, CarrierDown uint32
}

// endOfInitialUpdate is EOIU: the initial dump is complete.
func (l *Loop) endOfInitialUpdate() {
	l.initial.eoiu, l.initial.eoiuAt = true, never
	l.initial.compared = l.state.interfaces()
	l.gateDue = true
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
		l.answered()
		l.batch.Settle(l.found)
	}
	l.gated, l.gateDue = false, false
	if l.decision.Produce == ProduceAfterEOIU {
		l.owes.produce = true
	}
}

// foundRight takes note of a port whose row needed no write.
func (l *Loop) foundRight(p *Port, was pending) {
	l.served(p, was)
}

// finishInitial ends the initial sync once all it brought is acknowledged, and
// tells whoever waits for that.
func (l *Loop) finishInitial() {
	i := &l.initial
	if i.done || !l.started || l.session == nil || l.gated || l.compare || l.batch.Len() > 0 ||
		!(i.eoiu || i.timedOut) {
		return
	}
	i.done = true
	now := l.clock.now()
	took := time.Duration(now - i.begun)
	r := Restart{
		At: l.clock.time(i.begun), Kind: l.decision.Kind, Reason: l.decision.Reason, Duration: took,
		EOIU: i.eoiu, TimedOut: i.timedOut,
		Compared: i.compared, Changed: i.changed, Deleted: i.deleted,
	}
	l.Log.Log(l.ctx, syslog.LevelNotice, "initial sync complete", "kind", r.Kind.String(), "took", took,
		"compared", r.Compared, "changed", r.Changed, "deleted", r.Deleted)
	if l.Recorder != nil {
		l.Recorder.Restarted(r)
	}
	l.Status.ready.Store(true)
	l.notify(systemd.Ready, systemd.Status("%s", l.summary()))
}
