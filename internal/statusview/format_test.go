package statusview

import (
	"math"
	"testing"
	"time"
)

// TestAge checks the units of ages and that negative ages are 0s.
func TestAge(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Hour, "59s": 60*time.Second - 1, "1m": time.Minute, "1m 1s": 61 * time.Second, "59m 59s": time.Hour - 1,
		"1h": time.Hour + 59*time.Second, "23h 59m": 24*time.Hour - 1, "1d": 24*time.Hour + 59*time.Minute,
		"106751d 23h": math.MaxInt64,
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}

// TestDuration checks digits and units of measured times.
func TestDuration(t *testing.T) {
	p := newPrinter(Terminal{}, nil)
	for want, seconds := range map[string]float64{
		"0 s": 0, "1 ns": 1e-9, "12.3 µs": 12.345e-6, "999 µs": 999.4e-6, "1 ms": 999.6e-6, "90 ms": 0.09, "123 ms": 0.1234,
		"1 s": 0.9999, "59.9 s": 59.94, "999 s": 999.4, "16m 40s": 1000, "106481d 11h": math.MaxFloat64,
		"?": math.NaN(), "-1.5 s": -1.5,
	} {
		if got := p.duration(seconds); got != want {
			t.Errorf("duration(%v) = %q, want %q", seconds, got, want)
		}
	}
	if got := newPrinter(Terminal{ASCII: true}, nil).duration(1e-5); got != "10 us" {
		t.Errorf("duration(1e-5) in ASCII = %q, want 10 us", got)
	}
}

// TestPercent checks that only the shares 0 and 1 are shown as 0% and 100%.
func TestPercent(t *testing.T) {
	for want, v := range map[string]float64{
		"0%": 0, "0.001%": 0.00001, "8.3%": 1. / 12, "50%": 0.5, "99.98%": 0.9998, "99.9999%": 0.999999, "100%": 1,
	} {
		if got := percent(v); got != want {
			t.Errorf("percent(%v) = %q, want %q", v, got, want)
		}
	}
}
