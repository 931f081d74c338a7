package portsync

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/internal/warmrestart"
)

// atRest runs a test in the time of package synctest, on a loop with the port Ethernet0, an hour
// after its start. No timer is set.
func atRest(t *testing.T, f func(a *rig, now int64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newRig(t, "Ethernet0")
		l := a.loop
		time.Sleep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		l.ctx = ctx
		defer l.helpers.Wait()
		defer cancel()
		l.audits.at, l.audits.explainBy, l.recheck.at, l.watchdog.at, l.handover.lateAt = never, never, never, never, never
		l.audits.countAt, l.records.at, l.shown.absences.at, l.logger.missing, l.initial.eoiuAt = never, never, never, never, never
		l.dumps.pause.Reset()
		f(a, l.clock.now())
	})
}

// captureLog returns the log of the loop from now on.
func (a *rig) captureLog() *bytes.Buffer {
	out := new(bytes.Buffer)
	a.loop.Log = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: syslog.LevelNotice}))
	a.loop.logger.log = a.loop.Log
	return out
}

// askedLinks counts the requests for dumps. Each request returns err.
type askedLinks struct {
	Links
	dumps int
	err   error
}

func (k *askedLinks) RequestLinkDump() (uint32, error) { k.dumps++; return uint32(k.dumps), k.err }
func (k *askedLinks) RequestLink(int32) error          { return k.err }

// countingRecorder is a Recorder that counts the calls and keeps the last arguments.
type countingRecorder struct {
	ports   int
	last    []warmrestart.Port
	stale   int
	restart warmrestart.Restart
}

func (r *countingRecorder) HasState() bool                      { return false }
func (r *countingRecorder) DiscardState()                       { r.stale++ }
func (r *countingRecorder) RecordRestart(x warmrestart.Restart) { r.restart = x }
func (r *countingRecorder) RecordPorts(p []warmrestart.Port)    { r.ports++; r.last = p }

// requestsOfCount is how many requests Databases.Count sends.
const requestsOfCount = 3

// within reports whether at is a backoff's first pause after now.
func within(at, now int64, first time.Duration) bool {
	return at <= now+int64(first) && at >= now+int64(first)*3/4
}

