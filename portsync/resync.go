package portsync

import (
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/syslog"
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
	pause    backoff.Backoff
	ended    int64   // when the last dump ended
	decided  []int64 // when each of the resyncs under way was decided on
	more     int     // resyncs beyond mostDecided
	resynced int64   // when a resync last ended
}

// mostDecided bounds dumper.decided. While a kernel interrupts dump after dump,
// more resyncs count as decided on together with the last of these.
const mostDecided = 1 << 12

func newDumper() dumper {
	return dumper{pause: backoff.Backoff{Min: dumpPauseMin, Max: dumpPauseMax}, deadline: never}
}

// want asks for a dump that completes a resync.
func (d *dumper) want(now int64) {
	d.wanted, d.quiet = true, false
	if !d.running && now-d.ended > int64(dumpCalm) {
		d.pause.Reset()
	}
	if len(d.decided) < mostDecided {
		d.decided = append(d.decided, max(now, 1))
	} else {
		d.more++
	}
	if d.at < now {
		d.at = now
	}
}

// completed ends the resyncs under way and calls observe with when each was
// decided on.
func (d *dumper) completed(now int64, observe func(since int64)) {
	for i, since := range d.decided {
		d.resynced = now
		observe(since)
		for ; d.more > 0 && i == mostDecided-1; d.more-- {
			observe(since)
		}
	}
	d.decided = d.decided[:0]
}

// unsynced returns since when the state is perhaps not the kernel's; 0 if it is.
func (d *dumper) unsynced() int64 {
	if len(d.decided) == 0 {
		return 0
	}
	return d.decided[0]
}

// done notes the end of a dump, good or bad. Whatever comes next waits a little.
func (d *dumper) done(now int64) {
	d.running, d.deadline, d.ended = false, never, now
	d.at = now + int64(d.pause.Next())
}

// due is when requestDump has something to do.
func (d *dumper) due() int64 {
	if d.wanted && !d.running {
		return d.at
	}
	return d.deadline
}

// audits are the comparisons of STATE_DB with the kernel.
type audits struct {
	at      int64       // when the next one begins
	sweep   sweepReason // why STATE_DB is compared once the dump is complete
	compare bool        // the dump is complete
	endedAt int64       // when the last one ended
	wrong   int64       // rows of STATE_DB that it found wrong

	missed      uint64 // changes that the dump of an audit brought and no message had
	unexplained uint64 // such changes of complete audits, which a late overrun may explain
	explainBy   int64  // when it no longer can; never if there are none
}

// resync asks for all links again.
func (l *Loop) resync(reason Reason) {
	now := l.clock.now()
	if reason == ReasonOverrun {
		l.audits.explained()
		l.overranAt = max(now, 1)
	}
	l.needDump(reason, now)
	l.logger.resync(reason, now)
}

// needDump counts a resync and wants the dump that completes it.
func (l *Loop) needDump(reason Reason, now int64) {
	l.Metrics.resyncs.At(int(reason)).Inc()
	l.dump.want(now)
	l.audits.compare = false // what the last dump showed is out of date; the next one decides
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
		d.at = now + int64(d.pause.Next())
		l.logger.fault("cannot request all links; retrying", err, now)
		return
	}
	l.state.DumpRequested(seq, d.quiet)
	l.audits.missed = 0
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
	now := l.clock.now()
	l.dump.completed(now, func(since int64) {
		l.Metrics.resyncDuration.Observe(float64(now-since) / 1e9)
	})
	l.audits.compare = l.audits.sweep != sweepNone
	l.scheduleAudit(now)
	if !l.initial.eoiu {
		l.endOfInitialUpdate()
	}
}

