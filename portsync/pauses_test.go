package portsync

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/netlinkraw"
)

// TestRecordTime checks that ports are recorded recordDelay after a change and at least
// recordEvery after the last record, and that a second change does not postpone the record.
func TestRecordTime(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		l := a.loop
		p := l.state.port([]byte("Ethernet0"))
		for _, c := range []struct{ set, last, want int64 }{
			{never, now - int64(time.Minute), now + int64(recordDelay)},
			{never, now - int64(recordDelay), now - int64(recordDelay) + int64(recordEvery)},
			{now + 7, now - int64(time.Minute), now + 7},
		} {
			l.db.answeredAt, l.records = now, recorder{base: &l.base, at: c.set, last: c.last}
			l.answered(p, pending{set: true, result: OutcomeAccepted})
			if l.records.at != c.want {
				t.Errorf("with %+v the record is due at %d", c, l.records.at)
			}
		}
	})
}

// TestWatchdogStall checks that the watchdog is notified until a backlog has had no answer for
// longer than MaxStall.
func TestWatchdogStall(t *testing.T) {
	const most = 10 * time.Second
	for name, c := range map[string]struct {
		watchdog, max, stalled time.Duration
		withheld               bool
	}{
		"at the limit":     {time.Minute, most, most, false},
		"beyond the limit": {time.Minute, most, most + 1, true},
		"no limit":         {time.Minute, 0, time.Hour / 2, false},
		"no watchdog":      {0, most, most + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				l, log := a.loop, a.captureLog()
				l.Watchdog, l.MaxStall = c.watchdog, c.max
				l.db.answeredAt = 0
				l.writes.add(Action{Kind: Publish, Port: l.state.port([]byte("Ethernet0"))}, now-int64(c.stalled))
				l.watchdog.feed(now, l.stalledFrom())
				if withheld := strings.Contains(log.String(), "not notifying the watchdog"); withheld != c.withheld {
					t.Errorf("notification withheld: %t, want %t", withheld, c.withheld)
				}
				if armed := l.watchdog.at != never; armed != (c.watchdog > 0) {
					t.Errorf("next notification at %d", l.watchdog.at)
				}
			})
		})
	}
}

// TestReconnectPause checks that the pauses before a reconnect grow while connections do not last.
func TestReconnectPause(t *testing.T) {
	for lasted, want := range map[time.Duration]time.Duration{
		sessionLasting:     8 * sessionPauseMin,
		sessionLasting + 1: sessionPauseMin,
	} {
		atRest(t, func(a *rig, now int64) {
			l := a.loop
			for range 3 {
				l.db.reopen.Next()
			}
			l.db.connection.since = now - int64(lasted)
			l.db.lose(errServerGone)
			wantPause(t, &l.db.reopen, 2*want)
			if l.db.session != nil || l.db.connection.up || l.db.connection.since != now {
				t.Errorf("the connection is %+v", l.db.connection)
			}
		})
	}
}

// TestConnectionLostAtEnd checks that a connection that the daemon closed at its end is not logged
// as an error.
func TestConnectionLostAtEnd(t *testing.T) {
	for ending, level := range map[bool]string{false: "level=ERROR", true: "level=INFO+2"} {
		atRest(t, func(a *rig, now int64) {
			log := a.captureLog()
			if ending {
				ctx, cancel := context.WithCancel(a.loop.ctx)
				cancel()
				a.loop.ctx = ctx
			}
			a.loop.db.lose(errors.New("EOF"))
			if !strings.Contains(log.String(), level+` msg="Redis connection lost`) {
				t.Errorf("ending: %t, log: %s", ending, log)
			}
		})
	}
}

// TestDrain checks that the backlog is written at the end of the process, and that the loop logs
// what the databases refuse for a second.
func TestDrain(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(a *rig)
		took  time.Duration
		left  int
		given bool
	}{
		"nothing":          {func(a *rig) {}, 0, 0, false},
		"a message":        {func(a *rig) { a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500) }, 0, 0, false},
		"PortInitDone":     {func(a *rig) { a.loop.handover.todo.initDone = true }, 0, 0, false},
		"a refused row":    {func(a *rig) { wantOne(a.loop); a.refuse(lab.OutOfMemory) }, drainFor, 1, true},
		"a refused marker": {func(a *rig) { a.loop.handover.todo.initDone = true; a.refuse(lab.OutOfMemory) }, drainFor, 0, false},
		"no connection":    {func(a *rig) { wantOne(a.loop); a.loop.db.session = nil }, 0, 1, true},
		"a warm start":     {func(a *rig) { wantOne(a.loop); a.loop.initial.gated = true }, 0, 1, true},
		"no start":         {func(a *rig) { wantOne(a.loop); a.loop.initial.started = false }, 0, 1, false},
		"a pause": {func(a *rig) {
			wantOne(a.loop)
			a.loop.db.retryAt = a.loop.clock.now() + int64(drainFor/2)
		}, drainFor / 2, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				log := a.captureLog()
				c.set(a)
				a.loop.drain()
				if took := time.Duration(a.loop.clock.now() - now); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if n := a.loop.writes.batch.Len() + a.loop.ring.Len(); n != c.left {
					t.Errorf("%d are left, want %d", n, c.left)
				}
				if given := strings.Contains(log.String(), "stopping before all rows were written to STATE_DB"); given != c.given {
					t.Errorf("logged: %t, want %t", given, c.given)
				}
			})
		})
	}
}

