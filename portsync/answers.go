package portsync

// writer owns the backlog of rows and records which writes were acknowledged.
type writer struct {
	*base
	batch   Batch
	written int   // ports whose row was written or deleted by the last request
	wroteAt int64 // when a write or deletion of a row was last acknowledged

	acknowledged func(*Port, pending) // called for each port whose reply has arrived
	answered     func(*Port, pending) // called instead if the row needed no write
}

func newWriter(b *base, acknowledged, answered func(*Port, pending)) writer {
	return writer{base: b, acknowledged: acknowledged, answered: answered}
}

// add adds an operation on a row to the backlog. since is the time at which the message that caused
// it was read. The State has marked the port for publication.
func (w *writer) add(a Action, since int64) { w.batch.Add(a, since) }

// rewrite adds a write of the row of p that no message caused.
func (w *writer) rewrite(p *Port, now int64) {
	w.state.touch(p)
	w.add(Action{Kind: Publish, Port: p}, now)
}

// len returns the number of ports in the backlog.
func (w *writer) len() int { return w.batch.Len() }

// complete removes from the backlog all ports whose reply has arrived. It reports whether there
// were any.
func (w *writer) complete() (progress bool) {
	before := w.len()
	w.written = 0
	w.batch.Complete(w.acknowledged)
	if w.written > 0 {
		w.Metrics.batch.Observe(float64(w.written))
	}
	return w.len() < before
}

// compared removes from the backlog all ports whose rows a comparison found to be correct.
func (w *writer) compared() { w.batch.Complete(w.answered) }

// wrote records that Redis acknowledged the operations was on the row of p at time now.
func (w *writer) wrote(p *Port, was pending, now int64) {
	set := was.set && was.result == OutcomeAccepted
	repaired := p.repair
	p.repair = repairNone
	if !set && !was.del {
		return
	}
	w.written++
	w.wroteAt = now
	if was.del {
		w.Metrics.wrote(writeDelete, was.delAt, now)
		p.row = row{}
	}
	if set {
		w.Metrics.wrote(writeSet, was.setAt, now)
		if p.row != rowOf(p) && !p.row.unknown {
			p.changes++
		}
	}
	switch {
	case repaired == repairRow && set:
		w.Metrics.repairs.At(repairedRow).Inc()
	case repaired == repairStale && was.del:
		w.Metrics.repairs.At(repairedStale).Inc()
	}
}

// flush sends all pending operations to Redis. It does nothing while the databases are disconnected
// or a pause after a refused request has not ended.
func (l *Loop) flush() {
	if !l.initial.started || !l.db.usable() {
		return
	}
	h := &l.handover
	if h.markersDue() && !l.db.check(l.checkMarkers()) {
		return
	}
	if h.todo.produce && !l.db.check(h.produce()) {
		return
	}
	if l.initial.gated {
		return
	}
	if l.writes.len() > 0 {
		l.publish()
	}
	if h.todo.initDone && l.db.session != nil {
		l.db.check(h.produceInitDone())
	}
}

// checkMarkers reads the markers. It schedules lookups of the ports that are produced again until
// APPL_DB has them, because a link message may have arrived before the loop knew that APPL_DB had
// lost the ports.
func (l *Loop) checkMarkers() error {
	again, err := l.handover.checkMarkers(l.initial.started)
	for _, c := range again {
		p := l.state.port([]byte(c.Name))
		p.reproduced = true
		if p.Index != 0 {
			l.recheck.schedule(l.db.answeredAt)
		}
	}
	return err
}

// publish writes the backlog. Rows that are refused permanently do not delay other rows. Rows that
// are refused temporarily stay in the backlog.
func (l *Loop) publish() {
	err := l.db.session.store.Publish(l.writes.batch.ports)
	if err != nil && !isServerError(err) {
		l.db.check(err)
		return
	}
	l.db.answered()
	if err != nil {
		l.shown.rows.refused(err.Error())
	}
	if l.writes.complete() {
		l.db.progressed()
	}
	if l.writes.len() > 0 || err == nil {
		l.db.check(err)
		return
	}
	l.db.refused(err)
}

// acknowledged handles a port whose row was acknowledged or refused permanently.
func (l *Loop) acknowledged(p *Port, was pending) {
	if was.result == OutcomeRefused {
		p.row = row{} // the row was not written by portsyncd; its key may have another type
	} else {
		l.writes.wrote(p, was, l.db.answeredAt)
		l.logger.written(p, was, l.db.answeredAt)
	}
	l.answered(p, was)
	if was.set && p.Accepted {
		l.initial.rowWritten()
	}
}

// answered tells the State whether APPL_DB has port p. If APPL_DB should have the port but does
// not, answered schedules another lookup.
func (l *Loop) answered(p *Port, was pending) {
	l.state.touch(p)
	p.refused = was.result == OutcomeRefused
	if (was.set || was.lookup) && !p.refused {
		accepted := was.result == OutcomeAccepted
		if l.state.Accept(p, accepted) {
			l.handover.requestInitDone()
		}
		if !accepted {
			l.Metrics.ignored.At(int(IgnoredUnknown)).Add(was.messages)
		}
	}
	if was.result == OutcomeAccepted {
		if was.set {
			p.row = rowOf(p)
		}
		p.wasThere = p.wasThere || was.set || was.lookup
	}
	p.recheck, p.reproduced = p.recheck && !p.Accepted, p.reproduced && !p.Accepted
	if p.uncertain() {
		l.recheck.schedule(l.db.answeredAt)
	}
	l.records.changed(l.db.answeredAt)
	l.state.forget(p)
}
