package metrics

import (
	"strconv"
	"sync/atomic"
)

// Counter is a metric that only increases. The zero value is ready to use, but only counters of a
// [Set] are exported. All methods are safe for concurrent use and do not allocate.
type Counter struct {
	v atomic.Uint64
}

// Inc adds one.
func (c *Counter) Inc() { c.v.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.v.Add(n) }

// Load returns the current value.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Set replaces the value. It is intended for counts that are maintained elsewhere, by the kernel or
// in a file across restarts. Prometheus interprets a decrease as a counter reset.
func (c *Counter) Set(n uint64) { c.v.Store(n) }

func (c *Counter) appendValue(b []byte) []byte {
	return strconv.AppendUint(b, c.v.Load(), 10)
}

// counterFunc is a counter whose value is computed on each scrape.
type counterFunc func() uint64

func (f counterFunc) appendValue(b []byte) []byte {
	return strconv.AppendUint(b, f(), 10)
}
