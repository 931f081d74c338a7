package portsync

import (
	"time"

	"portsyncd/internal/journal"
)

// clock is a monotonic clock. A reading is the number of nanoseconds since base.
type clock struct{ base time.Time }

// newClock returns a clock that starts now. If j is not nil, the clock has the same base as the
// journal's clock.
func newClock(j *journal.Journal) clock {
	if j != nil {
		return clock{base: j.Base()}
	}
	return clock{base: time.Now()}
}

func (c clock) now() int64 { return int64(time.Since(c.base)) }

// time converts a reading to the time of day.
func (c clock) time(now int64) time.Time { return c.base.Add(time.Duration(now)) }

// moment converts a reading to the time of day in UTC. It returns nil for 0.
func (c clock) moment(now int64) *time.Time {
	if now == 0 {
		return nil
	}
	t := c.time(now).UTC()
	return &t
}

// seconds converts a reading to Unix time in seconds.
func (c clock) seconds(now int64) float64 { return float64(c.time(now).UnixNano()) / 1e9 }

// secondsOrZero is like seconds, but returns 0 for 0.
func (c clock) secondsOrZero(now int64) float64 {
	if now == 0 {
		return 0
	}
	return c.seconds(now)
}

// reading converts a time of day to a reading.
func (c clock) reading(t time.Time) int64 { return int64(t.Sub(c.base)) }

// never is a deadline that does not expire.
const never = int64(1<<63 - 1)
