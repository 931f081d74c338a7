package portsync

// This file is the loop's exchange with the databases: what is written, and
// what their answers mean.

// flush writes what is wanted, if there is a connection and no pause after a
// failure.
func (l *Loop) flush() {
	if l.session == nil || !l.started || l.clock.now() < l.retryAt {
		return
	}
	if l.owes.markers && l.clock.now() >= l.markersAt && !l.check(l.checkMarkers()) {
		return
	}
	if l.owes.produce && !l.check(l.produce()) {
		return
	}
	if l.batch.Len() > 0 && l.session != nil && !l.gated {
		l.publish()
	}
	if l.owes.initDone && !l.gated && l.session != nil && l.check(l.session.store.ProduceInitDone()) {
		l.owes.initDone = false
		l.initDone()
	}
}

// publish writes the batch. Rows that are refused for good do not hold up the
// others; what is refused for the moment stays in the batch.
func (l *Loop) publish() {
	err := l.session.store.Publish(l.batch.ports)
	if err != nil && !isServerError(err) {
		l.check(err)
		return
	}
	l.heard()
	waiting := l.batch.Len()
	l.Metrics.batch.Observe(float64(waiting))
	l.batch.Settle(l.settled)
	l.Status.backlog(l.batch.Len(), l.ackAt)
	if l.batch.Len() < waiting {
		l.Status.progressed(l.clock.time(l.ackAt))
	}
	if l.batch.Len() > 0 || err == nil {
		l.check(err)
		return
	}
	l.refusedWrite(err, l.ackAt)
}

// check looks at the outcome of an exchange and reports whether it succeeded.
// After a refusal it is to be tried again when the pause is over; after anything
// else the connection is of no more use.
func (l *Loop) check(err error) bool {
	switch {
	case err == nil:
		l.Status.rate.add(false, l.clock.now())
		l.retry.reset()
		l.Status.refuses(false)
		return true
	case isServerError(err):
		l.Status.refuses(true)
		now := l.clock.now()
		l.retryAt = now + int64(l.retry.next())
		l.refusedWrite(err, now)
	default:
		l.lost(err)
	}
	return false
}

func (l *Loop) refusedWrite(err error, now int64) {
	l.Metrics.errors.At(errorRefused).Inc()
	l.Status.failed(now)
	l.logger.fault("Redis refused a command; retrying", err, now)
}

// settle takes note of one port whose row was acknowledged, or refused for good.
func (l *Loop) settle(p *Port, was pending) {
	if was.result != OutcomeRefused {
		l.Metrics.written(was, l.ackAt)
		l.logger.written(p, was, l.ackAt)
	}
	l.served(p, was)
	if was.set && p.Served && !l.initial.done {
		l.initial.changed++
	}
}

// served tells State what the databases know of a port, and sees to it that a
// port which is not served and should be is looked at again.
func (l *Loop) served(p *Port, was pending) {
	p.refused = was.result == OutcomeRefused
	if (was.set || was.look) && !p.refused {
		ev := Event{Kind: Unserved}
		if was.result == OutcomeServed {
			ev.Kind = Served
		}
		l.decide(&ev, p)
	}
	p.revive, p.again = p.revive && !p.Served, p.again && !p.Served
	if p.uncertain() {
		l.scheduleRevive()
	}
	l.show(p)
	l.state.forget(p)
}

// uncertain reports whether the port's interface has no row although it may be
// due one any time, without a message that says so.
func (p *Port) uncertain() bool { return p.Index != 0 && (p.revive || p.again || p.refused) }

// show brings the port's series up to date.
func (l *Loop) show(p *Port) {
	l.Status.awaited.Store(int64(l.state.Awaited()))
	if p.Served != p.shown {
		p.shown = p.Served
		l.Metrics.present.Add(2*bit(p.Served) - 1)
	}
	if l.recordAt == never {
		l.recordAt = max(l.ackAt+int64(recordSettle), l.recorded+int64(recordEvery))
	}
	day := l.clock.time(l.ackAt)
	l.Status.ports.show(p, day)
	if l.Metrics.ports != nil {
		l.Metrics.ports.update(p, float64(day.UnixNano())/1e9)
	}
}

// answered notes that the databases did what was asked of them.
func (l *Loop) answered() {
	l.heard()
	l.Status.progressed(l.clock.time(l.ackAt))
}

// heard notes that the databases answered, be it to refuse.
func (l *Loop) heard() {
	l.ackAt = l.clock.now()
	l.Status.heard(l.ackAt)
}
