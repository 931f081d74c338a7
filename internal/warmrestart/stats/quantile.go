package stats

import (
	"cmp"
	"math"
)

// Quantile is the nearest-rank quantile: the smallest observation that at least
// the share q of all do not exceed. That is the inverse of the empirical
// distribution function, type 1 of Hyndman and Fan, "Sample quantiles in
// statistical packages", The American Statistician 50 (1996), and always a value
// that was observed. sorted is ascending and has at least one; q is 0 to 1.
func Quantile[T cmp.Ordered](sorted []T, q float64) T {
	n := float64(len(sorted))
	// 0.07 * 100 is a little above 7 in floating point, and its rank still 7.
	const fuzz = 1 - 0x1p-50
	rank := int(math.Ceil(q * n * fuzz))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
