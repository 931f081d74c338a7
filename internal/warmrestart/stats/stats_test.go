package stats

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

var inf, nan = math.Inf(1), math.NaN()

// random returns a generator whose seed is logged, so that a failure can be reproduced.
func random(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// values returns n values, including equal, very large and non-finite ones.
func values(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		switch r.IntN(20) {
		case 0:
			v[i] = []float64{nan, inf, -inf}[r.IntN(3)]
		case 1:
			v[i] = []float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 63, math.MaxUint64}[r.IntN(5)]
		case 2, 3, 4, 5, 6:
			v[i] = float64(r.IntN(3))
		default:
			v[i] = r.NormFloat64()
		}
	}
	return v
}

// TestQuantile compares Quantile with its definition in integer arithmetic, with q in percent.
func TestQuantile(t *testing.T) {
	r := random(t)
	for n := 1; n <= 120; n++ {
		sorted := make([]int, n)
		for i := range sorted {
			sorted[i] = r.IntN(1 + r.IntN(n))
		}
		slices.Sort(sorted)
		for percent := range 101 {
			i := 0
			for below := 0; ; i++ {
				below = 0
				for _, v := range sorted {
					if v <= sorted[i] {
						below++
					}
				}
				if 100*below >= percent*n {
					break
				}
			}
			if got := Quantile(sorted, float64(percent)/100); got != sorted[i] {
				t.Fatalf("%d%% of %v: %d, want %d", percent, sorted, got, sorted[i])
			}
		}
	}
}

// TestSummarizeHyndmanFan checks the quantiles of 1 to 10 against type 1 of Hyndman and Fan's table 1:
// the value of rank np, rounded up.
func TestSummarizeHyndmanFan(t *testing.T) {
	got := Summarize([]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, nan, inf})
	want := Summary{N: 10, Min: 1, Max: 10, Mean: 5.5, P50: 5, P95: 10, P99: 10, Few: true}
	if *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	hundred := make([]float64, 200)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	want = Summary{N: 200, Min: 1, Max: 200, Mean: 100.5, P50: 100, P95: 190, P99: 198}
	if got := Summarize(hundred); *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	for _, none := range [][]float64{nil, {}, {nan}, {inf, -inf}} {
		if got := Summarize(none); got != nil {
			t.Errorf("of %v: %+v", none, *got)
		}
	}
}

// TestSummarizeRandom checks that quantiles are observed values in ascending order, that the mean
// equals one computed with arbitrary precision, and that the input is not modified.
func TestSummarizeRandom(t *testing.T) {
	r := random(t)
	for range 1000 {
		v := values(r, 1+r.IntN(30))
		before := slices.Clone(v)
		s := Summarize(v)
		if !slices.EqualFunc(v, before, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
			t.Fatalf("%v has become %v", before, v)
		}
		if s == nil {
			continue
		}
		for _, q := range []float64{s.Min, s.P50, s.P95, s.P99, s.Max} {
			if !slices.Contains(v, q) {
				t.Fatalf("%v: %v is not among them: %+v", v, q, *s)
			}
		}
		if !slices.IsSorted([]float64{s.Min, s.P50, s.P95, s.P99, s.Max}) || s.Mean < s.Min || s.Mean > s.Max {
			t.Fatalf("%v: %+v", v, *s)
		}
		sum := new(big.Float).SetPrec(4000)
		size := 0.0
		for _, x := range v {
			if isFinite(x) {
				sum.Add(sum, big.NewFloat(x))
				size = max(size, math.Abs(x))
			}
		}
		mean, _ := sum.Quo(sum, big.NewFloat(float64(s.N))).Float64()
		if math.Abs(s.Mean/2-mean/2) > 1e-12*size {
			t.Fatalf("%v: mean %v, want %v", v, s.Mean, mean)
		}
	}
	// Naively 0 or 1e100, and no mean of these.
	if s := Summarize([]float64{1, 1e100, 1, -1e100}); s.Mean != 0.5 {
		t.Errorf("mean %v, want 0.5", s.Mean)
	}
}

// TestFew checks that results are marked below FewObservations and not at it.
func TestFew(t *testing.T) {
	v := make([]float64, FewObservations)
	if s := Summarize(v); s.Few {
		t.Errorf("of %d: %+v", len(v), *s)
	}
	if s := Summarize(v[1:]); !s.Few {
		t.Errorf("of %d: %+v", len(v)-1, *s)
	}
}

// TestMedian checks the mean of the middle two values, also if their sum overflows.
func TestMedian(t *testing.T) {
	const most = math.MaxFloat64
	for _, c := range []struct {
		sorted []float64
		want   float64
	}{{[]float64{1}, 1}, {[]float64{1, 2}, 1.5}, {[]float64{1, 2, 9}, 2}, {[]float64{-most, most}, 0}, {[]float64{most, most}, most}} {
		if got := Median(c.sorted); got != c.want {
			t.Errorf("of %v: %v, want %v", c.sorted, got, c.want)
		}
	}
}

