package switchtest

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// A stopwatch measures limits that a test sets itself. Time in which the machine
// had more to run than processors, or waited for its disk, does not count, since it
// says nothing about the daemon; but a limit ends at stallFactor times itself.
type Stopwatch struct {
	Begin   time.Time
	stalled time.Duration
}

const stallFactor = 8

// StopwatchAt is a stopwatch started at a time at which the processors had stalled so much.
func StopwatchAt(started time.Time, stalled time.Duration) Stopwatch {
	return Stopwatch{started, stalled}
}

func StartStopwatch() Stopwatch { return Stopwatch{time.Now(), StallTime()} }

// Left returns how much of limit is left at least, 0 or less if it is over.
func (w Stopwatch) Left(limit time.Duration) time.Duration {
	took := time.Since(w.Begin)
	if took <= limit {
		return limit - took
	}
	return min(limit-took+StallTime()-w.stalled, stallFactor*limit-took)
}

// Stalled returns for how long tasks of the machine have been waiting for a
// processor or the disk since the boot: "some" of the kernel's pressure stall
// information (Documentation/accounting/psi.rst). It is 0 if the kernel has none.
func StallTime() time.Duration {
	longest := time.Duration(0)
	for _, resource := range []string{"cpu", "io"} {
		text, _ := os.ReadFile("/proc/pressure/" + resource)
		longest = max(longest, ParsePressure(text))
	}
	return longest
}

func ParsePressure(pressure []byte) time.Duration {
	line, _, _ := bytes.Cut(pressure, []byte("\n"))
	_, total, _ := bytes.Cut(line, []byte("total="))
	us, _ := strconv.ParseInt(string(total), 10, 64)
	return time.Duration(us) * time.Microsecond
}