// TestTimers checks that each timer acts at its time, not a nanosecond before it, and once, and
// that the loop wakes up for it.
func TestTimers(t *testing.T) {
	const pause = time.Minute
	for _, c := range []struct {
		name string
		set  func(a *rig, at int64)
		did  func(a *rig) int            // how often it has acted
		then func(a *rig, at int64) bool // what holds after it has
	}{
		{"audit",
			func(a *rig, at int64) { a.loop.audits.at, a.loop.AuditInterval = at, pause },
			func(a *rig) int { return int(bit(a.loop.dumps.wanted || a.loop.dumps.running)) },
			func(a *rig, at int64) bool {
				return a.loop.audits.at == at+int64(pause) && a.loop.audits.sweep == sweepAudit && a.loop.state.quiet
			}},
		{"dump",
			func(a *rig, at int64) { a.loop.dumps.wanted, a.loop.dumps.at = true, at },
			func(a *rig) int { return a.loop.Links.(*askedLinks).dumps },
			func(a *rig, at int64) bool {
				return a.loop.dumps.running && a.loop.dumps.due() == at+int64(dumpTimeout)
			}},
		{"dump that does not end",
			func(a *rig, at int64) { a.loop.dumps.running, a.loop.dumps.deadline = true, at },
			func(a *rig) int { return int(a.loop.Metrics.resyncs.At(int(ReasonSilent)).Load()) },
			func(a *rig, at int64) bool {
				return a.loop.dumps.wanted && !a.loop.dumps.running && within(a.loop.dumps.due(), at, dumpPauseMin)
			}},
		{"initial dump that is late",
			func(a *rig, at int64) { a.loop.initial.eoiuAt = at },
			func(a *rig) int { return int(bit(a.loop.initial.timedOut)) },
			func(a *rig, at int64) bool { return a.loop.initial.gateDue && a.loop.initial.eoiuAt == never }},
		{"rows that are looked at again",
			func(a *rig, at int64) {
				a.loop.recheck.at = at
				p := a.loop.state.port([]byte("Ethernet0"))
				p.Index, p.recheck = 5, true
				a.loop.initial.gated = true // nothing else is due
			},
			func(a *rig) int { return a.loop.writes.batch.Len() },
			func(a *rig, at int64) bool { return a.loop.recheck.at == never }},
		{"watchdog",
			func(a *rig, at int64) { a.loop.watchdog.at, a.loop.Watchdog = at, pause },
			func(a *rig) int { return int(bit(a.loop.watchdog.at > int64(time.Hour+time.Second))) },
			func(a *rig, at int64) bool { return a.loop.watchdog.at == at+int64(pause/2) }},
		{"PortInitDone that is late",
			func(a *rig, at int64) {
				a.loop.state.initDone, a.loop.handover.lateAt = false, at
				a.loop.state.AddInitPending("Ethernet4")
			},
			func(a *rig) int { return int(bit(a.loop.handover.initLate)) },
			func(a *rig, at int64) bool { return a.loop.handover.lateAt == at+int64(lateAfter) }},
		{"PortInitDone that came",
			func(a *rig, at int64) { a.loop.handover.lateAt = at },
			func(a *rig) int { return int(bit(a.loop.handover.lateAt == never)) },
			func(a *rig, at int64) bool { return !a.loop.handover.initLate }},
		{"changes that nothing explained",
			func(a *rig, at int64) { a.loop.audits.explainBy, a.loop.audits.unexplained = at, 1 },
			func(a *rig) int { return int(a.loop.Metrics.mismatches.At(mismatchKernel).Load()) },
			func(a *rig, at int64) bool { return a.loop.audits.explainBy == never }},
		{"count of APPL_DB",
			func(a *rig, at int64) { a.loop.audits.countAt = at },
			func(a *rig) int { return a.requests / requestsOfCount },
			func(a *rig, at int64) bool { return a.loop.audits.countAt == never }},
		{"count of APPL_DB without a connection",
			func(a *rig, at int64) { a.loop.audits.countAt, a.loop.db.session = at, nil },
			func(a *rig) int { return int(bit(a.loop.audits.countAt > int64(time.Hour+time.Second))) },
			func(a *rig, at int64) bool { return a.loop.audits.countAt == at+int64(countAfter) }},
		{"record of the ports",
			func(a *rig, at int64) { a.loop.records.at, a.loop.Recorder = at, new(countingRecorder) },
			func(a *rig) int { return a.loop.Recorder.(*countingRecorder).ports },
			func(a *rig, at int64) bool { return a.loop.records.at == never && a.loop.records.last == at }},
		{"lines that were not written",
			func(a *rig, at int64) { a.loop.logger.missing, a.loop.logger.overflow = at, 1 },
			func(a *rig) int { return int(1 - a.loop.logger.overflow) },
			func(a *rig, at int64) bool { return a.loop.logger.missing == never }},
	} {
		t.Run(c.name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				l := a.loop
				l.Links = new(askedLinks)
				at := now + int64(time.Second)
				c.set(a, at)
				a.requests = 0
				before := c.did(a)
				if got := l.deadline(); got != at {
					t.Errorf("the loop wakes up at %d, want %d", got, at)
				}
				time.Sleep(time.Second - 1)
				l.due(l.clock.now())
				if n := c.did(a) - before; n != 0 {
					t.Errorf("a nanosecond before its time it has acted %d times", n)
				}
				time.Sleep(time.Nanosecond)
				for range 3 {
					l.due(l.clock.now())
					if n := c.did(a) - before; n != 1 {
						t.Fatalf("at its time it has acted %d times", n)
					}
				}
				if !c.then(a, at) {
					t.Errorf("afterwards: dump %+v, audits %+v, %+v", l.dumps, l.audits, l.records)
				}
			})
		})
	}
}

// TestDeadline checks that the loop wakes up at the end of a pause after a refusal, and not for
// work that cannot be done yet.
func TestDeadline(t *testing.T) {
	const retry, other = 20, 30
	row := func(l *Loop) { wantOne(l) }
	for name, c := range map[string]struct {
		set  func(l *Loop)
		want int64
	}{
		"nothing to do":                    {func(l *Loop) {}, never},
		"rows":                             {row, retry},
		"rows behind the gate":             {func(l *Loop) { row(l); l.initial.gated = true }, never},
		"rows without a connection":        {func(l *Loop) { row(l); l.db.session = nil }, never},
		"the gate":                         {func(l *Loop) { l.initial.gateDue = true }, retry},
		"a comparison":                     {func(l *Loop) { l.audits.compare = true }, retry},
		"the start":                        {func(l *Loop) { l.initial.started = false }, retry},
		"the configuration":                {func(l *Loop) { l.handover.todo.produce = true }, retry},
		"PortInitDone":                     {func(l *Loop) { l.handover.todo.initDone = true }, retry},
		"markers":                          {func(l *Loop) { l.handover.todo.markers = true }, retry},
		"markers, later":                   {func(l *Loop) { l.handover.todo.markers, l.handover.markersAt = true, other }, other},
		"markers without a connection":     {func(l *Loop) { l.handover.todo.markers, l.db.session = true, nil }, never},
		"ports that may become missing":    {func(l *Loop) { l.shown.absences.at = other }, other},
		"a dump":                           {func(l *Loop) { l.dumps.wanted, l.dumps.at = true, other }, other},
		"a dump during another":            {func(l *Loop) { l.dumps.wanted, l.dumps.running, l.dumps.deadline = true, true, 90 }, 90},
		"a dump and rows":                  {func(l *Loop) { row(l); l.dumps.wanted, l.dumps.at = true, other }, retry},
		"a dump before the start":          {func(l *Loop) { l.initial.started, l.db.session, l.dumps.wanted = false, nil, true }, never},
		"an initial dump before the start": {func(l *Loop) { l.initial.started, l.db.session, l.initial.eoiuAt = false, nil, 1 }, never},
	} {
		t.Run(name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				a.loop.db.retryAt = retry
				c.set(a.loop)
				if got := a.loop.deadline(); got != c.want {
					t.Errorf("the loop wakes up at %d, want %d", got, c.want)
				}
			})
		})
	}
}

