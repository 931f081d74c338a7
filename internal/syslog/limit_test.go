package syslog

import (
	"strconv"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// at returns the time so many milliseconds after noon.
func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

func TestLimiter(t *testing.T) {
	l := Limiter{Every: 10 * time.Second}
	steps := []struct {
		ms     int
		log    bool
		missed uint64
	}{
		{0, true, 0}, // at once
		{1, false, 0},
		{9_999, false, 0},
		{10_000, true, 2}, // a summary when the time is up
		{10_001, false, 0},
		{60_000, true, 1},  // late, but nothing forgotten
		{120_000, true, 0}, // a fault after a long quiet is as good as the first
	}
	for _, s := range steps {
		if log, missed := l.Allow(at(s.ms)); log != s.log || missed != s.missed {
			t.Errorf("Allow at %d ms = %v, %d; want %v, %d", s.ms, log, missed, s.log, s.missed)
		}
	}
}

func TestLimiterMissed(t *testing.T) {
	l := Limiter{Every: 10 * time.Second}
	if got := l.Missed(at(0)); got != 0 {
		t.Errorf("Missed before any fault = %d, want 0", got)
	}
	for ms := range 5 {
		l.Allow(at(ms))
	}
	steps := []struct {
		ms   int
		want uint64
	}{{9_999, 0}, {10_000, 4}, {10_001, 0}, {30_000, 0}}
	for _, s := range steps {
		if got := l.Missed(at(s.ms)); got != s.want {
			t.Errorf("Missed at %d ms = %d, want %d", s.ms, got, s.want)
		}
	}
	if log, missed := l.Allow(at(10_002)); log || missed != 0 {
		t.Errorf("Allow just after a summary = %v, %d; want it to wait", log, missed)
	}
}

// TestLimiters: one key does not suppress another, and a flood of keys is bounded in lines and in memory.
func TestLimiters(t *testing.T) {
	l := Limiters{Every: 10 * time.Second}
	steps := []struct {
		ms     int
		key    string
		log    bool
		missed uint64
	}{
		{0, "flush", true, 0},
		{1, "overrun", true, 0}, // directly after another one
		{2, "overrun", false, 0},
		{3, "flush", false, 0},
		{4, "flush", false, 0},
		{10_000, "flush", true, 2},
		{10_001, "overrun", true, 1},
	}
	for _, s := range steps {
		if log, missed := l.Allow(s.key, at(s.ms)); log != s.log || missed != s.missed {
			t.Errorf("Allow(%q) at %d ms = %v, %d; want %v, %d", s.key, s.ms, log, missed, s.log, s.missed)
		}
	}
	lines := 0
	for i := range 10_000 {
		if log, _ := l.Allow(strconv.Itoa(i), at(11_000)); log {
			lines++
		}
	}
	if want := maxKeys - 2 + 1; lines != want || len(l.keys) != maxKeys { // the shared one has a line as well
		t.Errorf("10,000 keys: %d lines, %d remembered; want %d, %d", lines, len(l.keys), want, maxKeys)
	}
	if log, missed := l.Allow("new", at(30_000)); !log || missed != 0 || len(l.keys) != 1 {
		t.Errorf("after a long quiet: %v, %d, %d keys; want a line and one key", log, missed, len(l.keys))
	}
}

func TestBudget(t *testing.T) {
	b := Budget{Burst: 3, PerSecond: 10}
	steps := []struct {
		ms   int
		want bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, // the burst
		{99, false}, {100, true}, {100, false}, // one more after a tenth of a second
		{250, true}, {250, false}, {299, false}, {300, true}, // halves are not lost
		{10_000, true}, {10_000, true}, {10_000, true}, {10_000, false}, // never more than the burst
		{9_000, false}, // a clock that jumps back gives nothing
	}
	for _, s := range steps {
		if got := b.Allow(at(s.ms), LevelNotice); got != s.want {
			t.Errorf("Allow at %d ms = %v, want %v", s.ms, got, s.want)
		}
	}
}

func TestBudgetNeverRefusesErrors(t *testing.T) {
	b := Budget{Burst: 1, PerSecond: 1}
	for range 100 {
		if !b.Allow(at(0), LevelError) || !b.Allow(at(0), LevelCrit) {
			t.Fatal("an error was refused")
		}
	}
	if !b.Allow(at(0), LevelWarn) {
		t.Error("errors used up the budget of a warning")
	}
	if b.Allow(at(0), LevelWarn) {
		t.Error("a second warning was allowed")
	}
}

func TestBudgetMissed(t *testing.T) {
	b := Budget{Burst: 1, PerSecond: 1}
	if got := b.Missed(at(0)); got != 0 {
		t.Errorf("Missed at first = %d, want 0", got)
	}
	refuse := func(ms, n int) {
		t.Helper()
		b.Allow(at(ms), LevelNotice)
		for range n {
			if b.Allow(at(ms), LevelNotice) {
				t.Fatalf("allowed at %d ms", ms)
			}
		}
	}
	refuse(0, 5)
	if got := b.Missed(at(0)); got != 5 {
		t.Errorf("first summary = %d, want 5 at once", got)
	}
	refuse(10, 6) // the line at 10 ms is refused as well
	if got := b.Missed(at(999)); got != 0 {
		t.Errorf("Missed within a second of the last summary = %d, want 0", got)
	}
	if got := b.Missed(at(1000)); got != 7 {
		t.Errorf("second summary = %d, want 7", got)
	}
	if got := b.Missed(at(5000)); got != 0 {
		t.Errorf("third summary = %d, want 0", got)
	}
}

// TestBudgetBelowRsyslogLimit checks the numbers that the daemon uses against those of SONiC's rsyslog: 20,000 lines
// in 300 s, here under a storm of 10,000 link messages a second.
func TestBudgetBelowRsyslogLimit(t *testing.T) {
	b := Budget{Burst: 1000, PerSecond: 30}
	lines, messages := 0, 0
	var missed uint64
	for ms := 0; ms < 300_000; ms++ {
		for range 10 {
			messages++
			if b.Allow(at(ms), LevelNotice) {
				lines++
			}
		}
		if n := b.Missed(at(ms)); n > 0 {
			missed += n
			lines++
		}
	}
	if lines < 9_000 || lines > 12_000 {
		t.Errorf("%d lines in 300 s, want about 1000 + 300*30 + 300 summaries", lines)
	}
	missed += b.Missed(at(400_000))
	summaries := 300
	if logged := uint64(lines - summaries); logged+missed != uint64(messages) {
		t.Errorf("%d logged and %d reported as not logged, of %d messages", logged, missed, messages)
	}
}

func TestLimitsDoNotAllocate(t *testing.T) {
	l, b := Limiter{Every: time.Second}, Budget{Burst: 10, PerSecond: 10}
	ms := 0
	allocs := testing.AllocsPerRun(1000, func() {
		ms += 7
		l.Allow(at(ms))
		l.Missed(at(ms))
		b.Allow(at(ms), LevelNotice)
		b.Missed(at(ms))
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
