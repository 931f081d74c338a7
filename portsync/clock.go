package portsync

import "time"

// clock measures nanoseconds since the loop was made, on the monotonic clock.
type clock struct{ base time.Time }

func newClock() clock { return clock{base: time.Now()} }

func (c clock) now() int64 { return int64(time.Since(c.base)) }

// time turns a reading into the time of day.
func (c clock) time(now int64) time.Time { return c.base.Add(time.Duration(now)) }

// moment turns a reading into the time of day in UTC; 0 stands for none.
func (c clock) moment(now int64) *time.Time {
	if now == 0 {
		return nil
	}
	t := c.time(now).UTC()
	return &t
}

// seconds turns a reading into seconds since 1970.
func (c clock) seconds(now int64) float64 { return float64(c.time(now).UnixNano()) / 1e9 }

// reading turns a time of day into a reading.
func (c clock) reading(t time.Time) int64 { return int64(t.Sub(c.base)) }

// never is a deadline that does not come.
const never = int64(1<<63 - 1)
