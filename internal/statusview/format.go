package statusview

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// count formats n with the singular or plural noun.
func count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// age formats d in its two largest units, such as "3d 4h". It returns "0s" if d is negative, which
// can happen after a clock change.
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

// duration formats a measured duration with three significant digits and a unit.
func (p *printer) duration(seconds float64) string {
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
	const maxSeconds = 9.2e9 // maximum of time.Duration
	return age(time.Duration(min(abs, maxSeconds) * 1e9))
}

// percent formats a ratio between 0 and 1 as a percentage. It uses one decimal, or more if needed
// to distinguish the ratio from 0 and 1.
func percent(v float64) string {
	s := ""
	for decimals := 1; decimals < 9; decimals++ {
		s = strconv.FormatFloat(100*v, 'f', decimals, 64)
		if whole := strings.TrimRight(s, "0"); v == 0 || v == 1 || whole != "0." && whole != "100." {
			break
		}
	}
	return strings.TrimSuffix(s, ".0") + "%"
}

// clock formats t with second precision in the terminal's time zone.
func (p *printer) clock(t time.Time) string { return t.In(p.Zone).Format("2006-01-02 15:04:05") }

// minute formats t with minute precision in the terminal's time zone.
func (p *printer) minute(t time.Time) string { return t.In(p.Zone).Format("2006-01-02 15:04") }

// seconds formats a measured duration, in seconds, for a page.
func seconds(s float64) string { return new(printer).duration(s) }

// nanos is like seconds, but takes a duration in nanoseconds.
func nanos(n int64) string { return seconds(float64(n) / 1e9) }

// digits formats v with three significant digits. It never rounds the integer part.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case a >= 99.95 && a < 1e15:
		return grouped(int64(math.Round(v)))
	case a >= 1e15 || a < 1e-6 && a > 0:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// grouped formats n with commas as thousands separators.
func grouped[T int | int64 | uint64](n T) string {
	if 0 <= n && n < 1000 {
		return strconv.Itoa(int(n))
	}
	s := fmt.Sprint(n)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}
