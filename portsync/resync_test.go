package portsync

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// TestDumpPause checks that the pause before a dump grows until no dump was wanted for dumpCalm.
func TestDumpPause(t *testing.T) {
	const now, grown = int64(time.Hour), 8 * dumpPauseMin
	for name, c := range map[string]struct {
		ended   int64
		running bool
		at      int64
		pause   time.Duration
		wantAt  int64
	}{
		"soon after":          {now - int64(dumpCalm), false, now + 5, grown, now + 5},
		"calm":                {now - int64(dumpCalm) - 1, false, now - 5, dumpPauseMin, now},
		"during a dump":       {now - int64(dumpCalm) - 1, true, now - 5, grown, now},
		"just at its earlier": {now - int64(dumpCalm), false, now, grown, now},
	} {
		d := newDumper(nil)
		for range 3 {
			d.pause.Next()
		}
		d.ended, d.running, d.at, d.quiet = c.ended, c.running, c.at, true
		d.want(now)
		if d.at != c.wantAt || !d.wanted || d.quiet {
			t.Errorf("%s: %+v, want at %d", name, d, c.wantAt)
		}
		wantPause(t, &d.pause, c.pause)
		if d.unsynced() != now {
			t.Errorf("%s: out of step since %d, want %d", name, d.unsynced(), now)
		}
	}
}

// wantPause checks the next pause of b.
func wantPause(t *testing.T, b *backoff.Backoff, want time.Duration) {
	t.Helper()
	if got := b.Next(); got > want || got < want*3/4 {
		t.Errorf("the next pause is %v, want %v less up to a quarter", got, want)
	}
}

// TestManyResyncs checks that all resyncs that one dump completes are observed, and that the times
// of at most mostDecided are kept.
func TestManyResyncs(t *testing.T) {
	for _, n := range []int{0, 1, mostDecided, mostDecided + 1, mostDecided + 3} {
		d := newDumper(nil)
		for i := range n {
			d.want(int64(i))
		}
		if len(d.decided) > mostDecided {
			t.Errorf("%d resyncs: %d times are kept", n, len(d.decided))
		}
		var seen []int64
		d.completed(9, func(since int64) { seen = append(seen, since) })
		if len(seen) != n || d.unsynced() != 0 || d.more != 0 || (d.resynced == 9) != (n > 0) {
			t.Errorf("%d resyncs: %d observed, afterwards %d more, out of step since %d", n, len(seen), d.more, d.unsynced())
		}
		for i, since := range seen {
			if want := int64(max(1, min(i, mostDecided-1))); since != want {
				t.Fatalf("%d resyncs: the %dth began at %d, want %d", n, i+1, since, want)
			}
		}
	}
}

// TestAuditFindsMissed checks that changes in the dump of an audit that no message reported are
// counted as missed, unless an overrun explains them.
func TestAuditFindsMissed(t *testing.T) {
	const series = `portsyncd_audit_mismatches_total{database="kernel"}`
	for name, c := range map[string]struct {
		dumped  uint32 // MTU in the dump
		overrun string // when messages were lost
		want    string
	}{
		"as known":          {1500, "", "0"},
		"missed":            {9100, "", "1"},
		"overrun before":    {9100, "before the end", "0"},
		"overrun told late": {9100, "after the end", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				l := a.loop
				a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
				a.turn()
				l.audit(now)
				l.requestDump(now)
				ev := linkEvent(netlinkraw.NewLink, 5, "Ethernet0", 1500%7)
				ev.MTU, ev.Dump = c.dumped, true
				a.event(ev)
				if c.overrun == "before the end" {
					a.event(Event{Kind: netlinkraw.Overrun})
				}
				a.event(Event{Kind: netlinkraw.DumpDone, Seq: 1})
				a.turn()
				a.turn()
				if c.overrun == "after the end" {
					time.Sleep(overrunLag - 1)
					a.event(Event{Kind: netlinkraw.Overrun})
					a.turn()
				}
				time.Sleep(overrunLag - 1)
				l.due(l.clock.now())
				if c.overrun == "" {
					a.want(series, "0")
				}
				time.Sleep(time.Nanosecond)
				l.due(l.clock.now())
				a.want(series, c.want)
			})
		})
	}
}

// TestFoundMissed checks that changes found by an audit are counted after overrunLag, and not if
// messages were lost.
func TestFoundMissed(t *testing.T) {
	for _, c := range []struct {
		n, unexplained uint64
		lost           bool
		by             int64
	}{
		{0, 0, false, never},
		{0, 0, true, never},
		{3, 3, false, 100 + int64(overrunLag)},
		{3, 0, true, never},
	} {
		a := audits{explainBy: never, missed: 9}
		a.found(c.n, c.lost, 100)
		if a.unexplained != c.unexplained || a.explainBy != c.by || a.missed != 0 {
			t.Errorf("%+v: %+v", c, a)
		}
	}
}

// TestOverrunOnLoop checks that dropped messages make the daemon degraded for overrunHold,
// although the resync after them is complete.
func TestOverrunOnLoop(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		m := NewHealthMonitor(a.status, nil, metrics.NewSet())
		codes := func(want string) {
			t.Helper()
			a.turn()
			if h := m.Health(); h.Codes() != want {
				t.Errorf("reasons %q, want %q", h.Codes(), want)
			}
		}
		codes("")
		a.event(Event{Kind: netlinkraw.Overrun})
		codes("overrun")
		time.Sleep(dumpPauseMax)
		a.loop.requestDump(a.loop.clock.now())
		a.event(Event{Kind: netlinkraw.DumpDone, Seq: 1})
		codes("overrun")
		time.Sleep(overrunHold - dumpPauseMax - 1)
		codes("overrun")
		time.Sleep(1 + reasonHold)
		codes("")
	})
}

