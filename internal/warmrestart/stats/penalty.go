package stats

import (
	"math"
	"time"
)

// Figures of [FlapPenalty]. The penalty and the two thresholds are the defaults that
// RFC 7196, table 1, lists for route flap damping, with their half-life; link
// event damping in SONiC counts in the same unit. The ceiling is that of RFC
// 2439, section 4.2: what decays to StableThreshold within an hour, so that nothing is
// held against a port for longer than that.
const (
	PenaltyPerDown    = 1000.0
	FlappingThreshold = 2000.0 // flapping begins above this
	StableThreshold   = 750.0  // flapping is over below this
	PenaltyHalfLife   = 15 * time.Minute
	MaxPenalty        = 12000.0 // StableThreshold * 2^(1 hour / PenaltyHalfLife)
)

// FlapPenalty is the figure of merit of RFC 2439 ("BGP Route Flap Damping"), section
// 2.3: a penalty that grows with each loss and decays exponentially. It is for
// watching only: nothing here suppresses a state. The zero value is a port that
// never flapped.
//
// Times are nanoseconds on any clock, better one that does not jump. While it
// stands before the last Add nothing decays; the next Add takes the clock as it
// is. A FlapPenalty is a plain value for one goroutine; nothing allocates.
type FlapPenalty struct {
	penalty  float64 // at the time at
	at       int64
	flapping bool // as of at
}

// NewFlapPenalty is the figure whose At, Flapping and time were these, such as to carry
// one over to another goroutine.
func NewFlapPenalty(penalty float64, at int64, flapping bool) FlapPenalty {
	return FlapPenalty{penalty: penalty, at: at, flapping: flapping}
}

// Add notes that the carrier went so many times, as the kernel counts, until now.
func (m *FlapPenalty) Add(now int64, downs uint64) {
	if downs == 0 {
		return
	}
	flapping := m.Flapping(now)
	m.penalty = min(m.At(now)+PenaltyPerDown*float64(downs), MaxPenalty)
	m.at = now
	m.flapping = flapping || m.penalty > FlappingThreshold
}

// At returns the penalty, 0 to MaxPenalty.
func (m *FlapPenalty) At(now int64) float64 {
	if m.penalty == 0 { // the usual case, without arithmetic
		return 0
	}
	age := max(0, float64(now)-float64(m.at)) // which cannot overflow
	return m.penalty * math.Exp2(-age/float64(PenaltyHalfLife))
}

// Flapping reports whether the penalty was above FlappingThreshold and has not been
// below StableThreshold since.
func (m *FlapPenalty) Flapping(now int64) bool {
	return m.flapping && m.At(now) >= StableThreshold
}
