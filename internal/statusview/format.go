package statusview

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// count is a number with its noun.
func count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// age says how long something lasts or is ago, in the two largest units. What is
// less than nothing, because clocks were read one after the other or one was
// set, is 0s.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	for _, u := range []struct {
		size, next int64 // in seconds
		name, sub  string
	}{{86400, 3600, "d", "h"}, {3600, 60, "h", "m"}, {60, 1, "m", "s"}} {
		if s < u.size {
			continue
		}
		text := strconv.FormatInt(s/u.size, 10) + u.name
		if rest := s % u.size / u.next; rest > 0 {
			text += " " + strconv.FormatInt(rest, 10) + u.sub
		}
		return text
	}
	return strconv.FormatInt(s, 10) + "s"
}

// lasting is a measured time, with three digits and a unit.
func (p *printer) lasting(seconds float64) string {
	abs := math.Abs(seconds)
	switch {
	case math.IsNaN(seconds) || math.IsInf(seconds, 0):
		return "?"
	case abs == 0:
		return "0 s"
	case abs < 999.5e-9:
		return digits(seconds*1e9) + " ns"
	case abs < 999.5e-6:
		return digits(seconds*1e6) + p.either(" µs", " us")
	case abs < 999.5e-3:
		return digits(seconds*1e3) + " ms"
	case abs < 999.5:
		return digits(seconds) + " s"
	}
	const most = 9.2e9 // a Duration holds no more
	return age(time.Duration(min(abs, most) * 1e9))
}

// percent writes a share from 0 to 1 with a decimal, and with more where it would
// be said to be 0 or 100 % and is not.
func percent(v float64) string {
	s := ""
	for decimals := 1; decimals < 9; decimals++ {
		s = strconv.FormatFloat(100*v, 'f', decimals, 64)
		if whole := strings.TrimRight(s, "0"); v == 0 || v == 1 || whole != "0." && whole != "100." {
			break
		}
	}
	return strings.TrimSuffix(s, ".0") + " %"
}

// clock is a time of day to the second, of a zone.
func (p *printer) clock(t time.Time) string { return t.In(p.Zone).Format("2006-01-02 15:04:05") }

// minute is a time of day to the minute.
func (p *printer) minute(t time.Time) string { return t.In(p.Zone).Format("2006-01-02 15:04") }
