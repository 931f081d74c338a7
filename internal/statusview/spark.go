package statusview

import "math"

// levels are the characters of a sparkline, from low to high.
var (
	levels      = []rune("▁▂▃▄▅▆▇█")
	levelsASCII = []rune("_.-~=+*#")
)

// spark returns a sparkline of at most width characters. With more values than characters, each
// character shows the largest of its values, so that peaks remain. Values that are not finite leave
// gaps.
func (p *printer) spark(values []float64, width int) string {
	chars := levels
	if p.ASCII {
		chars = levelsASCII
	}
	lo, hi := extent(values)
	n := min(len(values), width)
	line := make([]rune, n)
	for i := range line {
		_, top := extent(values[i*len(values)/n : (i+1)*len(values)/n])
		switch {
		case math.IsInf(top, -1):
			line[i] = ' '
		case lo == hi:
			line[i] = chars[0]
		default:
			// Halved, because the difference of two large numbers can overflow.
			share := (top/2 - lo/2) / (hi/2 - lo/2)
			line[i] = chars[min(int(share*float64(len(chars))), len(chars)-1)]
		}
	}
	return string(line)
}

// extent returns the minimum and the maximum of the finite values, or +Inf and -Inf if there are no
// finite values.
func extent(values []float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo, hi
}
