package portsync

import (
	"reflect"
	"testing"
	"time"
)

// TestJudgeStep: a reason comes at once and goes after it has been absent for a
// while; what lasts stays without being begun; nothing lingers before the end of
// the initial sync.
func TestJudgeStep(t *testing.T) {
	const second = int64(time.Second)
	down, late, rate := conditions(1<<databaseDown), conditions(1<<portInitLate), conditions(1<<failureRateHigh)
	type look struct {
		at             int64 // in tenths of a second
		wrong, lasting conditions
		settled        bool

		reasons conditions
		status  string
		score   int
		since   int64 // of the first reason, in tenths
		changed bool
	}
	for _, c := range []struct {
		name  string
		looks []look
	}{
		{"comes at once, goes after a while", []look{
			{10, 0, 0, true, 0, Healthy, 100, 0, true}, // the first look
			{11, down, 0, true, down, Unhealthy, 40, 11, true},
			{12, 0, 0, true, down, Unhealthy, 40, 11, false},
			{30, 0, 0, true, down, Unhealthy, 40, 11, false},
			{31, 0, 0, true, 0, Healthy, 100, 0, true},
		}},
		{"comes and goes without flutter", []look{
			{10, down, 0, true, down, Unhealthy, 40, 10, true},
			{29, 0, 0, true, down, Unhealthy, 40, 10, false},
			{30, down, 0, true, down, Unhealthy, 40, 10, false},
			{49, 0, 0, true, down, Unhealthy, 40, 10, false},
			{50, 0, 0, true, 0, Healthy, 100, 0, true},
			{51, down, 0, true, down, Unhealthy, 40, 51, true},
		}},
		{"nothing lingers before the initial sync", []look{
			{10, down, 0, false, down, Unhealthy, 40, 10, true},
			{11, 0, 0, false, 0, Healthy, 100, 0, true},
			{12, down, 0, false, down, Unhealthy, 40, 12, true},
			{13, 0, 0, true, 0, Healthy, 100, 0, true}, // nor what was there right before its end
		}},
		{"lasts, and does not begin so", []look{
			{10, 0, rate, true, 0, Healthy, 100, 0, true},
			{20, rate, rate, true, rate, Unhealthy, 70, 20, true},
			{90, 0, rate, true, rate, Unhealthy, 70, 20, false},
			{100, 0, 0, true, rate, Unhealthy, 70, 20, false},
			{110, 0, 0, true, 0, Healthy, 100, 0, true},
			{120, 0, rate, true, 0, Healthy, 100, 0, false},
		}},
		{"the grave one decides, deductions add up", []look{
			{10, late, 0, true, late, Degraded, 80, 10, true},
			{20, late | down, 0, true, late | down, Unhealthy, 20, 20, true},
			{30, late | down | rate, 0, true, late | down | rate, Unhealthy, 0, 20, true}, // never below 0
			{60, late, 0, true, late, Degraded, 80, 10, true},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var j judgement
			for _, l := range c.looks {
				now := l.at * second / 10
				was := j.verdict
				changed := j.step(l.wrong, l.lasting, l.settled, now)
				if changed != l.changed || j.reasons != l.reasons || j.status != l.status || j.score != l.score {
					t.Fatalf("at %d: changed %v, %b %s %d, want %v, %b %s %d", l.at, changed,
						j.reasons, j.status, j.score, l.changed, l.reasons, l.status, l.score)
				}
				for code := range numConditions {
					if j.reasons.has(code) {
						if j.since[code] != l.since*second/10 {
							t.Errorf("at %d: since %d, want %d tenths", l.at, j.since[code], l.since)
						}
						break
					}
				}
				if (j.from == now) != (j.status != was.status) {
					t.Errorf("at %d: %s since %d, before it was %s", l.at, j.status, j.from, was.status)
				}
			}
		})
	}
}

// TestFailureRateHysteresis: it clears below half of what is too much.
func TestFailureRateHysteresis(t *testing.T) {
	s := wellStatus()
	s.setMaxFailures(0.4)
	j, _ := newTestJudge(s, nil)
	exchanges(s, 9, 10)
	if h := j.Health(); h.Codes() != "failure_rate" {
		t.Fatalf("%+v", h)
	}
	s.rate.add(false, s.clock.now())
	exchanges(s, 0, 10) // 9 of 21, at least 24 %
	now := s.clock.now()
	if e := j.gather(now); e.wrong != 0 || e.lasting == 0 {
		t.Errorf("9 of 21: %b begin, %b last", e.wrong, e.lasting)
	}
	exchanges(s, 0, 20) // 9 of 41, at least 12 %
	if e := j.gather(now); e.wrong != 0 || e.lasting != 0 {
		t.Errorf("9 of 41: %b begin, %b last", e.wrong, e.lasting)
	}
}

// TestJudgeIsAskedByMany: from any goroutine, at any time.
func TestJudgeIsAskedByMany(t *testing.T) {
	s := wellStatus()
	j, set := newTestJudge(s, new(kept))
	done := make(chan struct{})
	for range 3 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 200 {
				h := j.Health()
				set.AppendText(nil)
				if (h.Status == Healthy) != (len(h.Reasons) == 0) {
					t.Errorf("%+v", h)
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

// TestWatch: it tells of changes, from the end of the initial sync on, without
// being asked; what was wrong before and is not any more is no change.
func TestWatch(t *testing.T) {
	t.Parallel()
	s := wellStatus()
	s.ready.Store(false)
	s.disconnect()
	j, _ := newTestJudge(s, new(kept))
	type change struct{ was, is string }
	told := make(chan change, 10)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		j.Watch(t.Context(), func(was, is Health) { told <- change{was.Codes(), is.Codes()} })
	}()
	t.Cleanup(func() { <-ended })
	next := func(want change) {
		t.Helper()
		select {
		case got := <-told:
			if !reflect.DeepEqual(got, want) {
				t.Errorf("told of %+v, want %+v", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("not told of %+v", want)
		}
	}
	s.connect()
	s.ready.Store(true)
	s.refuse("OOM")
	next(change{"", "database_refusing"})
	s.mismatched.Store(1)
	s.poke()
	next(change{"database_refusing", "database_refusing,audit_mismatch"})
	s.refuse()
	next(change{"database_refusing,audit_mismatch", "audit_mismatch"})
	s.mismatched.Store(0)
	s.poke()
	next(change{"audit_mismatch", ""})
}
