package metrics

import (
	"strconv"
	"sync/atomic"
)

// Counter is a number that only grows. The zero value is ready, but only a
// counter made by a [Set] is exposed. All methods are safe for concurrent use
// and do not allocate.
type Counter struct {
	v atomic.Uint64
}

// Inc adds one.
func (c *Counter) Inc() { c.v.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.v.Add(n) }

// Load returns the present value.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Set replaces the value. It is for counters kept elsewhere (by the kernel, or
// on disk across a restart) and shown here: a value below the one before looks
// to Prometheus like a restart of the counter.
func (c *Counter) Set(n uint64) { c.v.Store(n) }

func (c *Counter) appendValue(b []byte) []byte {
	return strconv.AppendUint(b, c.v.Load(), 10)
}

// counterFunc is a counter read at the scrape.
type counterFunc func() uint64

func (f counterFunc) appendValue(b []byte) []byte {
	return strconv.AppendUint(b, f(), 10)
}
