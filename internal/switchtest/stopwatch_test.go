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

// TestParseSteal checks the field of /proc/stat that counts stolen time.
func TestParseSteal(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"cpu  12151834 1019 2862537 4066121 78213 0 61213 250 0 0\ncpu0 6075917 510 1431268 2033060 39106 0 30606 125 0 0\n": 2500 * time.Millisecond,
		"cpu  1 2 3 4\n": 0,
		"":               0,
	} {
		if got := parseSteal([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestPauseMeter checks that a meter counts late wake-ups once, also before it has seen them, and no
// small delays.
func TestPauseMeter(t *testing.T) {
	var m pauseMeter
	at := time.Now()
	if got := m.total(at); got != 0 {
		t.Errorf("%v before the start, want none", got)
	}
	m.wake(at)
	for range 10 {
		at = at.Add(meterPeriod + meterPeriod/2)
		m.wake(at)
	}
	if got := m.total(at); got != 0 {
		t.Errorf("%v with small delays, want none", got)
	}
	at = at.Add(3*time.Second + meterPeriod)
	if got := m.total(at); got != 3*time.Second {
		t.Errorf("%v before the wake-up, want 3s", got)
	}
	m.wake(at)
	if got := m.total(at); got != 3*time.Second {
		t.Errorf("%v after the wake-up, want 3s", got)
	}
}

// TestExtended checks that a limit is extended by the time that the machine was stalled and paused,
// but not beyond its maximum, and by a constant if the first is unknown.
func TestExtended(t *testing.T) {
	const limit = 10 * time.Second
	for _, c := range []struct {
		name                     string
		begin, end, paused, want time.Duration
	}{
		{"not stalled", time.Hour, time.Hour, 0, limit},
		{"stalled", time.Hour, time.Hour + 5*time.Second, 0, 15 * time.Second},
		{"stalled beyond the maximum", time.Hour, 2 * time.Hour, 0, 80 * time.Second},
		{"not measured", 0, 0, 0, 30 * time.Second},
		{"paused", time.Hour, time.Hour, 3 * time.Second, 13 * time.Second},
		{"paused and stalled", time.Hour, time.Hour + 5*time.Second, 3 * time.Second, 18 * time.Second},
		{"paused beyond the maximum", time.Hour, time.Hour, time.Hour, 80 * time.Second},
		{"paused and not measured", 0, 0, 3 * time.Second, 33 * time.Second},
	} {
		if got := extended(limit, c.begin, c.end, c.paused); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestStopwatch checks that a limit expires, and not before its time.
func TestStopwatch(t *testing.T) {
	if left := StartStopwatch().Left(10 * time.Second); left < 9*time.Second || left > 10*time.Second {
		t.Errorf("%v left at the start, want 10s", left)
	}
	late := Stopwatch{time.Now().Add(-stallFactor * 10 * time.Second), stallTime(), pauseTime()}
	if left := late.Left(10 * time.Second); left > 0 {
		t.Errorf("%v left after the maximum, want none", left)
	}
}