// TestWait checks that the loop sleeps until its deadline, and not at all if the deadline has
// passed or an event is queued.
func TestWait(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(a *rig, now int64)
		block bool
		want  time.Duration
	}{
		"a deadline":           {func(a *rig, now int64) { a.loop.audits.countAt = now + int64(time.Second) }, true, time.Second},
		"a deadline, busy":     {func(a *rig, now int64) { a.loop.audits.countAt = now + int64(time.Second) }, false, 0},
		"a deadline that past": {func(a *rig, now int64) { a.loop.audits.countAt = now - 1 }, true, 0},
		"an event": {func(a *rig, now int64) {
			a.loop.audits.countAt = now + int64(time.Second)
			a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
		}, true, 0},
		"new settings": {func(a *rig, now int64) { a.loop.Reload(Settings{AuditInterval: time.Hour}) }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				c.set(a, now)
				a.loop.wait(c.block)
				if took := time.Duration(a.loop.clock.now() - now); took != c.want {
					t.Errorf("it slept %v, want %v", took, c.want)
				}
				if l := a.loop; l.AuditInterval > 0 && l.audits.at != now+int64(l.AuditInterval) {
					t.Errorf("the audit is due at %d", l.audits.at)
				}
			})
		})
	}
}

// TestFewerPorts checks that a CONFIG_DB with fewer ports than before is read again after
// fillPause, and counts as complete after fillTimeout.
func TestFewerPorts(t *testing.T) {
	three := []PortConfig{{Name: "Ethernet0"}, {Name: "Ethernet4"}, {Name: "Ethernet8"}}
	for name, c := range map[string]struct {
		now      []PortConfig
		after    time.Duration
		believed int // ports afterwards; 0: not yet
	}{
		"as many":                   {three, 0, 3},
		"fewer":                     {three[:2], 0, 0},
		"fewer, just before":        {three[:2], fillTimeout - 1, 0},
		"fewer, for long":           {three[:2], fillTimeout, 2},
		"none keeps what there was": {nil, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				l := a.loop
				l.handover.ports = three
				l.resume(ReasonFlush)
				a.setMarkers(Markers{})
				for _, p := range c.now {
					a.do(lab.ConfigDB, "HSET", "PORT|"+p.Name, "lanes", "0")
				}
				time.Sleep(c.after)
				if !l.handover.todo.markers || l.handover.markersAt != 0 {
					t.Fatalf("the markers are not looked for at once: %+v, %d", l.handover.todo, l.handover.markersAt)
				}
				if err := l.checkMarkers(); err != nil {
					t.Fatal(err)
				}
				if c.believed == 0 {
					if want := now + int64(c.after+fillPause); l.handover.markersAt != want || l.handover.todo.produce || !l.handover.todo.markers {
						t.Errorf("%+v, again at %d, want %d", l.handover.todo, l.handover.markersAt, want)
					}
				} else if !l.handover.todo.produce || l.handover.todo.markers || len(l.handover.ports) != c.believed {
					t.Errorf("%+v with %d ports, want %d", l.handover.todo, len(l.handover.ports), c.believed)
				}
			})
		})
	}
}

// TestMarkersGone checks that after a reconnect only missing markers are produced again, and
// PortInitDone only if it had been due.
func TestMarkersGone(t *testing.T) {
	for name, c := range map[string]struct {
		markers Markers
		due     bool
		want    todo
	}{
		"none gone":              {Markers{ConfigDone: true, InitDone: true}, true, todo{}},
		"PortInitDone":           {Markers{ConfigDone: true}, true, todo{initDone: true}},
		"PortInitDone, too soon": {Markers{ConfigDone: true}, false, todo{}},
		"PortConfigDone":         {Markers{InitDone: true}, true, todo{produce: true}},
		"both":                   {Markers{}, true, todo{produce: true, initDone: true}},
		"both, too soon":         {Markers{}, false, todo{produce: true}},
	} {
		t.Run(name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				l := a.loop
				l.state.initDone = c.due
				a.setMarkers(c.markers)
				l.handover.todo = todo{markers: true}
				if err := l.checkMarkers(); err != nil || l.handover.todo != c.want {
					t.Errorf("%+v, %v; want %+v", l.handover.todo, err, c.want)
				}
			})
		})
	}
}

