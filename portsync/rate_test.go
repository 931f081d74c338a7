package portsync

import (
	"strings"
	"testing"
	"time"
)

func TestFailureRate(t *testing.T) {
	var f failureRate
	second := int64(time.Second)
	for i := range int64(100) {
		f.add(i%10 == 0, i*second) // one in ten, one each second
	}
	// At 100 s the buckets from 50 s on count.
	if failed, attempts := f.recent(100 * second); failed != 5 || attempts != 50 {
		t.Errorf("%d of %d, want 5 of 50", failed, attempts)
	}
	if failed, attempts := f.recent(1000 * second); failed != 0 || attempts != 0 {
		t.Errorf("%d of %d long after the last, want none", failed, attempts)
	}
}

// TestHealthReasons: each condition has its reason, and no other.
func TestHealthReasons(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(s *Status)
		want string // a part of the one reason, "" for none
	}{
		{"well", func(*Status) {}, ""},
		{"disconnected", func(s *Status) { s.connected.Store(false) }, "no connection"},
		{"refusing", func(s *Status) { s.refusing.Store(true) }, "refuse"},
		{"starting", func(s *Status) { s.started.Store(false) }, "start"},
		{"short dump", func(s *Status) { s.lostStep(time.Now()) }, ""},
		{"long dump", func(s *Status) { s.lostStep(time.Now().Add(-2 * dumpGrace)) }, "dump"},
		{"waiting", func(s *Status) { s.backlog(3, s.clock.now()-int64(2*time.Second)) }, ""},
		{"stalled", func(s *Status) { s.backlog(3, s.clock.now()-int64(20*time.Second)) }, "waiting"},
		{"one failure", func(s *Status) { s.rate.add(true, s.clock.now()) }, "failed"},
		{"few failures", func(s *Status) {
			for i := range 100 {
				s.rate.add(i < 8, s.clock.now()) // 8 %, but perhaps 4 %
			}
		}, ""},
		{"many failures", func(s *Status) {
			for i := range 100 {
				s.rate.add(i < 20, s.clock.now())
			}
		}, "20 of 100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Status{clock: clock{base: time.Now().Add(-time.Hour)}}
			s.connected.Store(true)
			s.started.Store(true)
			s.synced.Store(true)
			s.limit(Settings{MaxStall: 10 * time.Second, MaxFailureRate: 0.05})
			c.set(s)
			h := s.Health()
			if c.want == "" && !h.OK {
				t.Errorf("unwell: %q", h.Reasons)
			}
			if c.want != "" && (h.OK || len(h.Reasons) != 1 || !strings.Contains(h.Reasons[0], c.want)) {
				t.Errorf("Health: OK %v, %q, want one reason with %q", h.OK, h.Reasons, c.want)
			}
		})
	}
}
