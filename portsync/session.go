package portsync

import (
	"errors"
	"slices"
	"time"

	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
)

// This file is what the loop does when the databases come and go.

var errServerGone = errors.New("the server closed the connection")

// Pauses before a connection is looked for again. They grow while connections
// are made and do not last, such as with a server that has no room for clients.
const (
	sessionPauseMin = 5 * time.Millisecond
	sessionPauseMax = 500 * time.Millisecond
	sessionLasting  = 5 * time.Second
)

// reconnect starts the search for a connection, after a pause; opened gets the
// result.
func (l *Loop) reconnect(pause time.Duration) {
	needConfig := !l.started
	l.helpers.Go(func() {
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
			return
		}
		s := l.Open.connect(l.ctx, needConfig)
		if s == nil {
			return
		}
		select {
		case l.sessions <- s:
		case <-l.ctx.Done():
			s.close()
		}
	})
}

// opened takes a fresh connection into use.
func (l *Loop) opened(s *session) {
	l.session, l.notes = s, s.notes
	l.connection = connection{up: true, since: l.clock.now()}
	l.retry.Reset()
	l.retryAt = 0
	if l.started {
		l.Metrics.reconnects.Inc()
		l.Log.Log(l.ctx, syslog.LevelNotice, "the databases are back")
		l.resume(ReasonReconnect)
	}
}

// lost ends a connection that failed. What was wanted stays wanted.
func (l *Loop) lost(err error) {
	kind := errorIO
	if _, bad := errors.AsType[*sonicdb.ProtocolError](err); bad {
		kind = errorProtocol
	}
	now := l.clock.now()
	if now-l.connection.since > int64(sessionLasting) {
		l.reopen.Reset()
	}
	l.session.close()
	l.session, l.notes = nil, nil
	l.connection = connection{since: now, err: err.Error()}
	l.Status.rate.add(true, now)
	l.publishStatus() // before the failure is counted: the cause is shown before its effect
	l.Metrics.errors.At(kind).Inc()
	level := syslog.LevelError
	if l.ctx.Err() != nil { // we closed it, to end
		level = syslog.LevelNotice
	}
	l.Log.Log(l.ctx, level, "Redis connection lost; still tracking links", "error", err)
	l.reconnect(l.reopen.Next())
}

// noted reacts to what a watch saw.
func (l *Loop) noted(n note) {
	switch n.kind {
	case noteLost:
		l.lost(errServerGone)
	case noteFlushed:
		if l.started {
			l.Log.Log(l.ctx, syslog.LevelNotice, "a database was flushed")
			l.resume(ReasonFlush)
		}
	case noteConfig:
		if dbs, ok := l.session.store.(*Databases); ok {
			dbs.setConfig(n.conn)
		}
	case notePorts:
		l.configure(n.ports, n.replaced)
	}
}

// resume brings databases that may have lost anything in step again: every
// link is looked at anew and compared with STATE_DB. On mere reconnection
// nothing is produced a second time; only where a marker that had been produced
// is missing, orchagent never got it or has lost it.
func (l *Loop) resume(reason Reason) {
	for _, p := range l.state.ports {
		p.recheck = p.recheck || p.Accepted
	}
	l.recheck.pause.Reset()
	l.audits.sweep = sweepBack
	l.resync(reason)
	l.todo.markers = true
	l.markersAt, l.fillBy = 0, l.clock.now()+int64(fillPatience)
}

// A CONFIG_DB with fewer ports than there were is looked at again after
// fillPause, and believed after fillPatience.
const (
	fillPause    = 100 * time.Millisecond
	fillPatience = 10 * time.Second
)

// checkMarkers finds out what has to be produced again.
func (l *Loop) checkMarkers() error {
	markers, err := l.session.store.Markers()
	if err != nil {
		return err
	}
	if markers.ConfigDone {
		l.todo.markers = false
		l.todo.initDone = l.todo.initDone || l.state.InitDone() && !markers.InitDone
		return nil
	}
	ports, bad, err := l.session.store.Ports()
	if errors.Is(err, errConfigAway) && l.started {
		l.markersAt = l.clock.now() + int64(configPause)
		return nil
	}
	if err != nil {
		return err
	}
	for _, err := range bad {
		l.Log.Error("skipped a row", "error", err)
	}
	// A CONFIG_DB that lost its ports as well is filled again by others, sooner
	// or later; until then the ports are what they were. One with fewer ports is
	// perhaps being filled.
	now := l.clock.now()
	switch {
	case len(ports) == 0:
	case len(ports) < len(l.ports) && now < l.fillBy:
		l.markersAt = now + int64(fillPause)
		return nil
	default:
		l.setPorts(ports)
	}
	l.todo.markers, l.todo.produce = false, true
	l.todo.initDone = l.todo.initDone || l.state.InitDone() && !markers.InitDone
	l.revivePorts()
	return nil
}

