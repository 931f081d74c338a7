package statusview

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// visible returns foreign text as it may be shown on a page, which escapes it for
// HTML besides.
func visible(s string) string { return Visible(s, false) }

// moment is a time as a page shows it: exact for programs, short for people.
type moment struct {
	Exact string // RFC 3339, for <time datetime>; "" if there is no such time
	Text  string // in UTC; the date only where it is not that of the page
	Ago   string // "3m 10s"
}

// momentOf returns t as seen at now.
func momentOf(t, now time.Time) moment {
	t, now = t.UTC(), now.UTC()
	switch {
	case t.IsZero():
		return moment{Text: "never"}
	case !inCalendar(t):
		return moment{Text: "beyond the calendar"}
	}
	return moment{Exact: t.Format(time.RFC3339), Text: t.Format(layoutAt(t, now)), Ago: age(now.Sub(t))}
}

// inCalendar reports whether RFC 3339, whose years have four digits, has t, and t
// is not the zero time.
func inCalendar(t time.Time) bool {
	y := t.UTC().Year()
	return !t.IsZero() && 0 <= y && y <= 9999
}

// layoutAt leaves the date out where it is today's. Both are in UTC.
func layoutAt(t, now time.Time) string {
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return "15:04:05"
	}
	return "2006-01-02 15:04:05"
}

// momentAt is momentOf for a time that may be absent.
func momentAt(t *time.Time, now time.Time) moment {
	if t == nil {
		return momentOf(time.Time{}, now)
	}
	return momentOf(*t, now)
}

// seconds is a measured time as a terminal shows it.
func seconds(s float64) string { return new(printer).lasting(s) }

// nanos is seconds for a count of nanoseconds.
func nanos(n int64) string { return seconds(float64(n) / 1e9) }

// digits is a number to three significant digits, or whole where that has more.
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

// grouped is a whole number with a comma between thousands.
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
