package portsync

import (
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/internal/warmrestart"
)

// initialSync owns the startup sequence: the start decision, the initial dump, the writes that a warm
// start holds back until it can compare rows, and the end of the initial sync, when Redis has
// acknowledged everything that the initial dump reported.
type initialSync struct {
	*base
	decision *Decision // nil until the start is decided; not changed afterwards
	started  bool      // the first writes are acknowledged

	gated        bool  // rows are not written yet
	gateDue      bool  // open the gate as soon as there is a connection
	gateOpenedAt int64 // 0 if the gate is not open yet

	begun    int64 // when the initial dump was requested
	eoiuAt   int64 // when the end of the dump (EOIU) is late; never after it arrived or timed out
	eoiu     bool  // the end of the dump arrived
	eoiuTook int64 // nanoseconds from the request to the end of the dump
	timedOut bool  // the end of the dump did not arrive in time
	done     bool
	took     int64 // nanoseconds from the request of the dump to done

	compared, changed, deleted int
}

func newInitialSync(b *base) initialSync { return initialSync{base: b, eoiuAt: never} }

// decide stores the start decision. On a warm start it holds back writes.
func (i *initialSync) decide(d *Decision) {
	i.decision = d
	i.gated = d.Kind == WarmStart
}

// request records that the initial dump was requested at time now.
func (i *initialSync) request(now int64) { i.begun, i.eoiuAt = now, now+int64(i.EOIUTimeout) }

// acknowledged records that the first writes were acknowledged.
func (i *initialSync) acknowledged() { i.started = true }

// dumpCompleted is called when the first complete dump ends (EOIU). ports holds the ports that were
// in CONFIG_DB at startup.
func (i *initialSync) dumpCompleted(ports []PortConfig) {
	i.eoiu, i.eoiuAt = true, never
	i.eoiuTook = i.clock.now() - i.begun
	i.compared = i.state.interfaces()
	i.gateDue = true
	for _, c := range ports {
		// orchagent had configured this port, so it had an interface even if it has none now.
		if p := i.state.ports[c.Name]; c.HasAdmin && p != nil {
			p.wasThere = true
			i.state.touch(p)
		}
	}
}

// expire continues startup although the initial dump has not ended. The dump may still complete
// later; rows of vanished interfaces are deleted then.
func (i *initialSync) expire() {
	i.timedOut, i.eoiuAt = true, never
	i.compared = i.state.interfaces()
	i.gateDue = true
	i.Log.Warn("initial link dump timed out; continuing with the links received so far",
		"timeout", i.EOIUTimeout, "interfaces", i.compared)
}

// gateOpened records that the writes held back by a warm start were released.
func (i *initialSync) gateOpened() {
	i.gated, i.gateDue, i.gateOpenedAt = false, false, i.clock.now()
}

// rowWritten counts a row whose write was acknowledged.
func (i *initialSync) rowWritten() {
	if !i.done {
		i.changed++
	}
}

// rowsDeleted counts n stale rows that are deleted.
func (i *initialSync) rowsDeleted(n int) {
	if !i.done {
		i.deleted += n
	}
}

// finish ends the initial sync and passes its record to the Recorder.
func (i *initialSync) finish(now int64) {
	i.done, i.took = true, now-i.begun
	d, took := i.decision, time.Duration(i.took)
	r := warmrestart.Restart{
		At: i.clock.time(i.begun), Kind: d.Kind.String(), Reason: d.Reason, Requested: d.Requested(), Duration: took,
		EOIU: i.eoiu, TimedOut: i.timedOut, EOIULatency: time.Duration(i.eoiuTook),
		Process: i.clock.base.UTC(), Events: i.Metrics.counts().Events,
		Compared: i.compared, Changed: i.changed, Deleted: i.deleted,
	}
	i.Log.Log(i.ctx, syslog.LevelNotice, "initial sync complete", "kind", r.Kind, "duration", took,
		"compared", r.Compared, "changed", r.Changed, "deleted", r.Deleted)
	i.addEvent(journal.Event{Kind: journal.Ready, After: took})
	if i.Recorder != nil {
		i.Recorder.RecordRestart(r)
	}
}

// setOldDown brings down the interfaces that are left over from an earlier run, and makes the State
// ignore their messages.
func (i *initialSync) setOldDown() {
	if len(i.Existing) == 0 {
		return
	}
	var indexes []int32
	for _, o := range i.Existing {
		i.state.AddOld(o.Index, o.Name)
		indexes = append(indexes, o.Index)
	}
	i.Log.Log(i.ctx, syslog.LevelNotice, "bringing down and ignoring interfaces of an earlier run", "count", len(indexes))
	for _, err := range i.SetDown(indexes) {
		i.Log.Log(i.ctx, syslog.LevelNotice, "cannot bring an old interface down", "error", err)
	}
}