// TestRateOf checks rates without observations, and with a count above the total.
func TestRateOf(t *testing.T) {
	if r := RateOf(0, 0); r != nil {
		t.Errorf("of none: %+v, want no data", *r)
	}
	for _, c := range []struct {
		count, of uint64
		value     float64
		few       bool
	}{{0, 1, 0, true}, {1, 1, 1, true}, {19, 19, 1, true}, {5, 20, 0.25, false}, {7, 5, 1, true}, {1 << 63, math.MaxUint64, 0.5, false}} {
		r := RateOf(c.count, c.of)
		low, high := Wilson(c.count, c.of)
		if want := (Rate{min(c.count, c.of), c.of, c.value, low, high, c.few}); *r != want {
			t.Errorf("%+v, want %+v", *r, want)
		}
	}
}

// TestSpreadPublished checks the modified z-scores that Seo published for the method of Iglewicz
// and Hoaglin ("A review and comparison of methods for detecting
// outliers in univariate data sets", University of Pittsburgh, 2006, table 3).
func TestSpreadPublished(t *testing.T) {
	values := []float64{3.2, 3.4, 3.7, 3.7, 3.8, 3.9, 4, 4, 4.1, 4.2, 4.7, 4.8, 14, 15}
	scores := []float64{-1.80, -1.35, -0.67, -0.67, -0.45, -0.22, 0, 0, 0.22, 0.45, 1.57, 1.80, 22.48, 24.73}
	s, ok := SpreadOf(values)
	if !ok {
		t.Fatal("no verdict")
	}
	for i, v := range values {
		if got := s.Score(v); math.Abs(got-scores[i]) > 0.0051 {
			t.Errorf("%v scores %.4f, published is %.2f", v, got, scores[i])
		}
		if s.IsOutlier(v) != (v > 10) {
			t.Errorf("%v with score %.2f: outlier is %v", v, scores[i], s.IsOutlier(v))
		}
	}
}

// TestSpreadOdd checks values of which half are equal, all are equal, or that are empty.
func TestSpreadOdd(t *testing.T) {
	for _, none := range [][]float64{nil, {nan, inf}, {5}, {5, 5, 5}, {5, inf},
		{0, 0, 0, 0, 0, 0, 0, 0, math.SmallestNonzeroFloat64}} { // whose mean deviation is too small for a number
		if s, ok := SpreadOf(none); ok {
			t.Errorf("of %v: %+v", none, s)
		}
	}
	// The median deviation is 0, the mean one 2: (21-1)/(1.253314*2).
	s, ok := SpreadOf([]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 21})
	if !ok || math.Abs(s.Score(21)-7.97885) > 1e-5 || s.Score(1) != 0 {
		t.Errorf("%v, %+v: 21 scores %v, 1 scores %v", ok, s, s.Score(21), s.Score(1))
	}
	// A score at the limit is not beyond it.
	for _, v := range []float64{OutlierScore, -OutlierScore} {
		if s := (Spread{N: 1, Scale: 1}); s.IsOutlier(v) || !s.IsOutlier(1.01*v) {
			t.Errorf("outlier at the limit: %v, beyond: %v", s.IsOutlier(v), s.IsOutlier(1.01*v))
		}
	}
	r := random(t)
	for range 1000 {
		v := values(r, r.IntN(12))
		s, ok := SpreadOf(v)
		if !ok {
			continue
		}
		for _, x := range append(v, 1e308, -1e308, 0) {
			if isFinite(x) && !isFinite(s.Score(x)) {
				t.Fatalf("%v: %v scores %v by %+v", v, x, s.Score(x), s)
			}
		}
	}
}

// TestJSON checks that all results can be encoded as JSON.
func TestJSON(t *testing.T) {
	r := random(t)
	for range 300 {
		x, y := values(r, 1+r.IntN(12)), values(r, 12)
		points := make([]Point, len(x))
		for i := range x {
			points[i] = Point{x[i], y[i]}
		}
		for _, v := range []any{Summarize(x), TrendOf(points), RateOf(r.Uint64(), r.Uint64())} {
			if _, err := json.Marshal(v); err != nil {
				t.Fatalf("%v: %v", points, err)
			}
		}
	}
}

// TestOutlierScore checks that a value is an outlier above a score of 3.5, on both sides.
func TestOutlierScore(t *testing.T) {
	s := Spread{N: 30, Median: 100, Scale: 2}
	for value, want := range map[float64]bool{100: false, 106.9: false, 107.1: true, 117: true, 93.1: false, 92.9: true} {
		if got := s.IsOutlier(value); got != want {
			t.Errorf("%v, %v scales from the median, is an outlier: %v, want %v", value, s.Score(value), got, want)
		}
	}
}
