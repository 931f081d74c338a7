package statusview

import (
	"math"
	"strconv"
	"time"
)

// axis maps values to the length of one side of a plot.
type axis struct {
	lo, hi float64 // lo < hi
	log    bool    // then lo > 0
	unit   string  // shown above the axis
	ticks  []tick
}

// tick is a labeled position on an axis.
type tick struct {
	value float64
	label string
}

// share returns the position of the value v on the axis, from 0 at lo to 1 at hi. A value outside
// of the axis is at the nearest end, and NaN is at 0.
func (a *axis) share(v float64) float64 {
	lo, hi := a.lo, a.hi
	if a.log {
		if !(v > 0) {
			return 0
		}
		v, lo, hi = math.Log(v), math.Log(lo), math.Log(hi)
	}
	// Halved, because the difference of two large numbers can overflow.
	s := (v/2 - lo/2) / (hi/2 - lo/2)
	if !(s > 0) {
		return 0
	}
	return min(s, 1)
}

// linearAxis returns an axis that includes lo and hi and has about four ticks at round values.
func linearAxis(lo, hi float64, unit string) axis {
	if !finite(lo) || !finite(hi) {
		lo, hi = 0, 1
	}
	const limit = 1e300 // keeps the arithmetic below finite
	lo, hi = min(max(lo, -limit), limit), min(max(hi, -limit), limit)
	if hi-lo <= math.Abs(lo)*1e-9 {
		hi = lo + max(1, math.Abs(lo))
	}
	step := roundStep(hi/4 - lo/4)
	a := axis{lo: math.Floor(lo/step) * step, hi: math.Ceil(hi/step) * step, unit: unit}
	for i := range int(math.Round((a.hi-a.lo)/step)) + 1 {
		v := a.lo + float64(i)*step
		a.ticks = append(a.ticks, tick{v, digits(v)})
	}
	return a
}

// roundStep returns the smallest of ..., 1, 2, 5, 10, ... that is not less than step.
func roundStep(step float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if m*decade >= step*(1-1e-9) {
			return m * decade
		}
	}
	return 10 * decade
}

// secondsAxis returns a logarithmic axis of whole decades for values in seconds. It ignores values
// that are not positive.
func secondsAxis(values []float64) axis {
	const smallest, largest = 1e-9, 1e9
	lo, hi := math.Inf(1), 0.0
	for _, v := range values {
		if v > 0 {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if hi == 0 {
		lo, hi = 1e-3, 1e-3
	}
	lo, hi = max(min(lo, largest), smallest), max(min(hi, largest), smallest)
	first, last := int(math.Floor(math.Log10(lo)+1e-9)), int(math.Ceil(math.Log10(hi)-1e-9))
	if first == last {
		last++
	}
	a := axis{lo: math.Pow10(first), hi: math.Pow10(last), log: true}
	every := (last-first)/5 + 1
	for d := first; d <= last; d += every {
		a.ticks = append(a.ticks, tick{math.Pow10(d), seconds(math.Pow10(d))})
	}
	return a
}

// timeSteps are the possible distances between ticks.
var timeSteps = []time.Duration{
	time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
	3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day, 28 * day, 91 * day, 365 * day,
}

const day = 24 * time.Hour

// timeAxis returns an axis of Unix time in seconds.
func timeAxis(from, to time.Time) axis {
	if !from.Before(to) {
		from = to.Add(-time.Minute)
	}
	length := to.Sub(from) // at most 292 years
	a := axis{lo: unix(from), hi: unix(to)}
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if length/s <= 5 {
			step = s
			break
		}
	}
	if n := length / step; n > 6 {
		step *= n / 6
	}
	layout := "15:04"
	switch {
	case step >= day:
		layout = "2 Jan"
	case step < time.Minute:
		layout = "15:04:05"
	case length > day:
		layout = "2 Jan 15:04"
	}
	if step >= 365*day {
		layout = "2006"
	}
	for t := from.UTC().Truncate(step); !t.After(to) && len(a.ticks) < 12; t = t.Add(step) {
		if !t.Before(from) {
			a.ticks = append(a.ticks, tick{unix(t), t.Format(layout)})
		}
	}
	return a
}

// unix returns the Unix time of t in seconds, with its fraction.
func unix(t time.Time) float64 { return float64(t.Unix()) + float64(t.Nanosecond())/1e9 }

// fromUnix returns the time for a Unix time, in whole seconds.
func fromUnix(s float64) time.Time { return time.Unix(int64(math.Floor(s)), 0) }

// finite reports whether v is neither infinite nor NaN.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// appendCoordinate appends a number with at most two decimals.
func appendCoordinate(b []byte, v float64) []byte {
	return strconv.AppendFloat(b, math.Round(v*100)/100, 'f', -1, 64)
}
