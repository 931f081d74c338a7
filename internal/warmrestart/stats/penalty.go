package stats

import (
	"math"
	"time"
)

// Parameters of [FlapPenalty]. The penalty, the two thresholds and the half-life are the defaults
// for route flap damping in RFC 7196, table 1; SONiC's link event damping uses the same unit. The
// maximum is that of RFC 2439, section 4.2: a penalty that decays to StableThreshold within an hour.
const (
	PenaltyPerDown    = 1000.0
	FlappingThreshold = 2000.0 // a port is flapping above this
	StableThreshold   = 750.0  // a flapping port is stable again below this
	PenaltyHalfLife   = 15 * time.Minute
	MaxPenalty        = 12000.0 // StableThreshold * 2^(1 hour / PenaltyHalfLife)
)

// FlapPenalty is the figure of merit of RFC 2439 ("BGP Route Flap Damping"), section 2.3: a penalty
// that grows with each link-down transition and decays exponentially. It only measures; it does not
// suppress any state. The zero value is a port that never flapped.
//
// The methods of FlapPenalty take times in nanoseconds, preferably of a monotonic clock. If now is
// before the last Add, the penalty does not decay. A FlapPenalty must be used by one goroutine
// only. Its methods do not allocate.
type FlapPenalty struct {
	penalty  float64 // at the time at
	at       int64
	flapping bool // at the time at
}

// NewFlapPenalty returns a FlapPenalty with the given state at the given time, for example to copy
// one from another goroutine.
func NewFlapPenalty(penalty float64, at int64, flapping bool) FlapPenalty {
	return FlapPenalty{penalty: penalty, at: at, flapping: flapping}
}

// Add adds downs link-down transitions at the time now.
func (p *FlapPenalty) Add(now int64, downs uint64) {
	if downs == 0 {
		return
	}
	flapping := p.Flapping(now)
	p.penalty = min(p.At(now)+PenaltyPerDown*float64(downs), MaxPenalty)
	p.at = now
	p.flapping = flapping || p.penalty > FlappingThreshold
}

// At returns the penalty at the time now, 0 to MaxPenalty.
func (p *FlapPenalty) At(now int64) float64 {
	if p.penalty == 0 { // most ports
		return 0
	}
	age := max(0, float64(now)-float64(p.at)) // in float64, where the difference cannot overflow
	return p.penalty * math.Exp2(-age/float64(PenaltyHalfLife))
}

// Flapping reports whether the penalty exceeded FlappingThreshold and has not fallen below
// StableThreshold since.
func (p *FlapPenalty) Flapping(now int64) bool {
	return p.flapping && p.At(now) >= StableThreshold
}
