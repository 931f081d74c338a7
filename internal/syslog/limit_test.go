package syslog

import (
	"strconv"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// at returns the time ms milliseconds after noon.
func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// TestLimiter checks when a line is allowed, and the number of occurrences missed before.
func TestLimiter(t *testing.T) {
	l := Limiter{Every: 10 * time.Second}
	steps := []struct {
		ms     int
		log    bool
		missed uint64
	}{
		{0, true, 0}, // the first line
		{1, false, 0},
		{9_999, false, 0},
		{10_000, true, 2}, // the next line after Every
		{10_001, false, 0},
		{60_000, true, 1},  // missed occurrences are kept
		{120_000, true, 0}, // nothing was missed
	}
	for _, s := range steps {
		if log, missed := l.Allow(at(s.ms)); log != s.log || missed != s.missed {
			t.Errorf("Allow at %d ms = %v, %d; want %v, %d", s.ms, log, missed, s.log, s.missed)
		}
	}
}

// TestLimiterMissed checks that Missed returns the missed occurrences once, after Every.
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
		t.Errorf("Allow just after Missed = %v, %d; want false, 0", log, missed)
	}
}

// TestLimiters checks that keys are limited independently, and that many keys are limited in lines
// and memory.
func TestLimiters(t *testing.T) {
	l := Limiters{Every: 10 * time.Second}
	steps := []struct {
		ms     int
		key    string
		log    bool
		missed uint64
	}{
		{0, "flush", true, 0},
		{1, "overrun", true, 0}, // another key
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
	if want := maxKeys - 2 + 1; lines != want || len(l.keys) != maxKeys { // the shared Limiter allows one line too
		t.Errorf("10,000 keys: %d lines, %d remembered; want %d, %d", lines, len(l.keys), want, maxKeys)
	}
	if log, missed := l.Allow("new", at(30_000)); !log || missed != 0 || len(l.keys) != 1 {
		t.Errorf("after a long quiet: %v, %d, %d keys; want a line and one key", log, missed, len(l.keys))
	}
}

// TestBudget checks the burst and the rate.
func TestBudget(t *testing.T) {
	b := Budget{Burst: 3, PerSecond: 10}
	steps := []struct {
		ms   int
		want bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, // the burst
		{99, false}, {100, true}, {100, false}, // one more after 100 ms
		{250, true}, {250, false}, {299, false}, {300, true}, // fractions of a token are kept
		{10_000, true}, {10_000, true}, {10_000, true}, {10_000, false}, // at most Burst lines at once
		{9_000, false}, // a clock that goes back adds no tokens
	}
	for _, s := range steps {
		if got := b.Allow(at(s.ms), LevelNotice); got != s.want {
			t.Errorf("Allow at %d ms = %v, want %v", s.ms, got, s.want)
		}
	}
}

// TestBudgetNeverRefusesErrors checks that errors are always allowed and do not use up the budget.
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

// TestBudgetMissed checks the number of refused lines and the interval between two results.
func TestBudgetMissed(t *testing.T) {
	b := Budget{Burst: 1, PerSecond: 1}
	if got := b.Missed(at(0)); got != 0 {
		t.Errorf("Missed before the first line = %d, want 0", got)
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
	refuse(10, 6) // includes the first line at 10 ms
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

// TestBudgetBelowRsyslogLimit checks that with 10,000 link messages a second, the budget of the
// daemon stays below the limit of SONiC's rsyslog, 20,000 lines in 300 s.
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

// TestLimitsDoNotAllocate checks that Limiter and Budget do not allocate.
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
