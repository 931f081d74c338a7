package process

import (
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

func TestSomeTotal(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"some avg10=98.34 avg60=97.68 avg300=93.28 total=2133446474\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n": 2133446474 * time.Microsecond,
		"": 0,
	} {
		if got := switchtest.ParsePressure([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestStopwatch: without a stall a limit is over when it has passed, with one later,
// but not for ever.
func TestStopwatch(t *testing.T) {
	now := switchtest.StallTime()
	for _, w := range []struct {
		name     string
		took     time.Duration
		stalled  time.Duration // when the watch was started
		min, max time.Duration
	}{
		{"new", 0, now, 9 * time.Second, 10 * time.Second},
		{"over", 11 * time.Second, now + time.Hour, -2 * time.Hour, -time.Second},
		{"stalled", 11 * time.Second, now - 5*time.Second, time.Second, 10 * time.Second},
		{"stalled for ever", 81 * time.Second, now - time.Hour, -10 * time.Second, -time.Second},
	} {
		left := switchtest.StopwatchAt(time.Now().Add(-w.took), w.stalled).Left(10 * time.Second)
		if left < w.min || left > w.max {
			t.Errorf("%s: %v left, want %v to %v", w.name, left, w.min, w.max)
		}
	}
}
