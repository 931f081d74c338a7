package metrics

import (
	"strconv"
	"sync/atomic"
)

// Counter is a metric that only increases. The zero value is ready to use, but only a counter of a
// [Set] is exported. All methods are safe for concurrent use and do not allocate.
type Counter struct {
	v atomic.Uint64
}

// Inc adds one.
func (c *Counter) Inc() { c.v.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.v.Add(n) }

// Load returns the current value.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Set replaces the value. It is meant for a count that is kept elsewhere, by the kernel or in a
// file across restarts. Prometheus takes a decrease for a restart of the counter.
func (c *Counter) Set(n uint64) { c.v.Store(n) }

func (c *Counter) appendValue(b []byte) []byte {
	return strconv.AppendUint(b, c.v.Load(), 10)
}

// counterFunc is a counter that is computed at each scrape.
type counterFunc func() uint64

func (f counterFunc) appendValue(b []byte) []byte {
	return strconv.AppendUint(b, f(), 10)
}
