package journal

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxLimit is the largest Limit of a filter. It bounds what a reader holds in memory.
const MaxLimit = 100_000

// Filter selects events. The zero value selects all.
type Filter struct {
	Ports        []string  // names of ports; nil: all ports and the daemon
	Kinds        []Kind    // nil: all kinds
	Since, Until time.Time // inclusive; zero: no limit
	After        uint64    // only events with a larger sequence number
	Limit        int       // only the newest events; 0: all
}

// Match reports whether the filter selects e, apart from Limit.
func (f *Filter) Match(e *Event) bool {
	switch {
	case e.Seq <= f.After && f.After > 0,
		!f.Since.IsZero() && e.Time.Before(f.Since),
		!f.Until.IsZero() && e.Time.After(f.Until):
		return false
	case len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind):
		return false
	}
	return len(f.Ports) == 0 || e.Port != "" &&
		(slices.Contains(f.Ports, e.Port) || e.Kind == Renamed && slices.Contains(f.Ports, e.Old))
}

// newest returns the last Limit of the events.
func (f *Filter) newest(events []Event) []Event {
	if f.Limit > 0 && len(events) > f.Limit {
		return events[len(events)-f.Limit:]
	}
	return events
}

// ParseKinds returns the kinds that a list names, separated by commas: kinds, or the groups "link",
// "port" and "daemon".
func ParseKinds(list string) ([]Kind, error) {
	var kinds []Kind
	for name := range strings.SplitSeq(list, ",") {
		switch group, ok := groups[name]; {
		case ok:
			kinds = append(kinds, group...)
		case slices.Contains(Kinds(), Kind(name)):
			kinds = append(kinds, Kind(name))
		default:
			return nil, fmt.Errorf("kind %q, expected link, port, daemon or one of %s", name, listOf(Kinds()))
		}
	}
	return kinds, nil
}

func listOf(kinds []Kind) string {
	var names []string
	for _, k := range kinds {
		if !slices.Contains(names, string(k)) {
			names = append(names, string(k))
		}
	}
	return strings.Join(names, ", ")
}

// ParseTime returns a point in time. The text is an age such as 90m, 12h or 7d, or a date or a time
// in the zone, or a time by RFC 3339.
func ParseTime(text string, now time.Time, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t.UTC(), nil
		}
	}
	if age, ok := parseAge(text); ok {
		return now.Add(-age).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("time %q, expected 90m, 12h, 7d, 2026-11-01 or 2026-11-01T08:00:00Z", text)
}

// maxAge bounds an age, in days.
const maxAge = 36_500

// parseAge reads a duration in days or weeks, or in the units of package time.
func parseAge(text string) (time.Duration, bool) {
	for suffix, days := range map[string]uint64{"d": 1, "w": 7} {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseUint(digits, 10, 16)
			return time.Duration(n*days) * 24 * time.Hour, err == nil && n*days <= maxAge
		}
	}
	age, err := time.ParseDuration(text)
	return age, err == nil && age >= 0
}

// Limits of a query by HTTP.
const (
	defaultLimit = 1000
	maxQuery     = 10_000 // events, and bytes of the query
	maxTerms     = 256    // names of ports, and kinds
)

// ParseQuery returns the filter of the query of a URL: port and kind, which may be repeated or have
// several values separated by commas, since, until, after and limit. Without limit, the newest 1000
// events are selected.
func ParseQuery(query string, now time.Time) (Filter, error) {
	f := Filter{Limit: defaultLimit}
	if len(query) > maxQuery {
		return f, fmt.Errorf("the query has %d bytes, expected at most %d", len(query), maxQuery)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return f, errors.New("the query is not well-formed")
	}
	for name, all := range values {
		for _, value := range all {
			if err := f.set(name, value, now); err != nil {
				return f, err
			}
		}
	}
	if len(f.Ports) > maxTerms || len(f.Kinds) > maxTerms {
		return f, fmt.Errorf("more than %d ports or kinds", maxTerms)
	}
	return f, nil
}

// set takes one parameter of a query.
func (f *Filter) set(name, value string, now time.Time) (err error) {
	switch name {
	case "port":
		f.Ports = append(f.Ports, strings.Split(value, ",")...)
	case "kind":
		var kinds []Kind
		kinds, err = ParseKinds(value)
		f.Kinds = append(f.Kinds, kinds...)
	case "since":
		f.Since, err = ParseTime(value, now, time.UTC)
	case "until":
		f.Until, err = ParseTime(value, now, time.UTC)
	case "after":
		if f.After, err = strconv.ParseUint(value, 10, 64); err != nil {
			return fmt.Errorf("after %q, expected a sequence number", value)
		}
	case "limit":
		if f.Limit, err = strconv.Atoi(value); err != nil || f.Limit < 1 || f.Limit > maxQuery {
			return fmt.Errorf("limit %q, expected 1 to %d", value, maxQuery)
		}
	default:
		return fmt.Errorf("parameter %q, expected port, kind, since, until, after or limit", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Query returns the filter as the query of a URL, for a request that [ParseQuery] reads.
func (f *Filter) Query() string {
	values := url.Values{"limit": {strconv.Itoa(min(cmp.Or(f.Limit, maxQuery), maxQuery))}}
	for _, port := range f.Ports {
		values.Add("port", port)
	}
	for _, kind := range f.Kinds {
		values.Add("kind", string(kind))
	}
	if !f.Since.IsZero() {
		values.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		values.Set("until", f.Until.UTC().Format(time.RFC3339Nano))
	}
	if f.After > 0 {
		values.Set("after", strconv.FormatUint(f.After, 10))
	}
	return values.Encode()
}
