package stats

import (
	"cmp"
	"math"
	"slices"
)

// Point is an observation.
type Point struct {
	X float64 // time or index
	Y float64
}

// Trend is the result of a Mann-Kendall test with the Theil-Sen slope. The test assumes independent
// observations. If neighboring observations are correlated, as samples taken at short intervals
// are, P is too small: the absence of a trend is reliable, but its presence is only a hint.
type Trend struct {
	N     int     `json:"n"`
	S     int64   `json:"s"`     // Mann-Kendall statistic
	P     float64 `json:"p"`     // two-sided p-value
	Slope float64 `json:"slope"` // Theil-Sen slope per unit of X
	Low   float64 `json:"low"`   // lower end of the 95% confidence interval of Slope
	High  float64 `json:"high"`  // upper end of this interval
}

// TrendOf tests whether Y rises or falls with X. It returns nil if all X are equal, or, with more
// than maxSlopePoints points, if all blocks have the same X. It does not modify points.
//
// Mann-Kendall (Mann, Econometrica 13, 1945; Kendall, "Rank Correlation Methods", 1975): S is the
// number of pairs in which Y rises, minus the number in which it falls. For up to 10 observations
// without ties P is exact, as in Gilbert's table A18 ("Statistical Methods for Environmental
// Pollution Monitoring", 1987, section 16.4). Otherwise P comes from the normal approximation with
// continuity correction, and with the variance corrected for ties of Y and X (section 16.4.2 and
// equation 17.3).
//
// Theil-Sen (Sen, JASA 63, 1968; Gilbert, section 16.5): the median of the slopes of all pairs with
// different X. The interval is between the slopes of rank M and N'+1-M of the N' sorted slopes,
// with M = (N'-C)/2 rounded down, where C is the normal quantile times the standard deviation of S.
// With 5 observations or fewer, M is 0, and the interval includes all slopes.
//
// TrendOf computes the slope of every pair of points if there are at most maxSlopePoints points.
// Otherwise it divides the points into maxSlopePoints blocks and computes the slopes between the
// medians of the blocks, because the number of pairs grows quadratically.
func TrendOf(points []Point) *Trend { return trendAt(points, 0.05) }

const maxSlopePoints = 1000

func trendAt(points []Point, alpha float64) *Trend {
	sorted := sortedPoints(points)
	n := len(sorted)
	if n < 2 {
		return nil
	}
	k := kendallOf(sorted)
	t := &Trend{N: n, S: k.s, P: k.p()}
	if n > maxSlopePoints {
		sorted = blockMedians(sorted, maxSlopePoints)
		k = kendallOf(sorted)
	}
	slopes := slopesOf(sorted)
	if len(slopes) == 0 {
		return nil
	}
	c := math.Sqrt2 * math.Erfinv(1-alpha) * math.Sqrt(max(k.variance, 0))
	m, last := max(int((float64(len(slopes))-c)/2), 1), len(slopes)-1
	t.Slope = between(nth(slopes, last/2), nth(slopes, len(slopes)/2))
	t.Low, t.High = nth(slopes, m-1), nth(slopes, last-(m-1))
	return t
}

// sortedPoints returns a copy of the finite points, sorted by X and then Y.
func sortedPoints(points []Point) []Point {
	sorted := make([]Point, 0, len(points))
	for _, p := range points {
		if isFinite(p.X) && isFinite(p.Y) {
			sorted = append(sorted, p)
		}
	}
	slices.SortFunc(sorted, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.Y, b.Y))
	})
	return sorted
}

// slopesOf returns the slopes of all pairs with different X, unsorted.
func slopesOf(sorted []Point) []float64 {
	slopes := make([]float64, 0, pairs(len(sorted)))
	for i, a := range sorted {
		for _, b := range sorted[i+1:] {
			if a.X < b.X {
				slopes = append(slopes, slope(a, b))
			}
		}
	}
	return slopes
}

func slope(a, b Point) float64 {
	rise, run := b.Y-a.Y, b.X-a.X
	if !isFinite(rise) || !isFinite(run) { // overflow; the differences of the halves do not
		rise, run = b.Y/2-a.Y/2, b.X/2-a.X/2
	}
	return min(max(rise/run, -math.MaxFloat64), math.MaxFloat64)
}

// blockMedians divides points, sorted by X, into at most n blocks, all but the last of the same
// size, and returns the medians of the blocks.
func blockMedians(sorted []Point, n int) []Point {
	size := (len(sorted) + n - 1) / n
	blocks := make([]Point, 0, n)
	ys := make([]float64, 0, size)
	for block := range slices.Chunk(sorted, size) {
		ys = ys[:0]
		for _, p := range block {
			ys = append(ys, p.Y)
		}
		slices.Sort(ys)
		x := between(block[(len(block)-1)/2].X, block[len(block)/2].X)
		blocks = append(blocks, Point{x, Median(ys)})
	}
	return sortedPoints(blocks)
}

// nth returns the n-th smallest of values, counted from 0. It reorders values (quickselect: Hoare,
// "Algorithm 65: Find", CACM 4, 1961).
func nth(values []float64, n int) float64 {
	for left, right := 0, len(values)-1; ; {
		a, b, c := values[left], values[(left+right)/2], values[right]
		pivot := max(min(a, b), min(max(a, b), c)) // median of three
		i, j := left, right
		for i <= j {
			for values[i] < pivot {
				i++
			}
			for values[j] > pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i++
				j--
			}
		}
		switch {
		case n <= j:
			right = j
		case n >= i:
			left = i
		default:
			return values[n]
		}
	}
}
