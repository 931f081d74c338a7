package stats

import "math"

// maxExact is the maximum number of observations for which P is exact.
const maxExact = 10

// kendall holds the Mann-Kendall statistic S and its variance if there is no trend.
type kendall struct {
	n        int
	s        int64
	variance float64
	ties     bool
}

// kendallOf computes S of at least two points in O(n log n) (Knight, "A computer method for
// calculating Kendall's tau with ungrouped data", JASA 61, 1966): the number of pairs in which Y
// falls is the number of exchanges that sorting by Y needs.
func kendallOf(sorted []Point) kendall {
	n := len(sorted)
	ys := make([]float64, n)
	for i, p := range sorted {
		ys[i] = p.Y
	}
	falling := inversions(ys, make([]float64, n))
	var x, y, both tied
	run := func(t *tied, same func(i int) bool) {
		length := 1
		for i := 1; i <= n; i++ {
			if i < n && same(i) {
				length++
				continue
			}
			t.add(length)
			length = 1
		}
	}
	run(&x, func(i int) bool { return sorted[i-1].X == sorted[i].X })
	run(&both, func(i int) bool { return sorted[i-1] == sorted[i] })
	run(&y, func(i int) bool { return ys[i-1] == ys[i] }) // inversions has sorted ys
	k := kendall{n: n, ties: x.pairs+y.pairs > 0}
	k.s = pairs(n) - x.pairs - y.pairs + both.pairs - 2*falling
	f := float64(n)
	k.variance = (f*(f-1)*(2*f+5) - x.spread - y.spread) / 18
	k.variance += float64(2*x.pairs) * float64(2*y.pairs) / (2 * f * (f - 1))
	if n > 2 {
		k.variance += x.triples * y.triples / (9 * f * (f - 1) * (f - 2))
	}
	return k
}

// tied holds sums over groups of t equal values.
type tied struct {
	pairs   int64   // t(t-1)/2
	triples float64 // t(t-1)(t-2)
	spread  float64 // t(t-1)(2t+5)
}

func (g *tied) add(length int) {
	t := float64(length)
	g.pairs += pairs(length)
	g.triples += t * (t - 1) * (t - 2)
	g.spread += t * (t - 1) * (2*t + 5)
}

func pairs(n int) int64 { return int64(n) * int64(n-1) / 2 }

// inversions sorts values and returns the number of pairs that were in descending order. buffer
// must be as long as values.
func inversions(values, buffer []float64) (n int64) {
	if len(values) < 2 {
		return 0
	}
	half := len(values) / 2
	left, right := values[:half], values[half:]
	n = inversions(left, buffer[:half]) + inversions(right, buffer[half:])
	merged := buffer[:0]
	for len(left) > 0 && len(right) > 0 {
		if right[0] < left[0] {
			n += int64(len(left))
			merged, right = append(merged, right[0]), right[1:]
		} else {
			merged, left = append(merged, left[0]), left[1:]
		}
	}
	merged = append(append(merged, left...), right...)
	copy(values, merged)
	return n
}

// p returns the two-sided p-value: the probability that S is at least as far from 0 as k.s if there
// is no trend.
func (k *kendall) p() float64 {
	s := max(k.s, -k.s)
	if s == 0 || k.variance <= 0 {
		return 1
	}
	if k.n <= maxExact && !k.ties {
		return min(1, 2*atLeast(k.n, s))
	}
	return math.Erfc(float64(s-1) / math.Sqrt(2*k.variance))
}

// atLeast returns the exact probability, if there are no ties and no trend, that S is s or more: the
// share of the orders of n values that have at most (pairs-s)/2 inversions.
func atLeast(n int, s int64) float64 {
	orders, all := []int{1}, 1 // orders[i] is the number of orders with i inversions
	for m := 2; m <= n; m++ {  // the m-th value adds 0 to m-1 inversions
		next := make([]int, pairs(m)+1)
		for inverted, count := range orders {
			for more := range m {
				next[inverted+more] += count
			}
		}
		orders, all = next, all*m
	}
	few := 0
	for inverted := int64(0); 2*inverted <= pairs(n)-s; inverted++ {
		few += orders[inverted]
	}
	return float64(few) / float64(all)
}
