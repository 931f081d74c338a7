package portsync

// This file is the loop's exchange with the databases: what is written, and
// what their answers mean.

// flush writes what is wanted, if there is a connection and no pause after a
// failure.
func (l *Loop) flush() {
	if l.session == nil || !l.started || l.clock.now() < l.retryAt {
		return
	}
	if l.todo.markers && l.clock.now() >= l.markersAt && !l.check(l.checkMarkers()) {
		return
	}
	if l.todo.produce && !l.check(l.produce()) {
		return
	}
	if l.batch.Len() > 0 && l.session != nil && !l.gated {
		l.publish()
	}
	if l.todo.initDone && !l.gated && l.session != nil && l.check(l.session.store.ProduceInitDone()) {
		l.producedInit()
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
	l.answeredAt = l.clock.now()
	if err != nil {
		l.rows.refused(err.Error())
	}
	waiting := l.batch.Len()
	l.written = 0
	l.batch.Settle(l.settled)
	if l.written > 0 {
		l.Metrics.batch.Observe(float64(l.written))
	}
	if l.batch.Len() < waiting {
		l.progressAt = l.answeredAt
	}
	if l.batch.Len() > 0 || err == nil {
		l.check(err)
		return
	}
	l.refused(err)
}

// check looks at the outcome of an exchange and reports whether it succeeded.
// After a refusal it is to be tried again when the pause is over; after anything
// else the connection is of no more use.
func (l *Loop) check(err error) bool {
	switch {
	case err == nil:
		l.answeredAt = l.clock.now()
		l.progressAt = l.answeredAt
		l.refusal = nil
		l.retry.Reset()
		l.Status.rate.add(false, l.answeredAt)
		return true
	case isServerError(err):
		l.refused(err)
		words := err.Error()
		l.refusal = &words
		l.retryAt = l.answeredAt + int64(l.retry.Next())
	default:
		l.lost(err)
	}
	return false
}

// refused counts and logs an exchange that the databases refused, at least in
// part.
func (l *Loop) refused(err error) {
	l.answeredAt = l.clock.now()
	l.Status.rate.add(true, l.answeredAt)
	l.Metrics.errors.At(errorRefused).Inc()
	l.logger.fault("Redis refused a command; retrying", err, l.answeredAt)
}

// settle takes note of one port whose row was acknowledged, or refused for good.
func (l *Loop) settle(p *Port, was pending) {
	if was.result == OutcomeRefused {
		p.row = row{} // it is none of ours, such as one of another type
	} else {
		l.wrote(p, was)
		l.logger.written(p, was, l.answeredAt)
	}
	l.accepted(p, was)
	if was.set && p.Accepted && !l.initial.done {
		l.initial.changed++
	}
}

// wrote takes note of the writes that the databases acknowledged.
func (l *Loop) wrote(p *Port, was pending) {
	set := was.set && was.result == OutcomeAccepted
	repaired := p.repair
	p.repair = repairNone
	if !set && !was.del {
		return
	}
	l.written++
	l.wroteAt = l.answeredAt
	if was.del {
		l.Metrics.wrote(writeDelete, was.delAt, l.answeredAt)
		p.row = row{}
	}
	if set {
		l.Metrics.wrote(writeSet, was.setAt, l.answeredAt)
		if p.row != rowOf(p) && !p.row.unknown {
			p.changes++
		}
	}
	switch {
	case repaired == repairRow && set:
		l.Metrics.repairs.At(repairedRow).Inc()
	case repaired == repairStale && was.del:
		l.Metrics.repairs.At(repairedStale).Inc()
	}
}

// served tells State what the databases know of a port, and sees to it that a
// port which is not served and should be is looked at again.
func (l *Loop) accepted(p *Port, was pending) {
	l.state.touch(p)
	p.refused = was.result == OutcomeRefused
	if (was.set || was.look) && !p.refused {
		accepted := was.result == OutcomeAccepted
		if l.state.Accept(p, accepted) {
			l.todo.initDone = true
		}
		if !accepted {
			l.Metrics.ignored.At(int(IgnoredUnknown)).Add(was.messages)
		}
	}
	if was.set && was.result == OutcomeAccepted {
		p.row, p.wasThere = rowOf(p), true
	}
	p.recheck, p.reproduced = p.recheck && !p.Accepted, p.reproduced && !p.Accepted
	if p.uncertain() {
		l.scheduleRecheck()
	}
	if l.records.at == never {
		l.records.at = max(l.answeredAt+int64(recordSettle), l.records.last+int64(recordEvery))
	}
	l.state.forget(p)
}

// uncertain reports whether the port's interface has no row although it may be
// due one any time, without a message that says so.
func (p *Port) uncertain() bool { return p.Index != 0 && (p.recheck || p.reproduced || p.refused) }
