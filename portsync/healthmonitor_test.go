package portsync

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// TestHealthTracker checks that a reason becomes active at once and is cleared reasonHold after
// its condition ended, that a persisting condition keeps a reason active but does not start one,
// and that no reason is held before the end of the initial sync.
func TestHealthTracker(t *testing.T) {
	const second = int64(time.Second)
	down, late, rate := conditions(1<<databaseDown), conditions(1<<portInitLate), conditions(1<<failureRateHigh)
	type step struct {
		at                 int64 // in tenths of a second
		active, persisting conditions
		ready              bool

		reasons conditions
		status  string
		score   int
		since   int64 // of the first reason, in tenths of a second
		changed bool
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"active at once, cleared after the hold time", []step{
			{10, 0, 0, true, 0, Healthy, 100, 0, true}, // the first evaluation
			{11, down, 0, true, down, Unhealthy, 40, 11, true},
			{12, 0, 0, true, down, Unhealthy, 40, 11, false},
			{30, 0, 0, true, down, Unhealthy, 40, 11, false},
			{31, 0, 0, true, 0, Healthy, 100, 0, true},
		}},
		{"an intermittent condition is one reason", []step{
			{10, down, 0, true, down, Unhealthy, 40, 10, true},
			{29, 0, 0, true, down, Unhealthy, 40, 10, false},
			{30, down, 0, true, down, Unhealthy, 40, 10, false},
			{49, 0, 0, true, down, Unhealthy, 40, 10, false},
			{50, 0, 0, true, 0, Healthy, 100, 0, true},
			{51, down, 0, true, down, Unhealthy, 40, 51, true},
		}},
		{"no hold time before the initial sync", []step{
			{10, down, 0, false, down, Unhealthy, 40, 10, true},
			{11, 0, 0, false, 0, Healthy, 100, 0, true},
			{12, down, 0, false, down, Unhealthy, 40, 12, true},
			{13, 0, 0, true, 0, Healthy, 100, 0, true}, // nor for a reason from just before its end
		}},
		{"a persisting condition does not start a reason", []step{
			{10, 0, rate, true, 0, Healthy, 100, 0, true},
			{20, rate, rate, true, rate, Unhealthy, 70, 20, true},
			{90, 0, rate, true, rate, Unhealthy, 70, 20, false},
			{100, 0, 0, true, rate, Unhealthy, 70, 20, false},
			{110, 0, 0, true, 0, Healthy, 100, 0, true},
			{120, 0, rate, true, 0, Healthy, 100, 0, false},
		}},
		{"the worst severity is the status, deductions add up", []step{
			{10, late, 0, true, late, Degraded, 80, 10, true},
			{20, late | down, 0, true, late | down, Unhealthy, 20, 20, true},
			{30, late | down | rate, 0, true, late | down | rate, Unhealthy, 0, 20, true}, // never below 0
			{60, late, 0, true, late, Degraded, 80, 10, true},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tr healthTracker
			for _, s := range c.steps {
				now := s.at * second / 10
				before := tr.healthState
				changed := tr.update(s.active, s.persisting, s.ready, now)
				if changed != s.changed || tr.reasons != s.reasons || tr.status != s.status || tr.score != s.score {
					t.Fatalf("at %d: changed %v, reasons %b, status %s, score %d; want %v, %b, %s, %d", s.at, changed,
						tr.reasons, tr.status, tr.score, s.changed, s.reasons, s.status, s.score)
				}
				for code := range numConditions {
					if tr.reasons.has(code) {
						if tr.since[code] != s.since*second/10 {
							t.Errorf("at %d: first reason since %d, want %d tenths of a second", s.at, tr.since[code], s.since)
						}
						break
					}
				}
				if (tr.statusSince == now) != (tr.status != before.status) {
					t.Errorf("at %d: status %s since %d, previous status %s", s.at, tr.status, tr.statusSince, before.status)
				}
			}
		})
	}
}

// TestFailureRateHysteresis checks that the reason failure_rate is cleared only below half of its limit.
func TestFailureRateHysteresis(t *testing.T) {
	s := healthyStatus()
	s.setMaxFailures(0.4)
	m, _ := newTestMonitor(s, nil)
	addRequests(s, 9, 10)
	if h := m.Health(); h.Codes() != "failure_rate" {
		t.Fatalf("9 of 10 failed: %+v, want reason failure_rate", h)
	}
	s.rate.add(false, s.clock.now())
	addRequests(s, 0, 10) // 9 of 21, at least 24%
	now := s.clock.now()
	if o := m.observe(now); o.active() != 0 || o.persisting() == 0 {
		t.Errorf("9 of 21 failed: active %b, persisting %b", o.active(), o.persisting())
	}
	addRequests(s, 0, 20) // 9 of 41, at least 12%
	if o := m.observe(now); o.active() != 0 || o.persisting() != 0 {
		t.Errorf("9 of 41 failed: active %b, persisting %b", o.active(), o.persisting())
	}
}

// TestHealthMonitorConcurrent checks that health and the gauges can be read by several goroutines
// while the status changes.
func TestHealthMonitorConcurrent(t *testing.T) {
	s := healthyStatus()
	m, set := newTestMonitor(s, new(fakeRecorder))
	done := make(chan struct{})
	for range 3 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 200 {
				h := m.Health()
				set.AppendText(nil)
				if (h.Status == Healthy) != (len(h.Reasons) == 0) {
					t.Errorf("status and reasons disagree: %+v", h)
				}
			}
		}()
	}
	for i := range 200 {
		s.refuse(make([]string, i%2)...)
	}
	for range 3 {
		<-done
	}
}

// TestWatch checks that Watch reports each change from the end of the initial sync on, and not a
// reason that was active only before.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := healthyStatus()
		s.ready.Store(false)
		s.disconnect()
		m, _ := newTestMonitor(s, new(fakeRecorder))
		type change struct{ before, now string }
		reported := make(chan change, 10)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.Watch(t.Context(), func(before, now Health) { reported <- change{before.Codes(), now.Codes()} })
		}()
		t.Cleanup(func() { <-ended })
		expect := func(want change) {
			t.Helper()
			select {
			case got := <-reported:
				if !reflect.DeepEqual(got, want) {
					t.Errorf("reported %+v, want %+v", got, want)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("change %+v was not reported", want)
			}
		}
		s.connect()
		s.ready.Store(true)
		s.refuse("OOM")
		expect(change{"", "database_refusing"})
		s.mismatched.Store(1)
		s.wake()
		expect(change{"database_refusing", "database_refusing,audit_mismatch"})
		s.refuse()
		expect(change{"database_refusing,audit_mismatch", "audit_mismatch"})
		s.mismatched.Store(0)
		s.wake()
		expect(change{"audit_mismatch", ""})
	})
}
