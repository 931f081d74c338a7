package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// series returns points with these values of Y and X counting from 1.
func series(y ...float64) []Point {
	points := make([]Point, len(y))
	for i := range y {
		points[i] = Point{float64(i + 1), y[i]}
	}
	return points
}

// TestAtLeastPublished checks probabilities of Kendall's S against table A18 of Gilbert (1987).
func TestAtLeastPublished(t *testing.T) {
	for _, c := range []struct {
		n int
		s int64
		p float64
	}{
		{4, 0, .625}, {4, 2, .375}, {4, 4, .167}, {4, 6, .042},
		{5, 0, .592}, {5, 2, .408}, {5, 4, .242}, {5, 6, .117}, {5, 8, .042}, {5, 10, .0083},
		{8, 0, .548}, {8, 8, .199}, {8, 16, .031}, {8, 20, .0071},
		{9, 4, .381}, {9, 12, .130}, {9, 18, .038}, {9, 24, .0063},
		{10, 1, .500}, {10, 11, .190}, {10, 19, .054}, {10, 23, .023},
	} {
		if p := atLeast(c.n, c.s); math.Abs(p-c.p) > 0.0005 {
			t.Errorf("n = %d, S = %d: %.5f, want %v", c.n, c.s, p, c.p)
		}
	}
}

// TestTrendPublished checks worked examples from books and papers.
func TestTrendPublished(t *testing.T) {
	// Environmental Protection Agency, "Guidance for Data Quality Assessment",
	// EPA QA/G-9 (2000), box 4-16: S = 6, one-sided p = 0.117.
	got := TrendOf(series(5, 6, 11, 8, 10))
	if got.S != 6 || math.Abs(got.P-2*0.117) > 0.001 {
		t.Errorf("EPA: %+v", *got)
	}
	// Hollander and Wolfe, "Nonparametric Statistical Methods", example 9.1, the
	// effect of cloud seeding on rainfall: C = -6, slope -0.056.
	got = TrendOf(series(1.26, 1.27, 1.12, 1.16, 1.03))
	if got.S != -6 || math.Abs(got.P-2*0.117) > 0.001 || math.Abs(got.Slope+0.056) > 0.0005 {
		t.Errorf("Hollander and Wolfe: %+v", *got)
	}
	// Sen (1968), section 6: slope 4, from 26/7 to 35/8 at a level of 0.07.
	x, y := []float64{1, 2, 3, 4, 10, 12, 18}, []float64{9, 15, 19, 20, 45, 55, 78}
	points := make([]Point, len(x))
	for i := range x {
		points[i] = Point{x[i], y[i]}
	}
	got = trendAt(points, 0.07)
	if got.Slope != 4 || got.Low != 26.0/7 || got.High != 35.0/8 {
		t.Errorf("Sen: %+v", *got)
	}
}

// TestTrendScipy compares data with ties in X and Y with the results of scipy 1.10:
// kendalltau(x, y, method="asymptotic"), which has no continuity correction, and
// theilslopes(y, x, 0.95).
func TestTrendScipy(t *testing.T) {
	x := []float64{0, 0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12, 13, 14, 15}
	y := []float64{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4}
	points := make([]Point, len(x))
	for i := range x {
		points[i] = Point{x[i], y[i]}
	}
	k := kendallOf(sortedPoints(points))
	if p := math.Erfc(float64(k.s) / math.Sqrt(2*k.variance)); math.Abs(p-0.167600600925375) > 1e-12 {
		t.Errorf("S = %d with variance %v: p %v without continuity correction", k.s, k.variance, p)
	}
	if got := TrendOf(points); got.Slope != 0.2 || got.Low != -1.0/12 || got.High != 4.0/7 {
		t.Errorf("%+v", *got)
	}
	// kendalltau(range(10), y, method="exact")
	if got := TrendOf(series(3, 1, 4, 1.5, 5, 9, 2, 6, 5.5, 3.5)); math.Abs(got.P-0.21637345679012346) > 1e-12 || got.Slope != 0.3125 {
		t.Errorf("%+v", *got)
	}
}

