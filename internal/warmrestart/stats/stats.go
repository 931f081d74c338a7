// Package stats implements the statistics of the analysis: quantiles, rates with confidence
// intervals, trends, outliers and the flap penalty. Each function names its source.
//
// Quantile, and so Summary.P50, is always an observed value. Median is the mean of the middle two,
// as in the sources for trends and outliers. All functions ignore values that are not finite, and
// all results are finite, so that they can be encoded as JSON.
package stats

import (
	"math"
	"slices"
)

// FewObservations is the number of observations below which results are marked as uncertain. With
// fewer than 20 observations the 95th percentile is the maximum.
const FewObservations = 20

// Summary summarizes a sample of observations.
type Summary struct {
	N    int     `json:"n"` // above 0
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"` // quantiles, see Quantile
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Few  bool    `json:"few"` // N is below FewObservations
}

// Summarize returns a summary of values, nil if there are none. It does not modify values.
func Summarize(values []float64) *Summary {
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

// Rate is a proportion with its Wilson score interval.
type Rate struct {
	Count uint64  `json:"count"` // at most Of
	Of    uint64  `json:"of"`    // above 0
	Value float64 `json:"value"`
	Low   float64 `json:"low"`  // lower end of the 95% interval
	High  float64 `json:"high"` // upper end of the 95% interval
	Few   bool    `json:"few"`  // Of is below FewObservations
}

// RateOf returns the rate count/of, or nil if of is 0. If count is greater than of, it is treated
// as of.
func RateOf(count, of uint64) *Rate {
	if of == 0 {
		return nil
	}
	count = min(count, of)
	low, high := Wilson(count, of)
	return &Rate{Count: count, Of: of, Value: float64(count) / float64(of), Low: low, High: high, Few: of < FewObservations}
}

// Median returns the middle value of sorted, or the mean of the middle two. sorted must be in
// ascending order and not empty.
func Median(sorted []float64) float64 {
	return between(sorted[(len(sorted)-1)/2], sorted[len(sorted)/2])
}

// between returns the mean of two finite numbers. It does not overflow.
func between(a, b float64) float64 {
	if m := (a + b) / 2; isFinite(m) {
		return m
	}
	return a/2 + b/2
}

// ascending returns a sorted copy of the finite values.
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

// mean returns the mean of sorted, which is always between the smallest and the largest value. It
// uses compensated summation (Neumaier, ZAMM 54, 1974). If the sum overflows, it combines the means
// of two halves.
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
