package portsync

import (
	"context"
	"sync/atomic"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
)

// reasonHold is how long a reason stays active after its condition has ended, so that an
// intermittent condition does not make the health state flap.
const reasonHold = 2 * time.Second

// endedText is the text of a reason during reasonHold.
const endedText = "the condition has ended; the reason is cleared after 2 s"

// healthState is the result of an evaluation: the active reasons and the time at which each became
// active, on the loop's clock.
type healthState struct {
	reasons     conditions
	since       [numConditions]int64
	status      string
	statusSince int64
	score       int
}

// disabledState is the health state of a daemon that is disabled by its configuration.
var disabledState = healthState{status: Disabled, score: 100}

// healthTracker computes the health state from successive observations.
type healthTracker struct {
	healthState
	holdUntil [numConditions]int64 // a reason is not cleared before this time
}

// update evaluates the conditions. A condition in active activates its reason; a condition in
// persisting only keeps an active reason active. Reasons are held for reasonHold only if ready is
// set, that is, after the initial sync. update reports whether the status or the reasons changed.
func (t *healthTracker) update(active, persisting conditions, ready bool, now int64) bool {
	before := t.healthState
	active |= persisting & before.reasons
	t.reasons = 0
	for c := range numConditions {
		if active.has(c) {
			t.holdUntil[c] = now
			if ready {
				t.holdUntil[c] += int64(reasonHold)
			}
		}
		held := before.reasons.has(c) && now < t.holdUntil[c]
		if !active.has(c) && !held {
			continue
		}
		t.reasons.set(c, true)
		if !before.reasons.has(c) {
			t.since[c] = now
		}
	}
	t.computeStatus()
	if t.status != before.status {
		t.statusSince = now
	}
	return t.reasons != before.reasons || t.status != before.status
}

// computeStatus computes the status and the score from the reasons.
func (t *healthTracker) computeStatus() {
	t.status, t.score = Healthy, 100
	for c := range numConditions {
		if !t.reasons.has(c) {
			continue
		}
		t.score -= HealthCodes[c].Deduction
		if t.status != Unhealthy {
			t.status = HealthCodes[c].Severity
		}
	}
	t.score = max(t.score, 0)
}

// RecorderStatus reports problems with writing the files that are kept across restarts. Its methods
// do not block and may be called from any goroutine. Package daemon, which this package cannot import,
// implements it for the files of warmrestart.Recorder and of the journal.
type RecorderStatus interface {
	// Problems returns a description of each file or directory that cannot be written.
	Problems() []string
	// Overdue returns the name of a file whose write is overdue, and when the write was due.
	Overdue(now time.Time) (what string, since time.Time, overdue bool)
	// Restarts returns the recorded starts, newest last.
	Restarts() []warmrestart.Restart
}

// HealthMonitor evaluates the health of the daemon. Each request evaluates the current health; a
// request that arrives while another goroutine is evaluating gets the previous result. All methods
// except Watch may be called from any goroutine.
type HealthMonitor struct {
	status   *Status
	recorder RecorderStatus         // nil if nothing is recorded
	storm    atomic.Pointer[string] // description of a restart storm, set by Watch; nil if there is none

	evaluating atomic.Bool
	tracker    healthTracker // owned by the goroutine that has set evaluating
	current    atomic.Pointer[healthState]
}

// NewHealthMonitor returns a HealthMonitor for the loop that publishes its state to s. It adds the
// health metrics to set. r may be nil.
func NewHealthMonitor(s *Status, r RecorderStatus, set *metrics.Set) *HealthMonitor {
	m := &HealthMonitor{status: s, recorder: r}
	m.evaluate()
	set.NewGaugeFunc("portsyncd_healthy",
		"Whether the daemon is healthy: 1 if it is healthy, degraded or disabled, 0 if it is unhealthy.",
		func() float64 { return float64(bit(m.evaluate().status != Unhealthy)) })
	for c := range numConditions {
		set.NewGaugeFunc("portsyncd_health_reason",
			"Whether the health reason with the given code is active (1) or not (0).",
			func() float64 { return float64(bit(m.evaluate().reasons.has(c))) },
			metrics.Label{Name: "code", Value: HealthCodes[c].Code})
	}
	return m
}