// naive computes a trend by its definition, pair by pair.
func naive(points []Point) (s int64, variance float64, slopes []float64) {
	var all []Point
	for _, p := range points {
		if isFinite(p.X) && isFinite(p.Y) {
			all = append(all, p)
		}
	}
	sign := func(a, b float64) int64 {
		switch {
		case a < b:
			return 1
		case a > b:
			return -1
		}
		return 0
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			s += sign(a.X, b.X) * sign(a.Y, b.Y)
			if a.X != b.X {
				slopes = append(slopes, (b.Y-a.Y)/(b.X-a.X))
			}
		}
	}
	slices.Sort(slopes)
	// The terms of the variance, each from its sum over groups of equal values.
	groups := func(of func(Point) float64) (sizes []float64) {
		count := make(map[float64]float64)
		for _, p := range all {
			count[of(p)]++
		}
		for _, n := range count {
			sizes = append(sizes, n)
		}
		return sizes
	}
	sum := func(sizes []float64, f func(t float64) float64) (total float64) {
		for _, t := range sizes {
			total += f(t)
		}
		return total
	}
	x, y := groups(func(p Point) float64 { return p.X }), groups(func(p Point) float64 { return p.Y })
	spread := func(t float64) float64 { return t * (t - 1) * (2*t + 5) }
	triples := func(t float64) float64 { return t * (t - 1) * (t - 2) }
	two := func(t float64) float64 { return t * (t - 1) }
	n := float64(len(all))
	variance = (spread(n) - sum(x, spread) - sum(y, spread)) / 18
	if n > 2 {
		variance += sum(x, triples) * sum(y, triples) / (9 * triples(n))
	}
	if n > 1 {
		variance += sum(x, two) * sum(y, two) / (2 * two(n))
	}
	return s, variance, slopes
}

// TestTrendBruteForce compares TrendOf with naive on random points.
func TestTrendBruteForce(t *testing.T) {
	r := random(t)
	for range 1000 {
		points := make([]Point, r.IntN(40))
		distinct := 1 + r.IntN(40)
		for i := range points {
			points[i] = Point{float64(r.IntN(distinct)), float64(r.IntN(distinct))}
			if r.IntN(30) == 0 {
				points[i].Y = nan
			}
		}
		got := TrendOf(points)
		s, variance, slopes := naive(points)
		if len(slopes) == 0 {
			if got != nil {
				t.Fatalf("%v: %+v, want no data", points, *got)
			}
			continue
		}
		sorted := sortedPoints(points)
		k := kendallOf(sorted)
		if got.S != s || !(math.Abs(k.variance-variance) <= 1e-9*(1+variance)) { // also if it is not a number
			t.Fatalf("%v: S %d of variance %v, want %d of %v", points, got.S, k.variance, s, variance)
		}
		if got.Slope != Median(slopes) || got.Low > got.Slope || got.High < got.Slope ||
			!slices.Contains(slopes, got.Low) || !slices.Contains(slopes, got.High) {
			t.Fatalf("%v: %+v, want a slope of %v among %v", points, *got, Median(slopes), slopes)
		}
		if !(got.P > 0 && got.P <= 1) {
			t.Fatalf("%v: %+v", points, *got)
		}
		// In another order it is the same, and upside down its mirror image.
		r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		if again := TrendOf(points); *again != *got {
			t.Fatalf("%v: %+v, in another order %+v", points, *got, *again)
		}
		for i := range points {
			points[i].Y = -points[i].Y
		}
		down := TrendOf(points)
		if down.S != -got.S || down.P != got.P || down.Slope != -got.Slope || down.Low != -got.High || down.High != -got.Low {
			t.Fatalf("%v: %+v, upside down %+v", points, *got, *down)
		}
	}
}

