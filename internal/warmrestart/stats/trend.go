package stats

import (
	"cmp"
	"math"
	"slices"
)

// Point is one observation in time.
type Point struct {
	X float64 // when, or the how manieth
	Y float64
}

// Trend is a Mann-Kendall test with the Theil-Sen slope. The test takes its
// observations for independent. Where neighbours resemble each other, as samples
// taken soon one after the other do, P is smaller than it should be: then no trend
// is to be believed, and a trend is a hint.
type Trend struct {
	N     int     `json:"n"`
	S     int64   `json:"s"`     // Mann-Kendall statistic
	P     float64 `json:"p"`     // two-sided
	Slope float64 `json:"slope"` // Theil-Sen, per unit of X
	Low   float64 `json:"low"`   // of the slope's confidence interval at 95 %
	High  float64 `json:"high"`  // likewise
}

// TrendOf tests whether Y rises or falls with X; nil if there are not two
// different X (beyond slopeMost observations: not two blocks with different X). It
// does not change points.
//
// Mann-Kendall (Mann, Econometrica 13, 1945; Kendall, "Rank Correlation Methods",
// 1975): S counts the pairs in which Y rises, less those in which it falls. Up to
// 10 observations without ties P is exact, as Gilbert's table A18 has it
// ("Statistical Methods for Environmental Pollution Monitoring", 1987, section
// 16.4). Else it comes from the normal distribution with S brought nearer to 0 by
// one (continuity) and the variance lessened by the ties of Y and, where there are
// several observations of one time, of X (section 16.4.2 and equation 17.3).
//
// Theil-Sen (Sen, JASA 63, 1968; Gilbert, section 16.5): the median of the slopes
// of all pairs with different X. The interval is between the slopes of rank M and
// N'+1-M of the N' in order, M = (N'-C)/2 rounded down, where C is the normal
// quantile times the deviation of S. With 5 observations or fewer M is 0, and the
// interval that of all slopes.
//
// Beyond slopeMost observations, the slopes are those of the medians of as many
// blocks of neighbours: pairs are as many as the square of the observations.
func TrendOf(points []Point) *Trend { return trendAt(points, 0.05) }

const slopeMost = 1000

func trendAt(points []Point, alpha float64) *Trend {
	sorted := inTime(points)
	n := len(sorted)
	if n < 2 {
		return nil
	}
	k := kendallOf(sorted)
	t := &Trend{N: n, S: k.s, P: k.p()}
	if n > slopeMost {
		sorted = blockMedians(sorted, slopeMost)
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

// inTime returns the finite points by X, those of one X by Y.
func inTime(points []Point) []Point {
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

// slopesOf returns those of all pairs with different X, in no order.
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
	if !isFinite(rise) || !isFinite(run) { // too large, though their halves are not
		rise, run = b.Y/2-a.Y/2, b.X/2-a.X/2
	}
	return min(max(rise/run, -math.MaxFloat64), math.MaxFloat64)
}

// blockMedians puts the medians of blocks of neighbours, at most so many and all
// but one of the same size, in place of points in order of X.
func blockMedians(sorted []Point, most int) []Point {
	size := (len(sorted) + most - 1) / most
	blocks := make([]Point, 0, most)
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
	return inTime(blocks)
}

// nth returns the value of rank n, counted from 0, and reorders values (Hoare,
// "Algorithm 65: Find", CACM 4, 1961).
func nth(values []float64, n int) float64 {
	for left, right := 0, len(values)-1; ; {
		a, b, c := values[left], values[(left+right)/2], values[right]
		pivot := max(min(a, b), min(max(a, b), c)) // the middle one
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