// TestNothingBeforeRetry checks that the loop sends nothing to the databases during a pause after
// a refusal, and retries at its end.
func TestNothingBeforeRetry(t *testing.T) {
	for name, c := range map[string]struct {
		set func(l *Loop)
		do  func(l *Loop)
	}{
		"rows":              {wantOne, (*Loop).flush},
		"the configuration": {func(l *Loop) { l.handover.todo.produce = true }, (*Loop).flush},
		"PortInitDone":      {func(l *Loop) { l.handover.todo.initDone = true }, (*Loop).flush},
		"markers":           {func(l *Loop) { l.handover.todo.markers = true }, (*Loop).flush},
		"the gate":          {func(l *Loop) { wantOne(l); l.initial.gated, l.initial.gateDue = true, true }, (*Loop).openGate},
		"a comparison":      {func(l *Loop) { l.audits.compare, l.audits.sweep = true, sweepAudit }, (*Loop).reconcile},
		"the start":         {func(l *Loop) { l.initial.started, l.initial.decision = false, nil }, (*Loop).begin},
	} {
		for _, wait := range []struct {
			name string
			set  func(l *Loop, at int64)
		}{
			{"a pause", func(l *Loop, at int64) { l.db.retryAt = at }},
			{"markers are looked for later", func(l *Loop, at int64) { l.handover.markersAt = at }},
		} {
			if strings.HasPrefix(wait.name, "markers") && name != "markers" {
				continue
			}
			t.Run(name+", "+wait.name, func(t *testing.T) {
				atRest(t, func(a *rig, now int64) {
					l := a.loop
					c.set(l)
					a.requests = 0
					wait.set(l, now+1)
					c.do(l)
					if a.requests != 0 {
						t.Errorf("%d requests before the end of the pause", a.requests)
					}
					wait.set(l, now)
					c.do(l)
					if a.requests == 0 {
						t.Error("nothing at the end of the pause")
					}
				})
			})
		}
	}
}

// TestPauses checks that a failed or refused operation is retried after the first pause of a
// backoff.
func TestPauses(t *testing.T) {
	refusal := sonicdb.ServerError("OOM no memory")
	for name, c := range map[string]struct {
		do    func(a *rig)
		at    func(l *Loop) int64
		first time.Duration
	}{
		"a refusal": {func(a *rig) { a.loop.db.check(refusal) }, func(l *Loop) int64 { return l.db.retryAt }, retryMin},
		"a refused batch": {func(a *rig) { a.refuse(lab.OutOfMemory); wantOne(a.loop); a.loop.flush() },
			func(l *Loop) int64 { return l.db.retryAt }, retryMin},
		"a row that is looked at again": {func(a *rig) {
			a.loop.db.answeredAt = a.loop.clock.now()
			a.loop.recheck.schedule(a.loop.db.answeredAt)
		},
			func(l *Loop) int64 { return l.recheck.at }, recheckMin},
		"a dump after another": {func(a *rig) { a.loop.dumps.done(a.loop.clock.now()) },
			func(l *Loop) int64 { return l.dumps.at }, dumpPauseMin},
		"a dump that cannot be requested": {func(a *rig) {
			a.loop.Links = &askedLinks{err: errors.New("no memory")}
			a.loop.dumps.wanted = true
			a.loop.requestDump(a.loop.clock.now())
		}, func(l *Loop) int64 { return l.dumps.due() }, dumpPauseMin},
	} {
		t.Run(name, func(t *testing.T) {
			atRest(t, func(a *rig, now int64) {
				c.do(a)
				if at := c.at(a.loop); !within(at, now, c.first) {
					t.Errorf("again after %v, want %v less up to a quarter", time.Duration(at-now), c.first)
				}
			})
		})
	}
}
