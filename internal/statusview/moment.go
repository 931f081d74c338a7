package statusview

import "time"

// moment is a time on a page.
type moment struct {
	Exact string // RFC 3339, for <time datetime>; "" without a valid time
	Text  string // in UTC, with the date if that is not the date of the page
	Ago   string // age, such as "3m 10s"
}

// momentOf returns the template data for the time t on a page that is rendered at now.
func momentOf(t, now time.Time) moment {
	t, now = t.UTC(), now.UTC()
	switch {
	case t.IsZero():
		return moment{Text: "never"}
	case !inCalendar(t):
		return moment{Text: "invalid time"}
	}
	return moment{Exact: t.Format(time.RFC3339), Text: t.Format(layoutAt(t, now)), Ago: age(now.Sub(t))}
}

// inCalendar reports whether t can be formatted as in RFC 3339: it is not zero, and its year has
// four digits.
func inCalendar(t time.Time) bool {
	y := t.UTC().Year()
	return !t.IsZero() && 0 <= y && y <= 9999
}

// layoutAt returns the time layout for showing t at now. The layout has no date if both times are
// on the same day in UTC.
func layoutAt(t, now time.Time) string {
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return "15:04:05"
	}
	return "2006-01-02 15:04:05"
}

// momentAt is momentOf for a time that may be nil.
func momentAt(t *time.Time, now time.Time) moment {
	if t == nil {
		return momentOf(time.Time{}, now)
	}
	return momentOf(*t, now)
}