// TestInitialTimes checks that the record of a start has the durations of the initial dump and of
// the initial sync.
func TestInitialTimes(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		l, r := a.loop, new(countingRecorder)
		l.Recorder, l.initial = r, newInitialSync(&l.base)
		l.initial.decision, l.initial.started = new(Decision), true
		l.EOIUTimeout = time.Minute
		l.initial.request(now)
		if want := now + int64(time.Minute); l.initial.eoiuAt != want {
			t.Errorf("the dump is late at %d, want %d", l.initial.eoiuAt, want)
		}
		wantOne(l)
		time.Sleep(3 * time.Second)
		l.initial.dumpCompleted(l.handover.ports)
		l.finishInitial()
		if l.initial.done {
			t.Error("the initial sync is over before its row is written")
		}
		time.Sleep(4 * time.Second)
		a.turn()
		if got := r.restart; got.EOIULatency != 3*time.Second || got.Duration != 7*time.Second || !got.EOIU || got.TimedOut ||
			!got.At.Equal(l.clock.time(now)) {
			t.Errorf("%+v", got)
		}
		if want := l.clock.now() + int64(countAfter); l.audits.countAt != want || l.initial.eoiuAt != never {
			t.Errorf("APPL_DB is counted at %d, want %d", l.audits.countAt, want)
		}
	})
}

// TestAuditCounts checks that an audit counts the rows found wrong, stale ones included, and that
// the next audit resets the number.
func TestAuditCounts(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		l, log := a.loop, a.captureLog()
		a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
		a.turn()
		a.setRow("Ethernet0", "0")
		a.setRow("Ethernet8", "0")
		a.setRow("Ethernet12", "0")
		a.audit()
		a.want(`portsyncd_audit_mismatches_total{database="STATE_DB"}`, "3")
		if l.audits.wrong != 3 || l.audits.endedAt != now || !strings.Contains(log.String(), "rows=1 stale=2") {
			t.Errorf("%+v, log: %s", l.audits, log)
		}
		a.audit()
		a.want(`portsyncd_audit_mismatches_total{database="STATE_DB"}`, "3")
		a.want(`portsyncd_audit_mismatches_total{database="APPL_DB"}`, "0")
		if l.audits.wrong != 0 || l.handover.todo.markers {
			t.Errorf("all is right: %+v", l.audits)
		}
		l.handover.configDone = true
		a.setMarkers(Markers{})
		a.audit()
		a.want(`portsyncd_audit_mismatches_total{database="APPL_DB"}`, "1")
		a.want(`portsyncd_resyncs_total{reason="database_flushed"}`, "1")
	})
}

// TestResyncDuration checks that the duration of a resync is measured in seconds from the decision
// to the end of its dump.
func TestResyncDuration(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		a.loop.dumps.resync(ReasonOverrun, now)
		time.Sleep(2 * time.Second)
		a.loop.synced()
		sum, err := strconv.ParseFloat(exposed(a.set, "portsyncd_resync_duration_seconds_sum"), 64)
		if err != nil || sum < 1.99 || sum > 2.01 { // that of the start took no time
			t.Errorf("%v s in all, %v; want 2", sum, err)
		}
	})
}

// TestDumpWaitsForDatabases checks that the kernel is not blamed for a dump that does not complete while
// the loop waits for the databases: health does not report dump_incomplete, and the dump does not time out.
func TestDumpWaitsForDatabases(t *testing.T) {
	atRest(t, func(a *rig, _ int64) {
		d := &a.loop.dumps
		blamed := func(what string, want time.Duration) {
			t.Helper()
			a.loop.publishStatus()
			if got := a.status.unsyncedFor(a.loop.clock.now()); got != want {
				t.Errorf("%s: the dump is late by %v, want %v", what, got, want)
			}
		}
		pass := func(d time.Duration) int64 { time.Sleep(d); return a.loop.clock.now() }
		a.loop.resync(ReasonReconnect)
		now := pass(dumpCalm / 2)
		d.request(now)
		blamed("the loop reads", dumpCalm/2)
		d.hold(now)
		now = pass(dumpTimeout + time.Second)
		blamed("the loop waits", dumpCalm/2)
		if d.timedOut(now) {
			t.Error("the dump timed out while the loop waited")
		}
		d.release(now)
		blamed("the loop reads again", dumpCalm/2)
		if d.timedOut(now) {
			t.Error("the dump timed out after the loop waited")
		}
		now = pass(time.Second)
		blamed("a second later", dumpCalm/2+time.Second)
		d.hold(now)
		if now = pass(dumpTimeout); d.timedOut(now) {
			t.Error("the dump timed out while the loop waited again")
		}
		d.release(now)
		if now = pass(dumpTimeout - time.Second - 1); d.timedOut(now) {
			t.Error("the dump timed out too early")
		}
		if now = pass(1); !d.timedOut(now) {
			t.Error("the dump did not time out")
		}

		d.completed(now, func(int64) {})
		d.want(0) // at the start of the clock
		d.hold(0)
		d.release(0)
		if from, held := d.slowSince(); from != 1 || held != 0 {
			t.Errorf("at the start of the clock: late since %d, held at %d", from, held)
		}
		d.completed(now, func(int64) {})
		d.hold(now)
		now = pass(time.Second)
		a.loop.resync(ReasonFlush) // while the loop waits
		requested := now
		now = pass(time.Second)
		d.release(now)
		blamed("requested while the loop waited", 0)
		if d.unsynced() != requested {
			t.Errorf("the resync began at %d, want %d", d.unsynced(), requested)
		}
	})
}
