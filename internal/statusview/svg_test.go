package statusview

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// anyNumber returns any number, infinity or NaN.
func anyNumber(random *rand.Rand) float64 { return math.Float64frombits(random.Uint64()) }

// TestAxes checks for random values that an axis has a positive length and ordered ticks within its
// ends, and that share is monotonic and between 0 and 1.
func TestAxes(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 9))
	for range 20_000 {
		p, q := anyNumber(random), anyNumber(random)
		from, to := time.Unix(random.Int64N(1<<40)-1<<39, 0), time.Unix(random.Int64N(1<<40)-1<<39, 0)
		for name, a := range map[string]axis{
			"linear": linearAxis(p, q, ""), "count": linearAxis(0, float64(random.Uint64()>>random.IntN(64)), ""),
			"seconds": secondsAxis([]float64{p, q}), "time": timeAxis(from, to),
		} {
			if !(a.lo < a.hi) || !finite(a.lo) || !finite(a.hi) {
				t.Fatalf("%s axis of %v %v, %v %v: from %v to %v", name, p, q, from, to, a.lo, a.hi)
			}
			if name != "time" && len(a.ticks) < 2 || len(a.ticks) > 13 {
				t.Fatalf("%s axis of %v %v, %v %v: %d ticks", name, p, q, from, to, len(a.ticks))
			}
			for i, tick := range a.ticks {
				if s := a.share(tick.value); s < 0 || s > 1 || i > 0 && a.ticks[i-1].value >= tick.value {
					t.Fatalf("%s axis of %v %v: ticks %v", name, p, q, a.ticks)
				}
			}
			v, w := anyNumber(random), anyNumber(random)
			if s, r := a.share(v), a.share(w); !(s >= 0 && s <= 1) || v < w && s > r {
				t.Fatalf("%s axis from %v to %v: %v at %v, %v at %v", name, a.lo, a.hi, v, s, w, r)
			}
		}
	}
}

// labels returns the labels of an axis in one line.
func labels(a axis) string {
	var all []string
	for _, t := range a.ticks {
		all = append(all, t.label)
	}
	return strings.Join(all, " | ")
}

// TestAxisLabels checks the tick labels of axes.
func TestAxisLabels(t *testing.T) {
	for _, c := range []struct {
		name, want string
		axis       axis
	}{
		{"events", "0 | 50 | 100 | 150", linearAxis(0, 109, "")},
		{"few events", "0 | 1 | 2 | 3 | 4", linearAxis(0, 4, "")},
		{"many events", "0 | 50,000 | 100,000 | 150,000 | 200,000", linearAxis(0, 190_000, "")},
		{"nothing", "0 | 0.5 | 1", linearAxis(0, 0, "")},
		{"latency", "100 µs | 1 ms | 10 ms", secondsAxis([]float64{350e-6, 4e-3})},
		{"one latency", "1 ms | 10 ms", secondsAxis([]float64{1e-3})},
		{"no latency", "1 ms | 10 ms", secondsAxis(nil)},
		{"all latencies", "1 µs | 100 µs | 10 ms | 1 s | 100 s", secondsAxis([]float64{1e-6, 99})},
		{"hour", "11:15 | 11:30 | 11:45 | 12:00", timeAxis(ago(time.Hour), noon)},
		{"minute", "11:59:15 | 11:59:30 | 11:59:45 | 12:00:00", timeAxis(ago(time.Minute), noon)},
		{"week", "8 Mar | 10 Mar | 12 Mar | 14 Mar", timeAxis(ago(7*day), noon)},
		{"month", "16 Feb | 23 Feb | 2 Mar | 9 Mar", timeAxis(ago(30*day), noon)},
		{"no time", "11:59:15 | 11:59:30 | 11:59:45 | 12:00:00", timeAxis(noon, noon)},
	} {
		if got := labels(c.axis); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestLine checks that NaN interrupts a line and that a point between two gaps is a dot.
func TestLine(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		y    []float64
		want string
	}{
		{[]float64{0, 5, 10}, "M0 1000L200 500L400 0"},
		{[]float64{0, nan, 10, 5}, "M0 1000h0M400 0L600 500"},
		{[]float64{nan, 5, nan}, "M200 500h0"},
		{[]float64{nan}, ""},
		{[]float64{-1, 11}, "M0 1000L200 0"},
	} {
		d := newDrawing(axis{lo: 0, hi: 10}, axis{lo: 0, hi: 10})
		var points []point
		for i, y := range c.y {
			points = append(points, point{float64(2 * i), y})
		}
		d.line("x", points)
		if got, want := string(d.lines), `<path class="line x" d="`+c.want+`"/>`; got != want {
			t.Errorf("%v: %s, want %s", c.y, got, want)
		}
	}
}

// TestDigits checks the formats of numbers.
func TestDigits(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want string
	}{
		{0, "0"}, {1, "1"}, {-1, "-1"}, {.5, "0.5"}, {1.2345, "1.23"}, {99.94, "99.9"}, {99.96, "100"}, {123.4, "123"}, {1234567, "1,234,567"},
		{-1234.5, "-1,235"}, {.00012345, "0.000123"}, {1e-9, "1e-09"}, {1e20, "1e+20"}, {math.NaN(), "–"}, {math.Inf(-1), "–"},
	} {
		if got := digits(c.v); got != c.want {
			t.Errorf("digits(%v) = %q, want %q", c.v, got, c.want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -999: "-999", math.MinInt64: "-9,223,372,036,854,775,808"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}
