package stats

import "math"

// z95 is the 97.5% quantile of the normal distribution, for 95% intervals.
const z95 = 1.9599639845400545

// Wilson returns the 95% Wilson score interval (Wilson, "Probable inference, the law of succession,
// and statistical inference", JASA 22, 1927) for the proportion count/of. It is 0 to 1 if of is 0.
// A count above of is reduced to of.
func Wilson(count, of uint64) (low, high float64) {
	if of == 0 {
		return 0, 1
	}
	n := float64(of)
	p := float64(min(count, of)) / n
	z2 := z95 * z95 / n
	center := (p + z2/2) / (1 + z2)
	spread := z95 / (1 + z2) * math.Sqrt(p*(1-p)/n+z2/(4*n))
	low, high = max(0, center-spread), min(1, center+spread)
	// At the ends one of the bounds is exact; remove the rounding error.
	if count == 0 {
		low = 0
	}
	if count >= of {
		high = 1
	}
	return low, high
}