// reconcile compares STATE_DB with the state, after a dump and once all that
// was wanted is written, so that only what nobody is about to mend counts as a
// difference.
func (l *Loop) reconcile() {
	if !l.audits.compare || l.gated || l.session == nil || l.batch.Len() > 0 || l.clock.now() < l.retryAt {
		return
	}
	var ports []*Port
	if l.audits.sweep != sweepStart { // which has written or compared every row just now
		ports = l.state.accepted()
	}
	res, err := l.session.store.Audit(ports, l.state.Exists)
	if !l.check(err) {
		return
	}
	audit := l.audits.sweep == sweepAudit
	if !l.initial.done {
		l.initial.deleted += len(res.Stale)
	}
	l.audits.compare, l.audits.sweep = false, sweepNone
	l.state.Swept(res.Rows)
	l.repair(&res, audit)
	l.counts = res.Counts
	if audit {
		l.Metrics.audits.Inc()
		l.audits.endedAt, l.audits.wrong = l.answeredAt, int64(len(res.Differing)+len(res.Stale))
		l.audits.found(l.audits.missed, l.state.lost, l.answeredAt)
		if l.configDone && !res.Markers.ConfigDone {
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

// found takes the changes that an audit found and no message had told of. They
// count as missed unless it turns out that messages were lost.
func (a *audits) found(n uint64, lost bool, now int64) {
	a.missed = 0
	if n > 0 && !lost {
		a.unexplained += n
		a.explainBy = now + int64(overrunLag)
	}
}

// explained forgets the changes: an overrun explains them.
func (a *audits) explained() { a.unexplained, a.explainBy = 0, never }

// countMissed counts the changes that nothing has explained.
func (l *Loop) countMissed() {
	l.Metrics.mismatches.At(mismatchKernel).Add(l.audits.unexplained)
	l.audits.explained()
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
		l.counts = c
	}
}

// repair wants the writes that put right what a comparison found wrong. They
// count as repairs once they are acknowledged.
func (l *Loop) repair(res *AuditResult, audit bool) {
	for _, p := range res.Differing {
		p.repair, p.row = repairRow, row{}
		l.want(Action{Kind: Publish, Port: p}, l.answeredAt)
	}
	for _, name := range res.Stale {
		p := l.state.port([]byte(name))
		p.repair, p.row = repairStale, row{there: true}
		l.want(Action{Kind: Delete, Port: p}, l.answeredAt)
	}
	n := len(res.Differing) + len(res.Stale)
	if n == 0 {
		return
	}
	if audit {
		l.Metrics.mismatches.At(mismatchState).Add(uint64(n))
	}
	l.Log.Log(l.ctx, syslog.LevelNotice, "STATE_DB differs from the kernel; repairing it", "rows", len(res.Differing),
		"stale", len(res.Stale))
}

// scheduleAudit sets the time of the next audit.
func (l *Loop) scheduleAudit(now int64) {
	l.audits.at = never
	if l.AuditInterval > 0 {
		l.audits.at = now + int64(l.AuditInterval)
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
	l.dump.wanted, l.dump.quiet, l.dump.at = true, true, now
	l.audits.sweep = sweepAudit
}

// scheduleRecheck has recheckRows called, after a pause that grows.
func (l *Loop) scheduleRecheck() {
	if l.recheck.at == never {
		l.recheck.at = l.answeredAt + int64(l.recheck.pause.Next())
	}
}

// recheckRows looks again for ports that were served before APPL_DB lost its
// rows or that were produced again, since orchagent pops them when it gets to it
// and no link message tells us, and for those whose row was refused.
func (l *Loop) recheckRows(now int64) {
	l.recheck.at = never
	for _, p := range l.state.ports {
		if p.uncertain() {
			l.want(Action{Kind: Publish, Port: p}, now)
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
	if stalled := since(l.stalledFrom(), now); l.MaxStall > 0 && stalled > l.MaxStall {
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
	l.initLate = true
	l.Log.Log(l.ctx, syslog.LevelNotice, "still waiting for the interfaces of ports before PortInitDone",
		"count", l.state.InitPending(), "ports", l.state.initPendingNames(8))
}

// due runs the timers whose time has come.
func (l *Loop) due(now int64) {
	if now >= l.audits.at {
		l.audit(now)
	}
	if l.started && now >= l.dump.due() {
		l.requestDump(now)
	}
	if now >= l.initial.eoiuAt {
		l.eoiuTimeout()
	}
	if now >= l.recheck.at {
		l.recheckRows(now)
	}
	if now >= l.feedAt {
		l.feed(now)
	}
	if now >= l.lateAt {
		l.late(now)
	}
	if now >= l.audits.explainBy {
		l.countMissed()
	}
	if now >= l.countAt {
		l.countRows(now)
	}
	if now >= l.records.at {
		l.recordPorts(now)
	}
	l.logger.missed(now)
}

// deadline is when due has something to do next.
func (l *Loop) deadline() int64 {
	d := min(l.audits.at, l.recheck.at, l.feedAt, l.lateAt, l.countAt, l.absences.at, l.audits.explainBy, l.records.at, l.logger.missing)
	if l.started {
		d = min(d, l.dump.due(), l.initial.eoiuAt)
	}
	switch {
	case l.session == nil:
	case l.batch.Len() > 0 && !l.gated, l.gateDue, l.audits.compare, !l.started, l.todo.produce, l.todo.initDone:
		d = min(d, l.retryAt)
	case l.todo.markers:
		d = min(d, max(l.retryAt, l.markersAt))
	}
	return d
}