// TestConfigAway checks that a CONFIG_DB whose own server is down is read again after configPause.
func TestConfigAway(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		l := a.loop
		a.setMarkers(Markers{})
		a.session.store.setConfig(nil)
		l.handover.todo.markers = true
		if err := l.checkMarkers(); err != nil || l.handover.markersAt != now+int64(configPause) || !l.handover.todo.markers || l.handover.todo.produce {
			t.Errorf("%v, again at %d, %+v", err, l.handover.markersAt, l.handover.todo)
		}
	})
}

// TestStaleState checks that the saved state is discarded only after a cold start over flushed
// databases.
func TestStaleState(t *testing.T) {
	for _, c := range []struct {
		kind  StartKind
		facts Facts
		stale int
	}{
		{ColdStart, Facts{}, 1},
		{ColdStart, Facts{InitDone: true}, 0},
		{WarmStart, Facts{}, 0},
	} {
		atRest(t, func(a *rig, now int64) {
			r := new(countingRecorder)
			a.loop.Recorder = r
			a.loop.take(Decision{Kind: c.kind}, c.facts)
			if r.stale != c.stale || a.loop.initial.gated != (c.kind == WarmStart) {
				t.Errorf("%s start, %+v: discarded %d times, gated %t", c.kind, c.facts, r.stale, a.loop.initial.gated)
			}
			a.loop.Recorder = nil
			a.loop.take(Decision{Kind: c.kind}, c.facts) // there is none to tell
		})
	}
}

// TestExpectedBy checks that the interface of a new row of CONFIG_DB is expected within LateAfter.
func TestExpectedBy(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		l := a.loop
		l.handover.configure([]string{"Ethernet0"}, nil, l.initial.started)
		was := *l.state.ports["Ethernet0"]
		l.handover.configure([]string{"Ethernet0", "Ethernet8"}, nil, l.initial.started)
		if p := l.state.ports["Ethernet8"]; p.expectedBy != now+int64(lateAfter) || p.pendingSince != now {
			t.Errorf("expected by %d, pending since %d", p.expectedBy, p.pendingSince)
		}
		time.Sleep(time.Second)
		l.handover.configure([]string{"Ethernet0", "Ethernet8"}, []string{"Ethernet8"}, l.initial.started)
		if p := l.state.ports["Ethernet8"]; p.expectedBy != now+int64(lateAfter+time.Second) {
			t.Errorf("replaced, and expected by %d", p.expectedBy)
		}
		if p := l.state.ports["Ethernet0"]; p.expectedBy != was.expectedBy {
			t.Errorf("a row that stays is expected by %d", p.expectedBy)
		}
	})
}

// TestTurn checks that a turn takes at most consumeMost events and sleeps only if there was none.
func TestTurn(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		l := a.loop
		for range consumeMost + 3 {
			a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
		}
		for _, want := range []int{consumeMost, 3, 0} {
			if n := l.consume(); n != want {
				t.Errorf("%d events, want %d", n, want)
			}
		}
		l.flush()
		a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
		for i, want := range []time.Duration{0, time.Second} {
			l.records.at, l.handover.lateAt = never, l.clock.now()+int64(time.Second)
			begun := l.clock.now()
			l.turn()
			if slept := time.Duration(l.clock.now() - begun); slept != want {
				t.Errorf("turn %d sleeps %v, want %v", i+1, slept, want)
			}
		}
	})
}

// TestLatencyObserved checks that the latency of a write is measured in seconds from the read of
// its message.
func TestLatencyObserved(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
		time.Sleep(2 * time.Second)
		a.turn()
		a.want("portsyncd_event_latency_seconds_sum", "2")
		a.want("portsyncd_event_latency_seconds_count", "1")
		events := uint64(0)
		for _, m := range a.status.View(time.Now()).Hour {
			events += m.Events
		}
		if events != 1 { // the end of the dump is none
			t.Errorf("%d link messages in the last hour, want 1", events)
		}
	})
}

// TestRefusedIsNotLogged checks that a refused row is not logged as written.
func TestRefusedIsNotLogged(t *testing.T) {
	for outcome, want := range map[Outcome]int{OutcomeRefused: 0, OutcomeAccepted: 1, OutcomeNotAccepted: 1} {
		l, _ := newLogged(t)
		l.logger.written(&Port{Name: "Ethernet0"}, pending{set: true, result: outcome}, 0)
		if n := l.logger.ring.Len(); n != want {
			t.Errorf("outcome %d: %d lines, want %d", outcome, n, want)
		}
	}
}
