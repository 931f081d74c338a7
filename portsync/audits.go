package portsync

import (
	"slices"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/syslog"
)

// sweepReason is the reason for a comparison of STATE_DB with the kernel after a dump.
type sweepReason string

const (
	sweepNone  sweepReason = ""
	sweepStart sweepReason = "start"
	sweepBack  sweepReason = "database back"
	sweepAudit sweepReason = "audit"
)

// audits owns the comparisons of STATE_DB with the kernel: the periodic audits, and the comparisons
// after startup and after a reconnect.
type audits struct {
	*base
	at      int64       // when the next audit begins
	sweep   sweepReason // why STATE_DB must be compared after the next dump
	compare bool        // the dump that precedes the comparison is complete
	endedAt int64       // when the last audit ended
	wrong   int64       // rows of STATE_DB that the last audit found wrong

	missed      uint64 // changes that an audit's dump found and no message had reported
	unexplained uint64 // such changes found by complete audits, until an overrun explains them or explainBy passes
	explainBy   int64  // when unexplained changes are counted as missed; never if there are none

	counts  Counts // counts of APPL_DB, as last read
	countAt int64  // when APPL_DB is counted without an audit
}

// countAfter is the delay from the end of the initial sync to the first count of the ports in
// APPL_DB. It gives orchagent time to process the ports.
const countAfter = 30 * time.Second

// overrunLag is how long after an audit's dump the kernel may still report an overrun that explains
// the changes that the audit found. The loop must first read the messages that are queued in the
// socket.
const overrunLag = 2 * time.Second

func newAudits(b *base) audits { return audits{base: b, at: never, explainBy: never, countAt: never} }

// schedule sets the time of the next audit.
func (a *audits) schedule(now int64) {
	a.at = never
	if a.AuditInterval > 0 {
		a.at = now + int64(a.AuditInterval)
	}
}

// wantSweep requests a comparison after the next complete dump.
func (a *audits) wantSweep(reason sweepReason) { a.sweep = reason }

// postpone delays a comparison that is due until after the next dump, because the previous dump is
// out of date.
func (a *audits) postpone() { a.compare = false }

// dumpRequested records that a dump was requested. It must be called before the messages of the
// dump are processed.
func (a *audits) dumpRequested() { a.missed = 0 }

// dumpCompleted is called when a dump has completed. If a comparison was requested, it becomes due.
func (a *audits) dumpCompleted(now int64) {
	a.compare = a.sweep != sweepNone
	a.schedule(now)
}

// changeFound counts a change that was found by an audit's dump.
func (a *audits) changeFound() { a.missed++ }

// compared records that a comparison ended with the result res. It returns the reason for which the
// comparison was made.
func (a *audits) compared(res *AuditResult) sweepReason {
	reason := a.sweep
	a.compare, a.sweep, a.counts = false, sweepNone, res.Counts
	return reason
}

// audited records that an audit ended with the result res. Changes that the audit found and no
// message had reported are counted as missed events later, unless the kernel reports an overrun
// first.
func (a *audits) audited(res *AuditResult, now int64) {
	a.Metrics.audits.Inc()
	a.endedAt, a.wrong = now, int64(len(res.Differing)+len(res.Stale))
	a.Metrics.mismatches.At(mismatchState).Add(uint64(a.wrong))
	a.found(a.missed, a.state.lost, now)
}

// found records that an audit found n changes that no link message had reported. If lost is true,
// the changes do not count, because the kernel reported lost messages.
func (a *audits) found(n uint64, lost bool, now int64) {
	a.missed = 0
	if n > 0 && !lost {
		a.unexplained += n
		a.explainBy = now + int64(overrunLag)
	}
}

// explained discards the changes found by audits when an overrun explains why no message reported
// them.
func (a *audits) explained() { a.unexplained, a.explainBy = 0, never }

// countMissed adds the changes that no overrun has explained to the number of missed events.
func (a *audits) countMissed() {
	a.Metrics.mismatches.At(mismatchKernel).Add(a.unexplained)
	a.explained()
}

// mismatched returns the number of incorrect rows that the last audit found. It returns 0 if audits
// are disabled, because no later audit could reset the number.
func (a *audits) mismatched() int64 {
	if a.AuditInterval <= 0 {
		return 0
	}
	return a.wrong
}

// audit starts an audit if one is due and neither a resync nor other work is in progress. It also
// schedules the next audit.
func (l *Loop) audit(now int64) {
	l.audits.schedule(now)
	if !l.dumps.idle() || l.db.session == nil || l.writes.len() > 0 || !l.initial.done {
		return
	}
	l.db.session.ports.reread() // for a server that sends no keyspace notifications
	l.dumps.wantQuiet(now)
	l.audits.wantSweep(sweepAudit)
}

// reconcile compares STATE_DB with the port state. It runs after a dump, when the backlog has been
// written, so that a pending write does not count as a difference.
func (l *Loop) reconcile() {
	if !l.audits.compare || l.initial.gated || l.writes.len() > 0 || !l.db.usable() {
		return
	}
	var ports []*Port
	if l.audits.sweep != sweepStart { // at startup every row was just written or compared
		ports = l.state.accepted()
	}
	res, err := l.db.session.store.Audit(ports, l.state.Exists)
	if !l.db.check(err) {
		return
	}
	audit := l.audits.compared(&res) == sweepAudit
	l.initial.rowsDeleted(len(res.Stale))
	l.state.Swept(res.Rows)
	l.repair(&res)
	if audit {
		l.audits.audited(&res, l.db.answeredAt)
		if l.handover.configDone && !res.Markers.ConfigDone {
			// APPL_DB was flushed on a server that does not report flushes.
			l.Metrics.mismatches.At(mismatchAppl).Inc()
			l.resume(ReasonFlush)
		}
	}
	l.flush()
}

// repair queues writes for the rows that differed in the comparison. A repair is counted when Redis
// acknowledges the write.
func (l *Loop) repair(res *AuditResult) {
	for _, p := range res.Differing {
		p.repair, p.row = repairRow, row{}
		l.writes.rewrite(p, l.db.answeredAt)
	}
	for _, name := range res.Stale {
		p := l.state.port([]byte(name))
		p.repair, p.row = repairStale, row{there: true}
		l.writes.add(Action{Kind: Delete, Port: p}, l.db.answeredAt)
	}
	if n := len(res.Differing) + len(res.Stale); n > 0 {
		names := slices.Clone(res.Stale)
		for _, p := range res.Differing {
			names = append(names, p.Name)
		}
		slices.SortFunc(names, compareNames)
		l.addEvent(journal.Event{Kind: journal.Repair, Count: uint64(n), Reason: nameList(names)})
		l.Log.Log(l.ctx, syslog.LevelNotice, "STATE_DB does not match the kernel; repairing it",
			"rows", len(res.Differing), "stale", len(res.Stale), "ports", nameList(names))
	}
}

// countRows reads the counts of APPL_DB at the scheduled time. Otherwise only audits read them.
func (l *Loop) countRows(now int64) {
	if l.db.session == nil {
		l.audits.countLater(now)
		return
	}
	c, err := l.db.session.store.Count()
	l.audits.counted(c, l.db.check(err))
}

// countLater schedules countRows after countAfter.
func (a *audits) countLater(now int64) { a.countAt = now + int64(countAfter) }

// counted stores the counts of APPL_DB if ok is set.
func (a *audits) counted(c Counts, ok bool) {
	a.countAt = never
	if ok {
		a.counts = c
	}
}
