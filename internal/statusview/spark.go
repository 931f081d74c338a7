package statusview

import "math"

// levels are the characters of a spark line, the lowest first.
var (
	levels      = []rune("▁▂▃▄▅▆▇█")
	levelsASCII = []rune("_.-~=+*#")
)

// spark draws values as one line of at most width characters, the lowest value
// on the lowest level and the highest on the highest. Where there are more values
// than characters each stands for the highest of its share: a peak must not
// vanish. What is not a number leaves a gap.
func (p *printer) spark(values []float64, width int) string {
	draw := levels
	if p.ASCII {
		draw = levelsASCII
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
			line[i] = draw[0]
		default:
			// Halved, since the difference of two large numbers may be too large.
			share := (top/2 - lo/2) / (hi/2 - lo/2)
			line[i] = draw[min(int(share*float64(len(draw))), len(draw)-1)]
		}
	}
	return string(line)
}

// extent returns the lowest and the highest of the values that are numbers; +Inf
// and -Inf if there are none.
func extent(values []float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	return lo, hi
}