// evaluate computes and returns the current health state.
func (m *HealthMonitor) evaluate() *healthState {
	if m.status.disabled {
		return &disabledState
	}
	if !m.evaluating.CompareAndSwap(false, true) {
		return m.current.Load()
	}
	defer m.evaluating.Store(false)
	o := m.observe(m.status.clock.now())
	if m.tracker.update(o.active(), o.persisting(), o.ready, o.now) {
		s := m.tracker.healthState
		m.current.Store(&s)
		m.status.wake() // Watch reports the change
	}
	return m.current.Load()
}

// Health evaluates and returns the current health.
func (m *HealthMonitor) Health() Health { return m.health(m.evaluate()) }

func (m *HealthMonitor) health(s *healthState) Health {
	clock := m.status.clock
	o := m.observe(clock.now())
	now := o.active() | o.persisting()
	h := Health{Status: s.status, Score: s.score, Since: clock.time(s.statusSince).UTC(), Reasons: []HealthReason{}}
	for c := range numConditions {
		if !s.reasons.has(c) {
			continue
		}
		r := HealthReason{
			Code: HealthCodes[c].Code, Severity: HealthCodes[c].Severity, Deduction: HealthCodes[c].Deduction,
			Text: endedText, Since: clock.time(s.since[c]).UTC(),
		}
		if now.has(c) {
			r.Text = HealthCodes[c].text(o)
		}
		h.Reasons = append(h.Reasons, r)
	}
	return h
}

// Wake makes Watch evaluate health immediately.
func (m *HealthMonitor) Wake() { m.status.wake() }

// Intervals at which Watch evaluates health: while there is no problem, and while a reason is
// active or may soon become active. Each evaluation wakes the idle process. Most conditions wake
// Watch when they begin. The others, such as a slow write, are rare, and each scrape evaluates
// health too.
const (
	idleInterval  = 30 * time.Second
	alertInterval = 500 * time.Millisecond
)

// slowConditions last for minutes, so clearing them up to idleInterval late does not matter. The
// long interval keeps a daemon that was restarted often from waking twice a second.
const slowConditions conditions = 1<<restartStorm | 1<<overrun

// interval returns the time until the next evaluation by Watch, given the current state.
func (m *HealthMonitor) interval(s *healthState) time.Duration {
	o := m.observe(m.status.clock.now())
	held := s.reasons &^ (o.active() | o.persisting())
	if s.reasons&^slowConditions != 0 || held != 0 || m.status.mayDegrade() {
		return alertInterval
	}
	return idleInterval
}

// Watch evaluates health until ctx ends: whenever the loop wakes it, and at the interval that the
// current state requires. After the initial sync it calls report for each change of the status or
// the reasons. The first change is reported relative to a healthy daemon.
func (m *HealthMonitor) Watch(ctx context.Context, report func(before, now Health)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	reported, before := (*healthState)(nil), Health{Status: Healthy, Score: 100}
	for ctx.Err() == nil {
		m.checkRestarts()
		s := m.evaluate()
		if m.status.ready.Load() && s != reported && (reported != nil || s.reasons != 0) {
			h := m.health(s)
			report(before, h)
			reported, before = s, h
		}
		timer.Reset(m.interval(s))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.status.wakeups:
		}
	}
}

// checkRestarts determines whether the daemon has been restarted too often, and stores the result
// for evaluate.
func (m *HealthMonitor) checkRestarts() {
	if m.recorder == nil {
		return
	}
	storm, found := warmrestart.RestartStorm(m.recorder.Restarts(), time.Now())
	if !found {
		m.storm.Store(nil)
		return
	}
	m.storm.Store(&storm.Text)
}