// TestExactP compares P with an enumeration of all orders of seven values.
func TestExactP(t *testing.T) {
	y := []float64{1, 2, 3, 4, 5, 6, 7}
	count := make(map[int64]int)
	total := 0
	var permute func(n int)
	permute = func(n int) {
		if n == 0 {
			s, _, _ := naive(series(y...))
			count[s]++
			total++
			return
		}
		for i := range n {
			y[i], y[n-1] = y[n-1], y[i]
			permute(n - 1)
			y[i], y[n-1] = y[n-1], y[i]
		}
	}
	permute(len(y))
	for s := range count {
		far := 0
		for other, n := range count {
			if max(other, -other) >= max(s, -s) {
				far += n
			}
		}
		k := kendall{n: 7, s: s, variance: 7 * 6 * 19 / 18.0}
		if got, want := k.p(), float64(far)/float64(total); math.Abs(got-want) > 1e-12 {
			t.Errorf("S = %d: p %v, want %v", s, got, want)
		}
	}
}

// TestApproximateP checks that the normal approximation with continuity correction is close to the
// exact distribution. Without the correction it differs by at least 0.02.
func TestApproximateP(t *testing.T) {
	const n = maxExact + 1
	k := kendall{n: n, variance: n * (n - 1) * (2*n + 5) / 18.0}
	for k.s = -21; k.s <= 21; k.s += 2 {
		exact := min(1, 2*atLeast(n, max(k.s, -k.s)))
		if got := k.p(); math.Abs(got-exact) > 0.01 {
			t.Errorf("S = %d: p %.4f, exact is %.4f", k.s, got, exact)
		}
	}
}

// TestTiesP checks that ties in X or Y prevent the use of the exact distribution. S is 5 of 6 pairs,
// and its variance (4*3*13 - 2*1*9)/18.
func TestTiesP(t *testing.T) {
	want := math.Erfc(4 / math.Sqrt(2*138.0/18))
	for _, points := range [][]Point{{{1, 1}, {2, 2}, {3, 2}, {4, 3}}, {{1, 1}, {2, 2}, {2, 3}, {3, 4}}} {
		if got := TrendOf(points); got.S != 5 || math.Abs(got.P-want) > 1e-12 {
			t.Errorf("%v: %+v, want p %v", points, *got, want)
		}
	}
}

// TestTrendLevel checks that, without a trend, 5% of the tests find one and 95% of the intervals
// contain the slope.
func TestTrendLevel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{8, 30} {
		const tries = 1000
		found, missed := 0, 0
		for range tries {
			y := make([]float64, n)
			for i := range y {
				y[i] = r.NormFloat64()
			}
			trend := TrendOf(series(y...))
			if trend.P <= 0.05 {
				found++
			}
			if trend.Low > 0 || trend.High < 0 {
				missed++
			}
		}
		if found > tries*7/100 || missed > tries*7/100 || n == 30 && found < tries*3/100 {
			t.Errorf("n = %d: %d of %d found a trend, %d intervals missed", n, found, tries, missed)
		}
	}
}

// TestNth compares nth with sorting.
func TestNth(t *testing.T) {
	r := random(t)
	for range 500 {
		values := make([]float64, 1+r.IntN(50))
		for i := range values {
			values[i] = float64(r.IntN(1 + r.IntN(50)))
		}
		sorted := slices.Sorted(slices.Values(values))
		for n := range values {
			if got := nth(slices.Clone(values), n); got != sorted[n] {
				t.Fatalf("rank %d of %v: %v, want %v", n, values, got, sorted[n])
			}
		}
	}
}

