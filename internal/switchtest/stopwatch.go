package switchtest

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// Stopwatch measures time against a test's limits. It excludes time during which tasks on this
// machine waited for a processor or the disk, or during which the machine or this process was stopped,
// because such delays are not caused by the daemon. A limit is extended to at most stallFactor times
// its length. If the kernel does not measure waiting tasks, a limit is first extended to
// unmeasuredFactor times its length.
type Stopwatch struct {
	Begin   time.Time
	stalled time.Duration
	paused  time.Duration
}

const (
	stallFactor      = 8
	unmeasuredFactor = 3
)

// StartStopwatch returns a stopwatch that starts now.
func StartStopwatch() Stopwatch {
	startPauseMeter()
	return Stopwatch{time.Now(), stallTime(), pauseTime()}
}

// Left returns the remaining part of limit. It returns 0 or less if limit has expired.
func (w Stopwatch) Left(limit time.Duration) time.Duration {
	took := time.Since(w.Begin)
	if took <= limit {
		return limit - took
	}
	return w.Extended(limit) - took
}

// Extended returns limit extended by the time that does not count.
func (w Stopwatch) Extended(limit time.Duration) time.Duration {
	return extended(limit, w.stalled, stallTime(), w.Paused())
}

// extended returns a limit extended by the time that the machine was stalled and paused. begin and end
// are results of stallTime.
func extended(limit, begin, end, paused time.Duration) time.Duration {
	more := end - begin
	if end == 0 { // not measured
		more = (unmeasuredFactor - 1) * limit
	}
	return min(limit+more+paused, stallFactor*limit)
}

// Paused returns for how long the machine or this process was stopped since the stopwatch was
// started.
func (w Stopwatch) Paused() time.Duration { return pauseTime() - w.paused }

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

// pauseTime returns for how long this process was paused, plus the time that the hypervisor of a
// virtual machine gave to others. Neither is part of the kernel's pressure stall information.
func pauseTime() time.Duration {
	stat, _ := os.ReadFile("/proc/stat")
	return pauses.total(time.Now()) + parseSteal(stat)
}

// parseSteal returns the field "steal" of all processors in /proc/stat (proc_stat(5)), in ticks of
// 1/100 s.
func parseSteal(stat []byte) time.Duration {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line) // "cpu", user, nice, system, idle, iowait, irq, softirq, steal
	if len(fields) < 9 {
		return 0
	}
	ticks, _ := strconv.ParseInt(string(fields[8]), 10, 64)
	return time.Duration(ticks) * time.Second / 100
}

// pauseMeter adds up the time by which a goroutine that sleeps for meterPeriod at a time wakes up too
// late. Delays below meterPeriod do not count.
type pauseMeter struct {
	mu     sync.Mutex
	last   time.Time // when the goroutine last woke up
	paused time.Duration
}

const meterPeriod = 50 * time.Millisecond

// pauses is the meter of this process.
var pauses pauseMeter

// startPauseMeter starts the meter's goroutine at its first call.
var startPauseMeter = sync.OnceFunc(func() {
	pauses.wake(time.Now())
	go func() {
		for {
			time.Sleep(meterPeriod)
			pauses.wake(time.Now())
		}
	}()
})

// wake records that the goroutine has woken up.
func (m *pauseMeter) wake(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused += m.late(now)
	m.last = now
}

// total returns the time of all pauses, including one that the goroutine has not seen yet.
func (m *pauseMeter) total(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.paused + m.late(now)
}

// late returns by how much the goroutine is late. The caller holds the mutex.
func (m *pauseMeter) late(now time.Time) time.Duration {
	if late := now.Sub(m.last) - meterPeriod; late > meterPeriod && !m.last.IsZero() {
		return late
	}
	return 0
}
