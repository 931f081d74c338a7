package portsync

import (
	"time"

	"portsyncd/systemd"
)

// This file is how the loop gets back in step with the kernel, and its timers.

// Bounds of a dump. A kernel that is being flooded overruns or interrupts one
// dump after the other; the pause grows so that reading goes before asking, and
// stays short enough to be in step soon after the flood. It grows until no dump
// was wanted for dumpCalm, so that a dump that is the cause of the next one, and
// ends well every time, is not requested without a pause.
const (
	dumpPauseMin = 2 * time.Millisecond
	dumpPauseMax = 500 * time.Millisecond
	dumpCalm     = time.Second
	dumpPatience = 5 * time.Second
)

// dumper keeps at most one dump under way, as the kernel allows no second one
// on a socket.
type dumper struct {
	wanted   bool
	quiet    bool // the wanted one is an audit's
	running  bool
	at       int64 // not before this
	deadline int64 // by then a running one has ended, or never will
	pause    backoff
	ended    int64 // when the last one ended
	since    int64 // when the resync under way was decided on; never if none is
}

func newDumper() dumper {
	return dumper{pause: backoff{min: dumpPauseMin, max: dumpPauseMax}, deadline: never, since: never}
}

// want asks for a dump that counts.
func (d *dumper) want(now int64) {
	d.wanted, d.quiet = true, false
	if !d.running && now-d.ended > int64(dumpCalm) {
		d.pause.reset()
	}
	d.since = min(d.since, now)
	if d.at < now {
		d.at = now
	}
}

// done notes the end of a dump, good or bad. Whatever comes next waits a little.
func (d *dumper) done(now int64) {
	d.running, d.deadline, d.ended = false, never, now
	d.at = now + int64(d.pause.next())
}

// due is when requestDump has something to do.
func (d *dumper) due() int64 {
	if d.wanted && !d.running {
		return d.at
	}
	return d.deadline
}

// resync asks for all links again.
func (l *Loop) resync(reason Reason) {
	now := l.clock.now()
	if reason == ReasonOverrun {
		l.acquit()
		l.Status.overrun(now)
	}
	l.Metrics.resyncs.At(int(reason)).Inc()
	l.Status.lostStep(now)
	l.logger.resync(reason, now)
	l.dump.want(now)
	l.compare = false // what the last dump showed is out of date; the next one decides
}

// requestDump sends the request that is wanted, if its time has come.
func (l *Loop) requestDump(now int64) {
	d := &l.dump
	if d.running && now >= d.deadline {
		d.done(now)
		l.resync(ReasonSilent)
	}
	if !d.wanted || d.running || now < d.at {
		return
	}
	seq, err := l.Links.RequestLinkDump()
	if err != nil {
		d.at = now + int64(d.pause.next())
		l.logger.fault("cannot request all links; retrying", err, now)
		return
	}
	l.state.DumpRequested(seq, d.quiet)
	l.missed = 0
	d.wanted, d.running = false, true
	d.deadline = now + int64(dumpPatience)
}

// settleLink asks for the one link of a port. If the kernel cannot be asked,
// the end of another dump will tell.
func (l *Loop) settleLink(p *Port) {
	if err := l.Links.RequestLink(p.Index); err != nil {
		now := l.clock.now()
		l.logger.fault("cannot request a link; retrying", err, now)
		l.resync(ReasonFailed)
	}
}

// synced is the end of a complete dump: the state is the kernel's.
func (l *Loop) synced() {
	if since := l.dump.since; since != never {
		l.Metrics.resyncDuration.Observe(float64(l.clock.now()-since) / 1e9)
		l.Status.resynced.Store(l.clock.time(l.clock.now()).UnixNano())
		l.dump.since = never
	}
	l.Status.synced.Store(true)
	l.compare = l.sweep != sweepNone
	l.scheduleAudit(l.clock.now())
	if !l.initial.eoiu {
		l.endOfInitialUpdate()
	}
}

// reconcile compares STATE_DB with the state, after a dump and once all that
// was wanted is written, so that only what nobody is about to mend counts as a
// difference.
func (l *Loop) reconcile() {
	if !l.compare || l.gated || l.session == nil || l.batch.Len() > 0 || l.clock.now() < l.retryAt {
		return
	}
	var ports []*Port
	if l.sweep != sweepStart { // which has written or compared every row just now
		ports = l.state.served()
	}
	res, err := l.session.store.Audit(ports, l.state.Exists)
	if !l.check(err) {
		return
	}
	l.answered()
	audit := l.sweep == sweepAudit
	if !l.initial.done {
		l.initial.deleted += len(res.Stale)
	}
	l.compare, l.sweep = false, sweepNone
	l.mend(&res, audit)
	l.counted(res.Counts)
	if audit {
		l.Metrics.audits.Inc()
		l.Status.audit(len(res.Differing)+len(res.Stale), l.clock.time(l.ackAt))
		l.suspect(l.missed)
		l.missed = 0
		if l.Status.configDone.Load() && !res.Markers.ConfigDone {
			// Flushed, by a server that does not announce it.
			l.Metrics.mismatches.At(mismatchAppl).Inc()
			l.resume(ReasonFlush)
		}
	}
	l.flush()
}

// overrunLag is how much later than the dump of an audit an overrun can be told
// that explains what it found: the kernel's queue has to be read empty first.
const overrunLag = 2 * time.Second

// suspect notes changes that an audit found and no message had told of. They
// count as missed unless it turns out that messages were lost.
func (l *Loop) suspect(n uint64) {
	if n > 0 && !l.state.lost {
		l.suspects += n
		l.suspectAt = l.clock.now() + int64(overrunLag)
	}
}