// TestSlope checks slopes, including those of differences that overflow.
func TestSlope(t *testing.T) {
	const most = math.MaxFloat64
	for _, c := range []struct {
		a, b Point
		want float64
	}{
		{Point{1, 7}, Point{3, 2}, -2.5},
		{Point{-3, -most}, Point{5, most}, most / 4},
		{Point{-most, -3}, Point{most, 5}, 4 / most},
		{Point{-most, -most}, Point{most, most / 2}, 0.75},
		{Point{0, -most}, Point{0.5, most}, most},
		{Point{0, most}, Point{0.5, -most}, -most},
	} {
		if got := slope(c.a, c.b); math.Abs(got-c.want) > 1e-12*math.Abs(c.want) {
			t.Errorf("from %v to %v: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// TestBlockMedians checks that blocks are as small as the maximum number of blocks allows.
func TestBlockMedians(t *testing.T) {
	points := []Point{{1, 5}, {2, 1}, {3, 9}, {4, 2}, {7, 4}, {9, 8}, {10, 3}}
	for _, c := range []struct {
		n    int
		want []Point
	}{
		{3, []Point{{1, 5}, {2, 1}, {3, 9}}},
		{6, []Point{{1.5, 3}, {3.5, 5.5}, {8, 6}}},
		{7, []Point{{2, 5}, {7, 4}, {10, 3}}},
	} {
		if got := blockMedians(points[:c.n], 3); !slices.Equal(got, c.want) {
			t.Errorf("of %d: %v, want %v", c.n, got, c.want)
		}
	}
}

// TestTrendOdd checks points without a trend: none, one, equal and very large ones.
func TestTrendOdd(t *testing.T) {
	for _, none := range [][]Point{nil, series(1), series(nan, 1), {{1, 1}, {1, 2}, {1, 3}}, {{nan, 1}, {inf, 2}, {3, 3}}} {
		if got := TrendOf(none); got != nil {
			t.Errorf("of %v: %+v, want no data", none, *got)
		}
	}
	if got, want := *TrendOf(series(1, 2)), (Trend{N: 2, S: 1, P: 1, Slope: 1, Low: 1, High: 1}); got != want {
		t.Errorf("of two: %+v, want %+v", got, want)
	}
	// Of many at one time and one at another, no two blocks are at different times.
	crowd := make([]Point, 10*maxSlopePoints)
	crowd[0].X = -1
	if got := TrendOf(crowd); got != nil {
		t.Errorf("of one point before a crowd: %+v, want no data", *got)
	}
	flat := make([]float64, 100)
	if got, want := *TrendOf(series(flat...)), (Trend{N: 100, P: 1}); got != want {
		t.Errorf("of equal values: %+v, want %+v", got, want)
	}
	// Nanoseconds since 1970 near the end of int64, and counters near 2^64.
	base, count := float64(math.MaxInt64-1<<20), float64(uint64(math.MaxUint64-1<<20))
	large := make([]Point, 20)
	for i := range large {
		large[i] = Point{base + float64(i<<12), count + float64(i<<13)}
	}
	if got := TrendOf(large); got.S != 190 || got.Slope != 2 || got.P > 1e-6 {
		t.Errorf("of large numbers: %+v", *got)
	}
}

// TestTrendMany checks the slope of more than maxSlopePoints points.
func TestTrendMany(t *testing.T) {
	r := random(t)
	points := make([]Point, 10_000)
	for i := range points {
		points[i] = Point{float64(i), 3*float64(i) + 1000*r.NormFloat64()}
	}
	got := TrendOf(points)
	if got.N != len(points) || got.P > 1e-9 || math.Abs(got.Slope-3) > 0.01 || !(got.Low <= got.Slope && got.Slope <= got.High) {
		t.Errorf("%+v, want a slope of 3", *got)
	}
}

func BenchmarkTrend(b *testing.B) {
	for _, n := range []int{100, 1000, 1_000_000} {
		points := make([]Point, n)
		for i := range points {
			points[i] = Point{float64(i), rand.NormFloat64()}
		}
		b.Run(map[int]string{100: "100", 1000: "1000", 1_000_000: "1M"}[n], func(b *testing.B) {
			for b.Loop() {
				TrendOf(points)
			}
		})
	}
}
