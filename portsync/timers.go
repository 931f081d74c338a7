package portsync

import "portsyncd/systemd"

// due runs the timers that have expired.
func (l *Loop) due(now int64) {
	if now >= l.audits.at {
		l.audit(now)
	}
	if l.initial.started && now >= l.dumps.due() {
		l.requestDump(now)
	}
	if now >= l.initial.eoiuAt {
		l.initial.expire()
	}
	if now >= l.recheck.at {
		l.recheckRows(now)
	}
	if now >= l.watchdog.at {
		l.watchdog.feed(now, l.stalledFrom())
	}
	if now >= l.handover.lateAt {
		l.handover.late(now)
	}
	if now >= l.audits.explainBy {
		l.audits.countMissed()
	}
	if now >= l.audits.countAt {
		l.countRows(now)
	}
	if now >= l.records.at {
		l.records.write(now)
	}
	l.logger.missed(now)
}

// deadline returns the time at which the loop must wake up for its next timer.
func (l *Loop) deadline() int64 {
	d := min(l.audits.at, l.audits.explainBy, l.audits.countAt, l.recheck.at, l.watchdog.at, l.handover.lateAt,
		l.shown.absences.at, l.records.at, l.logger.missing)
	if l.initial.started {
		d = min(d, l.dumps.due(), l.initial.eoiuAt)
	}
	todo := &l.handover.todo
	switch {
	case l.db.session == nil:
	case l.writes.len() > 0 && !l.initial.gated, l.initial.gateDue, l.audits.compare, !l.initial.started,
		todo.produce, todo.initDone:
		d = min(d, l.db.retryAt)
	case todo.markers:
		d = min(d, max(l.db.retryAt, l.handover.markersAt))
	}
	return d
}

// watchdog sends watchdog notifications to the service manager while the loop makes progress.
type watchdog struct {
	*base
	at int64 // when the next notification is due
}

// feed sends a watchdog notification if one is due, unless the loop has been stalled for longer
// than MaxStall. stalledFrom is the time at which the stall began, or 0 if there is none.
func (w *watchdog) feed(now, stalledFrom int64) {
	w.at = never
	if w.Watchdog <= 0 {
		return
	}
	w.at = now + int64(w.Watchdog/2)
	if stalled := since(stalledFrom, now); w.MaxStall > 0 && stalled > w.MaxStall {
		w.Log.Error("event loop is stalled; not notifying the watchdog", "duration", stalled)
		return
	}
	if err := w.Notifier.Notify(systemd.Watchdog); err != nil {
		w.Log.Warn("cannot notify the service manager", "error", err)
	}
}
