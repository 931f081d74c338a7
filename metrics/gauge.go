package metrics

import (
	"math"
	"strconv"
	"sync/atomic"
)

// Gauge is a metric that can increase and decrease. NaN and infinities are valid values. The zero
// value is ready to use, but only gauges of a [Set] are exported. All methods are safe for
// concurrent use and do not allocate.
type Gauge struct {
	bits atomic.Uint64 // math.Float64bits
}

// Set replaces the value.
func (g *Gauge) Set(v float64) { g.bits.Store(math.Float64bits(v)) }

// SetBool sets 1 for true and 0 for false.
func (g *Gauge) SetBool(v bool) {
	if v {
		g.Set(1)
	} else {
		g.Set(0)
	}
}

// Add adds v, which may be negative.
func (g *Gauge) Add(v float64) { addFloat(&g.bits, v) }

// Load returns the current value.
func (g *Gauge) Load() float64 { return math.Float64frombits(g.bits.Load()) }

func (g *Gauge) appendValue(b []byte) []byte { return appendFloat(b, g.Load()) }

// IntGauge is a [Gauge] for integers. It is exact for every int64, whereas a float64 is exact only
// up to 2^53.
type IntGauge struct {
	v atomic.Int64
}

// Set replaces the value.
func (g *IntGauge) Set(v int64) { g.v.Store(v) }

// SetBool sets 1 for true and 0 for false.
func (g *IntGauge) SetBool(v bool) {
	if v {
		g.v.Store(1)
	} else {
		g.v.Store(0)
	}
}

// Add adds v, which may be negative.
func (g *IntGauge) Add(v int64) { g.v.Add(v) }

// Load returns the current value.
func (g *IntGauge) Load() int64 { return g.v.Load() }

func (g *IntGauge) appendValue(b []byte) []byte {
	return strconv.AppendInt(b, g.v.Load(), 10)
}

// floatFunc is a gauge whose value is computed on each scrape.
type floatFunc func() float64

func (f floatFunc) appendValue(b []byte) []byte { return appendFloat(b, f()) }

// addFloat adds v to the float64 stored in bits. The loop is lock-free: a swap fails only if
// another goroutine's swap succeeded.
func addFloat(bits *atomic.Uint64, v float64) {
	for {
		old := bits.Load()
		sum := math.Float64bits(math.Float64frombits(old) + v)
		if bits.CompareAndSwap(old, sum) {
			return
		}
	}
}
