package stats

import (
	"math"
	"testing"
)

// TestWilsonPublished checks the intervals that Newcombe published for method 3 (score,
// without continuity correction) in table I of "Two-sided confidence intervals for
// the single proportion: comparison of seven methods", Statistics in Medicine 17
// (1998).
func TestWilsonPublished(t *testing.T) {
	for _, c := range []struct {
		count, of uint64
		low, high float64
	}{
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0.0000, 0.1611},
		{1, 29, 0.0061, 0.1718},
	} {
		low, high := Wilson(c.count, c.of)
		if math.Abs(low-c.low) > 0.00005 || math.Abs(high-c.high) > 0.00005 {
			t.Errorf("%d of %d: %.4f to %.4f, Newcombe has %.4f to %.4f", c.count, c.of, low, high, c.low, c.high)
		}
	}
}

// TestWilsonSolves checks that both bounds solve the equation that defines them, (phat-p)^2 =
// z^2 p(1-p)/n, and that they are symmetric.
func TestWilsonSolves(t *testing.T) {
	for _, c := range []struct{ count, of uint64 }{
		{1, 1}, {0, 1}, {1, 2}, {0, 10}, {1, 10}, {5, 10}, {10, 10}, {5, 100}, {300, 1000}, {7, 1 << 40},
		{1<<63 - 1, 1 << 63}, {1 << 63, math.MaxUint64}, {math.MaxUint64, math.MaxUint64}, {0, math.MaxUint64},
	} {
		low, high := Wilson(c.count, c.of)
		n := float64(c.of)
		phat := float64(c.count) / n
		if !(0 <= low && low <= phat && phat <= high && high <= 1) {
			t.Errorf("%d of %d: %v to %v", c.count, c.of, low, high)
		}
		for _, p := range []float64{low, high} {
			if left, right := (phat-p)*(phat-p), z95*z95*p*(1-p)/n; math.Abs(left-right) > 1e-12 {
				t.Errorf("%d of %d: %v does not solve its equation: %v != %v", c.count, c.of, p, left, right)
			}
		}
		if l, h := Wilson(c.of-c.count, c.of); math.Abs(1-l-high) > 1e-12 || math.Abs(1-h-low) > 1e-12 {
			t.Errorf("%d of %d: %v to %v is not the mirror image of %v to %v", c.count, c.of, low, high, l, h)
		}
	}
}

// TestWilsonOdd checks 0 of 0, all of n, none of n, and a count above the total.
func TestWilsonOdd(t *testing.T) {
	if low, high := Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("of none: %v to %v, want 0 to 1", low, high)
	}
	for of := uint64(1); of <= 100; of++ { // 9 of 9 would be 0.9999999999999999 at most
		if _, high := Wilson(of, of); high != 1 {
			t.Errorf("%d of %d: up to %v, want 1", of, of, high)
		}
		if low, _ := Wilson(0, of); low != 0 {
			t.Errorf("0 of %d: from %v, want 0", of, low)
		}
	}
	low, high := Wilson(7, 5)
	if wantLow, wantHigh := Wilson(5, 5); low != wantLow || high != wantHigh {
		t.Errorf("7 of 5: %v to %v, want that of 5 of 5", low, high)
	}
}
