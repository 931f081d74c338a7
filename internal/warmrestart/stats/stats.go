// Package stats is the arithmetic of the analytics: quantiles, rates with their
// interval, trends and outliers. Each function names its definition and source.
//
// There are two middles. Quantile, and with it Summary.P50, is always a value that
// was observed; Median is halfway between the middle two, as the authors of the
// trends and outliers have it. What is not a finite number is no observation and
// is left out everywhere. All results are finite, and so have a form in JSON.
package stats

import (
	"math"
	"slices"
)

// FewObservations is how many there are to be before a result stands without a
// word of warning: with fewer than 20 the 95th percentile is the maximum.
const FewObservations = 20

// Summary describes a sample of observations.
type Summary struct {
	N    int     `json:"n"` // above 0
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"` // by Quantile, as the next two
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Few  bool    `json:"few"` // too few observations for P95 and P99 to mean much
}

// Summarise describes values, which it does not change; nil if there is none.
func Summarise(values []float64) *Summary {
	sorted := ascending(values)
	n := len(sorted)
	if n == 0 {
		return nil
	}
	return &Summary{
		N: n, Min: sorted[0], Max: sorted[n-1], Mean: mean(sorted),
		P50: Quantile(sorted, 0.50), P95: Quantile(sorted, 0.95), P99: Quantile(sorted, 0.99),
		Few: n < FewObservations,
	}
}

// Rate is a share of successes or failures with its Wilson score interval.
type Rate struct {
	Count uint64  `json:"count"` // at most Of
	Of    uint64  `json:"of"`    // above 0
	Value float64 `json:"value"`
	Low   float64 `json:"low"`  // of the interval at 95 %
	High  float64 `json:"high"` // likewise
	Few   bool    `json:"few"`  // too few observations for Value to mean much
}

// RateOf returns the share of count, at most of, among of; nil if of is 0.
func RateOf(count, of uint64) *Rate {
	if of == 0 {
		return nil
	}
	count = min(count, of)
	low, high := Wilson(count, of)
	return &Rate{Count: count, Of: of, Value: float64(count) / float64(of), Low: low, High: high, Few: of < FewObservations}
}

// Median is the middle of sorted, which is ascending and has at least one value,
// or halfway between the middle two.
func Median(sorted []float64) float64 {
	return between(sorted[(len(sorted)-1)/2], sorted[len(sorted)/2])
}

// between is halfway between two finite numbers.
func between(a, b float64) float64 {
	if m := (a + b) / 2; isFinite(m) {
		return m
	}
	return a/2 + b/2
}

// ascending returns the finite values in order, in a slice of its own.
func ascending(values []float64) []float64 {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if isFinite(v) {
			sorted = append(sorted, v)
		}
	}
	slices.Sort(sorted)
	return sorted
}

// mean is within the extremes, and of equal values exactly these. The sum is
// compensated (Neumaier, ZAMM 54, 1974), and of halves' means where it is too
// large for a number.
func mean(sorted []float64) float64 {
	n := len(sorted)
	sum, lost := 0.0, 0.0
	for _, v := range sorted {
		next := sum + v
		if math.Abs(sum) >= math.Abs(v) {
			lost += sum - next + v
		} else {
			lost += v - next + sum
		}
		sum = next
	}
	m := (sum + lost) / float64(n)
	if !isFinite(m) {
		half := n / 2
		share := float64(half) / float64(n)
		m = mean(sorted[:half])*share + mean(sorted[half:])*(1-share)
	}
	return min(max(m, sorted[0]), sorted[n-1])
}

func isFinite(v float64) bool { return v-v == 0 }