// acquit forgets the suspects: an overrun explains them.
func (l *Loop) acquit() { l.suspects, l.suspectAt = 0, never }

// convict counts the suspects as missed.
func (l *Loop) convict() {
	l.Metrics.mismatches.At(mismatchKernel).Add(l.suspects)
	l.acquit()
}

// countRows reads what only an audit would show otherwise, once orchagent has had
// time to take the ports.
func (l *Loop) countRows(now int64) {
	l.countAt = never
	if l.session == nil {
		l.countAt = now + int64(countAfter)
		return
	}
	if c, err := l.session.store.Count(); l.check(err) {
		l.counted(c)
	}
}

func (l *Loop) counted(c Counts) {
	l.Metrics.configDonePorts.Set(int64(c.Announced))
	l.Metrics.tableRows.Set(int64(c.Rows))
}

// mend writes what a comparison found wrong.
func (l *Loop) mend(res *AuditResult, audit bool) {
	for _, p := range res.Differing {
		l.batch.Add(Action{Kind: Publish, Port: p}, l.ackAt)
	}
	for _, name := range res.Stale {
		l.batch.Add(Action{Kind: Delete, Port: l.state.port([]byte(name))}, l.ackAt)
	}
	n := len(res.Differing) + len(res.Stale)
	if n == 0 {
		return
	}
	l.Metrics.repairs.At(repairRow).Add(uint64(len(res.Differing)))
	l.Metrics.repairs.At(repairStale).Add(uint64(len(res.Stale)))
	if audit {
		l.Metrics.mismatches.At(mismatchState).Add(uint64(n))
	}
	l.Log.Warn("STATE_DB differed from the kernel, repairing", "rows", len(res.Differing), "stale", len(res.Stale))
}

// scheduleAudit sets the time of the next audit.
func (l *Loop) scheduleAudit(now int64) {
	l.auditAt = never
	if l.AuditInterval > 0 {
		l.auditAt = now + int64(l.AuditInterval)
	}
}

// audit starts a comparison of the kernel, the state and STATE_DB. It does not
// come between a resync and its end.
func (l *Loop) audit(now int64) {
	l.scheduleAudit(now)
	if l.dump.running || l.dump.wanted || l.session == nil || l.batch.Len() > 0 || !l.initial.done {
		return
	}
	l.session.ports.reread() // for a server that sends no keyspace notifications
	l.Metrics.resyncs.At(int(ReasonAudit)).Inc()
	l.dump.wanted, l.dump.quiet, l.dump.at = true, true, now
	l.sweep = sweepAudit
}

// scheduleRevive has reviveRows called, after a pause that grows.
func (l *Loop) scheduleRevive() {
	if l.reviveAt == never {
		l.reviveAt = l.ackAt + int64(l.revive.next())
	}
}

// reviveRows looks again for ports that were served before APPL_DB lost its
// rows or that were produced again, since orchagent pops them when it gets to it
// and no link message tells us, and for those whose row was refused.
func (l *Loop) reviveRows(now int64) {
	l.reviveAt = never
	for _, p := range l.state.ports {
		if p.uncertain() {
			l.batch.Add(Action{Kind: Publish, Port: p}, now)
		}
	}
}

// feed tells the watchdog that the loop is alive, unless work has been waiting
// for too long that nothing stands in the way of.
func (l *Loop) feed(now int64) {
	l.feedAt = never
	if l.Watchdog <= 0 {
		return
	}
	l.feedAt = now + int64(l.Watchdog/2)
	if stalled := l.Status.stalledFor(now); l.session != nil && l.MaxStall > 0 && stalled > l.MaxStall {
		l.Log.Error("the loop makes no progress, the watchdog is not fed", "for", stalled)
		return
	}
	l.notify(systemd.Watchdog)
}

// late names the ports that hold PortInitDone back.
func (l *Loop) late(now int64) {
	l.lateAt = never
	if l.state.InitDone() {
		return
	}
	l.lateAt = now + int64(l.LateAfter)
	l.Status.late(true)
	l.Log.Warn("PortInitDone waits for ports", "count", l.state.Awaited(), "ports", l.state.awaitedNames(8))
}

// due runs the timers whose time has come.
func (l *Loop) due(now int64) {
	if now >= l.auditAt {
		l.audit(now)
	}
	if l.started && now >= l.dump.due() {
		l.requestDump(now)
	}
	if now >= l.initial.eoiuAt {
		l.eoiuTimeout()
	}
	if now >= l.reviveAt {
		l.reviveRows(now)
	}
	if now >= l.feedAt {
		l.feed(now)
	}
	if now >= l.lateAt {
		l.late(now)
	}
	if now >= l.suspectAt {
		l.convict()
	}
	if now >= l.countAt {
		l.countRows(now)
	}
	if now >= l.recordAt {
		l.recordPorts(now)
	}
	l.logger.missed(now)
}

// deadline is when due has something to do next.
func (l *Loop) deadline() int64 {
	d := min(l.auditAt, l.reviveAt, l.feedAt, l.lateAt, l.countAt, l.suspectAt, l.recordAt, l.logger.missing)
	if l.started {
		d = min(d, l.dump.due(), l.initial.eoiuAt)
	}
	switch {
	case l.session == nil:
	case l.batch.Len() > 0 && !l.gated, l.gateDue, l.compare, !l.started, l.owes.produce, l.owes.initDone:
		d = min(d, l.retryAt)
	case l.owes.markers:
		d = min(d, max(l.retryAt, l.markersAt))
	}
	return d
}
