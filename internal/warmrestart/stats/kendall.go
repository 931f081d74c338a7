package stats

import "math"

// exactMost is up to how many observations the distribution of S is not
// approximated.
const exactMost = 10

// kendall is the distribution of the statistic S under no trend, and S.
type kendall struct {
	n        int
	s        int64
	variance float64
	ties     bool
}

// kendallOf counts S of two points or more in O(n log n) (Knight, "A computer method for calculating
// Kendall's tau with ungrouped data", JASA 61, 1966): the pairs in which Y falls
// are the exchanges that a sort by Y needs.
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
	run(&y, func(i int) bool { return ys[i-1] == ys[i] }) // which are in order by now
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

// tied sums over groups of t equal values.
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

// inversions sorts values, with room for as many, and returns how many pairs were
// in descending order.
func inversions(values, room []float64) (n int64) {
	if len(values) < 2 {
		return 0
	}
	half := len(values) / 2
	left, right := values[:half], values[half:]
	n = inversions(left, room[:half]) + inversions(right, room[half:])
	merged := room[:0]
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

// p is the two-sided probability of an S as far from 0 as this.
func (k *kendall) p() float64 {
	s := max(k.s, -k.s)
	if s == 0 || k.variance <= 0 {
		return 1
	}
	if k.n <= exactMost && !k.ties {
		return min(1, 2*atLeast(k.n, s))
	}
	return math.Erfc(float64(s-1) / math.Sqrt(2*k.variance))
}

// atLeast is the exact probability, without ties and trend, that S is s or more: of
// all orders of n values, those with at most (pairs-s)/2 inversions.
func atLeast(n int, s int64) float64 {
	orders, all := []int{1}, 1 // the former by their inversions
	for m := 2; m <= n; m++ {  // the m-th value has up to m-1 larger ones before it
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