// revivePorts has the ports that are produced again looked at until APPL_DB has
// them, whichever came first: a message, or the news that it had lost them.
func (l *Loop) revivePorts() {
	for _, c := range l.ports {
		p := l.state.port([]byte(c.Name))
		p.reproduced = true
		if p.Index != 0 {
			l.scheduleRecheck()
		}
	}
}

// begin makes the start, when there is a connection to make it with. It is
// repeated as a whole if the connection goes meanwhile; the decision is made
// once, since its own writes would change the facts.
func (l *Loop) begin() {
	if l.started || l.session == nil || l.clock.now() < l.retryAt {
		return
	}
	if !l.check(l.start()) {
		return
	}
	l.started = true
	if !l.decision.KeepLinks {
		l.setOldDown()
	}
	l.lateAt = l.clock.now() + int64(l.LateAfter)
}

// start is PROTOCOL.md section 5 from step 3 on.
func (l *Loop) start() error {
	store := l.session.store
	if l.decision == nil {
		facts, err := store.Facts()
		if err != nil {
			return err
		}
		facts.NoStateFile = l.NoStateFile
		facts.Remembered = l.Recorder != nil && l.Recorder.HasState()
		l.take(Decide(facts), facts)
	}
	d := l.decision
	switch err := store.SetRestoreCount(d.RestoreCount); {
	case err == nil:
	case isServerError(err) && !sonicdb.Temporary(err):
		l.Log.Error("restore_count is not written", "error", err)
	default:
		return err
	}
	l.needDump(ReasonStart, l.clock.now())
	l.initial.begin(l.clock.now(), l.EOIUTimeout)
	l.requestDump(l.clock.now())
	if d.Produce == ProduceAtOnce {
		return l.produce()
	}
	return nil
}

// produce hands the configuration over to orchagent. Rows that are refused for
// good are named in the log and hold up nobody.
func (l *Loop) produce() error {
	skipped, err := l.session.store.Produce(l.ports)
	if err != nil {
		return err
	}
	if skipped != nil {
		l.Log.Error("not all ports are handed over to orchagent", "error", skipped)
	}
	l.produced()
	return nil
}

// take notes how the daemon starts.
func (l *Loop) take(d Decision, facts Facts) {
	for _, err := range facts.PortErrors {
		l.Log.Error("skipped a row", "error", err)
	}
	l.decision = &d
	l.state.unswept = d.Sweep
	now := max(l.clock.now(), 1)
	if d.Requested() {
		count, _ := parseRestoreCount(d.RestoreCount)
		l.logger.put(lineWarmStart, "", count, now)
	}
	l.logger.put(lineConfig, "", 0, now)
	l.setPorts(facts.Ports)
	for _, name := range d.Await {
		l.state.AddInitPending(name).pendingSince = now
	}
	if d.Sweep {
		l.audits.sweep = sweepStart
	}
	l.gated = d.Kind == WarmStart
	if l.Recorder != nil && d.Kind == ColdStart && !facts.InitDone {
		l.Recorder.DiscardState()
	}
	l.Log.Log(l.ctx, syslog.LevelNotice, d.Kind.String()+" start", "reason", d.Reason,
		"ports", len(l.ports), "pending", len(d.Await), "restore_count", d.RestoreCount)
}

func (l *Loop) setPorts(ports []PortConfig) {
	l.ports = ports
	names := make([]string, len(ports))
	for i := range ports {
		names[i] = ports[i].Name
	}
	slices.Sort(names)
	l.configure(names, nil)
}

// produced takes note that orchagent has the configuration.
func (l *Loop) produced() {
	l.todo.produce = false
	l.configDone = true
	l.Log.Log(l.ctx, syslog.LevelNotice, "wrote "+portConfigDone, "count", len(l.ports))
}

// producedInit takes note that PortInitDone is out.
func (l *Loop) producedInit() {
	l.todo.initDone, l.initDone = false, true
	l.lateAt = never
	l.logger.put(lineInitDone, "", 0, l.clock.now())
}

// setOldDown takes the interfaces of an earlier run down and has their messages
// ignored.
func (l *Loop) setOldDown() {
	if len(l.Existing) == 0 {
		return
	}
	var indexes []int32
	for _, o := range l.Existing {
		l.state.AddOld(o.Index, o.Name)
		indexes = append(indexes, o.Index)
	}
	l.Log.Log(l.ctx, syslog.LevelNotice, "interfaces of an earlier run are set down and ignored",
		"count", len(indexes))
	for _, err := range l.SetDown(indexes) {
		l.Log.Log(l.ctx, syslog.LevelNotice, "cannot set an old interface down", "error", err)
	}
}

func (l *Loop) notify(states ...string) {
	if err := l.Notifier.Notify(states...); err != nil {
		l.Log.Warn("cannot notify the service manager", "error", err)
	}
}
