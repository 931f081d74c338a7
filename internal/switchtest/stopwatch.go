package switchtest

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// Stopwatch measures time against a test's limits. It excludes time during which tasks on this
// machine waited for a processor or the disk, because such delays are not caused by the daemon. A
// limit is extended to at most stallFactor times its length. If the kernel does not measure such
// delays, a limit is extended to unmeasuredFactor times its length.
type Stopwatch struct {
	Begin   time.Time
	stalled time.Duration
}

const (
	stallFactor      = 8
	unmeasuredFactor = 3
)

// StartStopwatch returns a stopwatch that starts now.
func StartStopwatch() Stopwatch { return Stopwatch{time.Now(), stallTime()} }

// Left returns the remaining part of limit. It returns 0 or less if limit has expired.
func (w Stopwatch) Left(limit time.Duration) time.Duration {
	took := time.Since(w.Begin)
	if took <= limit {
		return limit - took
	}
	return extended(limit, w.stalled, stallTime()) - took
}

// extended returns a limit extended by the time that the machine was stalled. begin and end are
// results of stallTime.
func extended(limit, begin, end time.Duration) time.Duration {
	if end == 0 { // not measured
		return unmeasuredFactor * limit
	}
	return min(limit+end-begin, stallFactor*limit)
}

// Contended reports whether tasks on this machine waited for a processor or for the disk for more
// than 2% of the time since the stopwatch was started. It returns true if the kernel does not
// measure this.
func (w Stopwatch) Contended() bool {
	total := stallTime()
	return total == 0 || total-w.stalled > time.Since(w.Begin)/50
}

// stallTime returns for how long tasks on this machine have waited for a processor or for the disk
// since boot, whichever is longer. It reads the line "some" of the kernel's pressure stall
// information (Documentation/accounting/psi.rst), and returns 0 if the kernel does not provide it.
func stallTime() time.Duration {
	longest := time.Duration(0)
	for _, resource := range []string{"cpu", "io"} {
		text, _ := os.ReadFile("/proc/pressure/" + resource)
		longest = max(longest, parsePressure(text))
	}
	return longest
}

// parsePressure returns the total of the "some" line of a file in /proc/pressure.
func parsePressure(pressure []byte) time.Duration {
	line, _, _ := bytes.Cut(pressure, []byte("\n"))
	_, total, _ := bytes.Cut(line, []byte("total="))
	us, _ := strconv.ParseInt(string(total), 10, 64)
	return time.Duration(us) * time.Microsecond
}