// begin performs the start sequence once the databases are connected. If the connection is lost,
// begin repeats the sequence but keeps the start decision, because the daemon's own writes have
// changed the facts on which the decision was based.
func (l *Loop) begin() {
	if l.initial.started || !l.db.usable() {
		return
	}
	if !l.db.check(l.start()) {
		l.setBegun()
		return
	}
	l.initial.acknowledged()
	l.db.startRead()
	if !l.initial.decision.KeepLinks {
		l.initial.setOldDown()
	}
	l.handover.expectInitDone(l.clock.now())
}

// start performs the start sequence of PROTOCOL.md section 5, beginning with step 3 (connecting to
// the databases).
func (l *Loop) start() error {
	store := l.db.session.store
	if l.initial.decision == nil {
		facts, err := store.Facts()
		if err != nil {
			return err
		}
		facts.NoStateFile = l.NoStateFile
		// Reading the state file takes time, so it is read only if the decision depends on it.
		facts.Remembered = facts.dependsOnState() && l.Recorder != nil && l.Recorder.HasState()
		l.take(Decide(facts), facts)
	}
	d := l.initial.decision
	switch err := store.SetRestoreCount(d.RestoreCount); {
	case err == nil:
	case isServerError(err) && !sonicdb.Temporary(err):
		l.Log.Error("cannot write restore_count", "error", err)
	default:
		return err
	}
	now := l.clock.now()
	l.dumps.resync(ReasonStart, now)
	l.audits.postpone()
	l.initial.request(now)
	l.requestDump(now)
	if d.Produce == ProduceAtOnce {
		return l.handover.produce()
	}
	return nil
}

// take applies the start decision d: it stores the ports of CONFIG_DB and sets the ports that
// PortInitDone waits for.
func (l *Loop) take(d Decision, facts Facts) {
	for _, err := range facts.PortErrors {
		l.Log.Error("ignoring invalid row in CONFIG_DB table PORT", "error", err)
	}
	l.initial.decide(&d)
	l.state.setUnswept(d.Sweep)
	now := max(l.clock.now(), 1)
	if d.Requested() {
		count, _ := parseRestoreCount(d.RestoreCount)
		l.logger.put(lineWarmStart, "", count, now)
	}
	l.logger.put(lineConfig, "", 0, now)
	l.handover.setPorts(facts.Ports, false)
	for _, name := range d.Await {
		l.state.AddInitPending(name).pendingSince = now
	}
	if d.Sweep {
		l.audits.wantSweep(sweepStart)
	}
	kind := journal.ColdStart
	if d.Kind == WarmStart {
		kind = journal.WarmStart
	}
	l.addEvent(journal.Event{Kind: kind, Reason: d.Reason})
	if l.Recorder != nil && d.Kind == ColdStart && !facts.InitDone {
		l.Recorder.DiscardState()
	}
	l.Log.Log(l.ctx, syslog.LevelNotice, d.Kind.String()+" start", "reason", d.Reason,
		"ports", len(facts.Ports), "pending", len(d.Await), "restore_count", d.RestoreCount)
}

// openGate releases the writes that a warm start held back. It does nothing until there is a
// connection. Rows that STATE_DB already has are not written, so no row flickers; the others stay
// in the backlog.
func (l *Loop) openGate() {
	if !l.initial.gateDue || !l.initial.started || !l.db.usable() {
		return
	}
	if l.initial.gated {
		if !l.db.check(l.db.session.store.Compare(l.writes.batch.ports)) {
			return
		}
		l.writes.compared()
		if l.initial.decision.Produce == ProduceAfterEOIU {
			l.handover.requestProduce()
		}
	}
	l.initial.gateOpened()
}

// finishInitial ends the initial sync when all writes that result from the initial dump are
// acknowledged.
func (l *Loop) finishInitial() {
	i := &l.initial
	if i.done || !i.started || l.db.session == nil || i.gated || l.audits.compare || l.writes.len() > 0 ||
		!(i.eoiu || i.timedOut) || i.eoiu && l.audits.sweep == sweepStart {
		return
	}
	now := l.clock.now()
	i.finish(now)
	l.audits.countLater(now)
}
