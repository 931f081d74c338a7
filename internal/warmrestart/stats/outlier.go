package stats

import (
	"math"
	"slices"
)

// OutlierScore is the modified z-score from which on Iglewicz and Hoaglin have a
// value looked at.
const OutlierScore = 3.5

// Spread is what values are usually like, however wild some of them are.
type Spread struct {
	N      int
	Median float64
	Scale  float64 // above 0; of the unit of the standard deviation
}

// SpreadOf measures values, which it does not change. It is false if there are
// none or all are equal, so that there is nothing to compare with.
//
// The scale is the median of the absolute deviations from the median, divided by
// 0.6745, which makes the score that of Iglewicz and Hoaglin ("How to Detect and
// Handle Outliers", ASQC, 1993; NIST/SEMATECH e-Handbook, 1.3.5.17). If more than
// half of the values are equal that is 0, and 1.253314 times the mean of the
// absolute deviations takes its place.
func SpreadOf(values []float64) (Spread, bool) {
	sorted := ascending(values)
	if len(sorted) == 0 || sorted[0] == sorted[len(sorted)-1] {
		return Spread{}, false
	}
	s := Spread{N: len(sorted), Median: Median(sorted)}
	for i, v := range sorted {
		sorted[i] = min(math.Abs(v-s.Median), math.MaxFloat64)
	}
	slices.Sort(sorted)
	s.Scale = Median(sorted) / 0.6745
	if s.Scale == 0 {
		s.Scale = 1.253314 * mean(sorted)
	}
	s.Scale = min(s.Scale, math.MaxFloat64)
	return s, s.Scale > 0
}

// Score is the modified z-score of a finite value: how many scales it is above the
// median, or below.
func (s Spread) Score(v float64) float64 {
	score := (v/2 - s.Median/2) / s.Scale * 2
	return min(max(score, -math.MaxFloat64), math.MaxFloat64)
}

// IsOutlier reports whether the score is beyond OutlierScore, to either side.
func (s Spread) IsOutlier(v float64) bool { return math.Abs(s.Score(v)) > OutlierScore }
