package portsync

import (
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/syslog"
)

// sweepReason is the reason why STATE_DB is compared with the kernel once a dump is complete.
type sweepReason string

const (
	sweepNone  sweepReason = ""
	sweepStart sweepReason = "start"
	sweepBack  sweepReason = "database back"
	sweepAudit sweepReason = "audit"
)

// audits owns the comparisons of STATE_DB with the kernel: those that an audit starts at
// intervals, and those after a start or a reconnect.
type audits struct {
	*base
	at      int64       // when the next audit begins
	sweep   sweepReason // why STATE_DB is to be compared
	compare bool        // the dump before the comparison is complete
	endedAt int64       // when the last audit ended
	wrong   int64       // rows of STATE_DB that the last audit found wrong

	missed      uint64 // changes that the dump of an audit showed and no message reported
	unexplained uint64 // such changes of complete audits, which a late overrun may explain
	explainBy   int64  // when it no longer can; never if there are none

	counts  Counts // of APPL_DB, as last read
	countAt int64  // when APPL_DB is counted without an audit
}

// countAfter is the time after the initial sync at which APPL_DB is counted: orchagent has
// had time to take the ports.
const countAfter = 30 * time.Second

// overrunLag is how much later than the dump of an audit the kernel can report an overrun
// that explains what the audit found: its queue has to be read first.
const overrunLag = 2 * time.Second

func newAudits(b *base) audits { return audits{base: b, at: never, explainBy: never, countAt: never} }

// schedule sets the time of the next audit.
func (a *audits) schedule(now int64) {
	a.at = never
	if a.AuditInterval > 0 {
		a.at = now + int64(a.AuditInterval)
	}
}

// wantSweep wants a comparison after the next complete dump.
func (a *audits) wantSweep(reason sweepReason) { a.sweep = reason }

// postpone leaves the comparison to the end of another dump: the result of the last one is
// out of date.
func (a *audits) postpone() { a.compare = false }

// dumpRequested precedes the messages of a dump.
func (a *audits) dumpRequested() { a.missed = 0 }

// dumpCompleted makes the comparison due, if one is wanted.
func (a *audits) dumpCompleted(now int64) {
	a.compare = a.sweep != sweepNone
	a.schedule(now)
}

// changeFound counts a change that the dump of an audit showed.
func (a *audits) changeFound() { a.missed++ }

// compared ends a comparison and returns why it was made.
func (a *audits) compared(res *AuditResult) sweepReason {
	reason := a.sweep
	a.compare, a.sweep, a.counts = false, sweepNone, res.Counts
	return reason
}

// audited ends a comparison that was an audit. Changes that no message reported count as
// missed later, unless it turns out that messages were lost.
func (a *audits) audited(res *AuditResult, now int64) {
	a.Metrics.audits.Inc()
	a.endedAt, a.wrong = now, int64(len(res.Differing)+len(res.Stale))
	a.Metrics.mismatches.At(mismatchState).Add(uint64(a.wrong))
	a.found(a.missed, a.state.lost, now)
}

// found takes n changes that an audit found and no message had reported.
func (a *audits) found(n uint64, lost bool, now int64) {
	a.missed = 0
	if n > 0 && !lost {
		a.unexplained += n
		a.explainBy = now + int64(overrunLag)
	}
}

// explained drops the changes found: an overrun explains them.
func (a *audits) explained() { a.unexplained, a.explainBy = 0, never }

// countMissed counts the changes that no overrun has explained.
func (a *audits) countMissed() {
	a.Metrics.mismatches.At(mismatchKernel).Add(a.unexplained)
	a.explained()
}

// mismatched returns how many rows the last audit found wrong, or 0 if audits are disabled
// and no later one can find them right.
func (a *audits) mismatched() int64 {
	if a.AuditInterval <= 0 {
		return 0
	}
	return a.wrong
}

// audit starts an audit. It does not interrupt a resync.
func (l *Loop) audit(now int64) {
	l.audits.schedule(now)
	if !l.dumps.idle() || l.db.session == nil || l.writes.len() > 0 || !l.initial.done {
		return
	}
	l.db.session.ports.reread() // for a server that sends no keyspace notifications
	l.dumps.wantQuiet(now)
	l.audits.wantSweep(sweepAudit)
}

// reconcile compares STATE_DB with the state, after a dump and once the backlog is written,
// so that a row about to be written does not count as a difference.
func (l *Loop) reconcile() {
	if !l.audits.compare || l.initial.gated || l.writes.len() > 0 || !l.db.usable() {
		return
	}
	var ports []*Port
	if l.audits.sweep != sweepStart { // a start has just written or compared every row
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
			// APPL_DB was flushed, on a server that does not announce it.
			l.Metrics.mismatches.At(mismatchAppl).Inc()
			l.resume(ReasonFlush)
		}
	}
	l.flush()
}

// repair adds the writes that correct the rows a comparison found wrong. They count as
// repairs once they are acknowledged.
func (l *Loop) repair(res *AuditResult) {
	for _, p := range res.Differing {
		p.repair, p.row = repairRow, row{}
		l.writes.add(Action{Kind: Publish, Port: p}, l.db.answeredAt)
	}
	for _, name := range res.Stale {
		p := l.state.port([]byte(name))
		p.repair, p.row = repairStale, row{there: true}
		l.writes.add(Action{Kind: Delete, Port: p}, l.db.answeredAt)
	}
	if n := len(res.Differing) + len(res.Stale); n > 0 {
		l.addEvent(journal.Event{Kind: journal.Repair, Count: uint64(n)})
		l.Log.Log(l.ctx, syslog.LevelNotice, "STATE_DB differs from the kernel; repairing it",
			"rows", len(res.Differing), "stale", len(res.Stale))
	}
}

// countRows reads the counts of APPL_DB, which only an audit would read otherwise.
func (l *Loop) countRows(now int64) {
	if l.db.session == nil {
		l.audits.countLater(now)
		return
	}
	c, err := l.db.session.store.Count()
	l.audits.counted(c, l.db.check(err))
}

// countLater has APPL_DB counted after countAfter.
func (a *audits) countLater(now int64) { a.countAt = now + int64(countAfter) }

// counted takes the counts of APPL_DB, if they could be read.
func (a *audits) counted(c Counts, ok bool) {
	a.countAt = never
	if ok {
		a.counts = c
	}
}
