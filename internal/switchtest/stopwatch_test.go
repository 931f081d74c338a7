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

// TestExtended checks that a limit is extended by the time that the machine was stalled, but not
// beyond its maximum, and by a constant if that time is unknown.
func TestExtended(t *testing.T) {
	const limit = 10 * time.Second
	for _, c := range []struct {
		name             string
		begin, end, want time.Duration
	}{
		{"not stalled", time.Hour, time.Hour, limit},
		{"stalled", time.Hour, time.Hour + 5*time.Second, 15 * time.Second},
		{"stalled beyond the maximum", time.Hour, 2 * time.Hour, 80 * time.Second},
		{"not measured", 0, 0, 30 * time.Second},
	} {
		if got := extended(limit, c.begin, c.end); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestStopwatch checks that a limit expires, and not before its time.
func TestStopwatch(t *testing.T) {
	if left := StartStopwatch().Left(10 * time.Second); left < 9*time.Second || left > 10*time.Second {
		t.Errorf("%v left at the start, want 10s", left)
	}
	late := Stopwatch{time.Now().Add(-stallFactor * 10 * time.Second), stallTime()}
	if left := late.Left(10 * time.Second); left > 0 {
		t.Errorf("%v left after the maximum, want none", left)
	}
}
