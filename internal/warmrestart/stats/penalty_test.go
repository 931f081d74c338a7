package stats

import (
	"math"
	"testing"
	"time"
)

// TestFlapPenalty checks the penalty per transition, its half-life and both thresholds.
func TestFlapPenalty(t *testing.T) {
	const minute = int64(time.Minute)
	var m FlapPenalty
	want := func(now int64, penalty float64, flapping bool) {
		t.Helper()
		if got := m.At(now); math.Abs(got-penalty) > 1e-6 {
			t.Errorf("after %v the penalty is %v, want %v", time.Duration(now), got, penalty)
		}
		if got := m.Flapping(now); got != flapping {
			t.Errorf("after %v, at %v, flapping is %v", time.Duration(now), penalty, got)
		}
	}
	want(7*minute, 0, false)
	m.Add(0, 0)
	want(0, 0, false)
	m.Add(0, 1)
	want(0, 1000, false)
	want(15*minute, 500, false)
	want(45*minute, 125, false)
	m.Add(0, 1)
	want(0, 2000, false) // not above
	m.Add(15*minute, 1)
	want(15*minute, 2000, false)
	m.Add(15*minute, 1)
	want(15*minute, 3000, true)
	want(30*minute, 1500, true) // below 2000, and not over
	want(45*minute, 750, true)
	want(45*minute+1e6, 750*math.Exp2(-1e6/float64(PenaltyHalfLife)), false)
	m.Add(60*minute, 1) // over in between: begins anew
	want(60*minute, 1375, false)
}

// TestFlapPenaltyLimits checks that the penalty stays within its bounds for any count and time, and
// that a port is stable after an hour without transitions.
func TestFlapPenaltyLimits(t *testing.T) {
	times := []int64{0, math.MaxInt64, math.MinInt64, 5, -1, 1 << 60, math.MaxInt64}
	for _, downs := range []uint64{1, 3, 1 << 32, math.MaxUint64} {
		var m FlapPenalty
		for _, now := range times {
			m.Add(now, downs)
			for _, at := range times {
				if p := m.At(at); !(p >= 0 && p <= MaxPenalty) {
					t.Errorf("%d downs, at %d seen from %d: %v", downs, now, at, p)
				}
			}
			if p := m.At(now); p < PenaltyPerDown {
				t.Errorf("%d downs at %d: %v, want at least one penalty", downs, now, p)
			}
		}
	}
	var m FlapPenalty
	m.Add(0, math.MaxUint64)
	if quiet := int64(time.Hour); m.Flapping(quiet+1) == m.Flapping(quiet-int64(time.Second)) {
		t.Errorf("at the ceiling, flapping is %v after an hour and before", m.Flapping(quiet))
	}
}

// TestFlapPenaltyClockBack checks that setting the clock back does not raise the penalty, and that
// it decays again after the next Add.
func TestFlapPenaltyClockBack(t *testing.T) {
	const now, hour = int64(1 << 60), int64(time.Hour)
	var m FlapPenalty
	m.Add(now, 1)
	if p := m.At(now - hour); p != PenaltyPerDown {
		t.Errorf("set back by an hour, the penalty is %v", p)
	}
	m.Add(now-hour, 1)
	if p := m.At(now - hour + int64(PenaltyHalfLife)); math.Abs(p-PenaltyPerDown) > 1e-6 {
		t.Errorf("a half-life later %v, want half of two penalties", p)
	}
}

// TestFlapPenaltyAllocates checks that the methods do not allocate.
func TestFlapPenaltyAllocates(t *testing.T) {
	var m FlapPenalty
	now := int64(0)
	if n := testing.AllocsPerRun(100, func() { now++; m.Add(now, 1); m.At(now); m.Flapping(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
