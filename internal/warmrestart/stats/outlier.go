package stats

import (
	"math"
	"slices"
)

// OutlierScore is the modified z-score above which Iglewicz and Hoaglin label a value a potential
// outlier.
const OutlierScore = 3.5

// Spread describes the location and scale of values, robust against outliers.
type Spread struct {
	N      int
	Median float64
	Scale  float64 // above 0; comparable to the standard deviation
}

// SpreadOf returns the spread of values. It returns false if there are no values or all are equal.
// It does not modify values.
//
// SpreadOf computes the scale as the median of the absolute deviations from the median, divided by
// 0.6745, so that Score is the modified z-score of Iglewicz and Hoaglin ("How to Detect and Handle
// Outliers", ASQC, 1993; NIST/SEMATECH e-Handbook, 1.3.5.17). If more than half of the values are
// equal, that scale would be 0, and 1.253314 times the mean absolute deviation replaces it.
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

// Score returns the modified z-score of a finite value: its distance from the median in units of
// Scale, negative below the median.
func (s Spread) Score(v float64) float64 {
	score := (v/2 - s.Median/2) / s.Scale * 2
	return min(max(score, -math.MaxFloat64), math.MaxFloat64)
}

// IsOutlier reports whether the absolute score of v exceeds OutlierScore.
func (s Spread) IsOutlier(v float64) bool { return math.Abs(s.Score(v)) > OutlierScore }
