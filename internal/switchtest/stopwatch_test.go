package switchtest

import (
	"testing"
	"time"
)

// TestParsePressure checks that the total of the "some" line is read.
func TestParsePressure(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"some avg10=98.34 avg60=97.68 avg300=93.28 total=2133446474\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n": 2133446474 * time.Microsecond,
		"": 0,
	} {
		if got := parsePressure([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestStopwatch checks that a limit is extended by the time that the machine was stalled, but
// not beyond its maximum.
func TestStopwatch(t *testing.T) {
	now := stallTime()
	for _, w := range []struct {
		name     string
		took     time.Duration
		stalled  time.Duration // when the watch was started
		min, max time.Duration
	}{
		{"new", 0, now, 9 * time.Second, 10 * time.Second},
		{"over", 11 * time.Second, now + time.Hour, -2 * time.Hour, -time.Second},
		{"stalled", 11 * time.Second, now - 5*time.Second, time.Second, 10 * time.Second},
		{"stalled beyond the maximum", 81 * time.Second, now - time.Hour, -10 * time.Second, -time.Second},
	} {
		left := Stopwatch{time.Now().Add(-w.took), w.stalled}.Left(10 * time.Second)
		if left < w.min || left > w.max {
			t.Errorf("%s: %v left, want %v to %v", w.name, left, w.min, w.max)
		}
	}
}
