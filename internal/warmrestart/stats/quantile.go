package stats

import (
	"cmp"
	"math"
)

// Quantile returns the nearest-rank quantile: the smallest observation that is not exceeded by at
// least the share q of all observations. It is the inverse of the empirical distribution function,
// type 1 of Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician
// 50 (1996). sorted must be in ascending order and not empty, and q between 0 and 1.
func Quantile[T cmp.Ordered](sorted []T, q float64) T {
	n := float64(len(sorted))
	// 0.07 * 100 is slightly above 7 in floating point, but its rank is 7.
	const fuzz = 1 - 0x1p-50
	rank := int(math.Ceil(q * n * fuzz))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
