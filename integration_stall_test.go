package main

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"
)

// A stopwatch measures limits that a test sets itself. Time in which the machine
// had more to run than processors, or waited for its disk, does not count, since it
// says nothing about the daemon; but a limit ends at stallFactor times itself.
type stopwatch struct {
	begin   time.Time
	stalled time.Duration
}

const stallFactor = 8

func startWatch() stopwatch { return stopwatch{time.Now(), stalled()} }

// left returns how much of limit is left at least, 0 or less if it is over.
func (w stopwatch) left(limit time.Duration) time.Duration {
	took := time.Since(w.begin)
	if took <= limit {
		return limit - took
	}
	return min(limit-took+stalled()-w.stalled, stallFactor*limit-took)
}

// stalled returns for how long tasks of the machine have been waiting for a
// processor or the disk since the boot: "some" of the kernel's pressure stall
// information (Documentation/accounting/psi.rst). It is 0 if the kernel has none.
func stalled() time.Duration {
	longest := time.Duration(0)
	for _, resource := range []string{"cpu", "io"} {
		text, _ := os.ReadFile("/proc/pressure/" + resource)
		longest = max(longest, someTotal(text))
	}
	return longest
}

func someTotal(pressure []byte) time.Duration {
	line, _, _ := bytes.Cut(pressure, []byte("\n"))
	_, total, _ := bytes.Cut(line, []byte("total="))
	us, _ := strconv.ParseInt(string(total), 10, 64)
	return time.Duration(us) * time.Microsecond
}

func TestSomeTotal(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"some avg10=98.34 avg60=97.68 avg300=93.28 total=2133446474\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n": 2133446474 * time.Microsecond,
		"": 0,
	} {
		if got := someTotal([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// TestStopwatch: without a stall a limit is over when it has passed, with one later,
// but not for ever.
func TestStopwatch(t *testing.T) {
	now := stalled()
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
		left := stopwatch{time.Now().Add(-w.took), w.stalled}.left(10 * time.Second)
		if left < w.min || left > w.max {
			t.Errorf("%s: %v left, want %v to %v", w.name, left, w.min, w.max)
		}
	}
}
