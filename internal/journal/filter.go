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

// MaxLimit is the maximum Limit of a filter. It bounds the memory that a reader needs.
const MaxLimit = 100_000

// Filter selects events. The zero value selects all events.
type Filter struct {
	Ports        []string  // names of ports; nil: all ports and the daemon
	Kinds        []Kind    // nil: all kinds
	Since, Until time.Time // inclusive; zero: no limit
	After        uint64    // only events with a larger sequence number
	Limit        int       // only the newest events; 0: all
}

// Match reports whether the filter selects e. It ignores Limit.
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

// newest returns the newest Limit of events.
func (f *Filter) newest(events []Event) []Event {
	if f.Limit > 0 && len(events) > f.Limit {
		return events[len(events)-f.Limit:]
	}
	return events
}

// ParseKinds parses a comma-separated list of kinds and of the groups "link", "port" and "daemon".
// It returns the selected kinds.
func ParseKinds(list string) ([]Kind, error) {
	var kinds []Kind
	for name := range strings.SplitSeq(list, ",") {
		switch members := group(name); {
		case members != nil:
			kinds = append(kinds, members...)
		case slices.Contains(Kinds(), Kind(name)):
			kinds = append(kinds, Kind(name))
		default:
			return nil, fmt.Errorf("invalid kind %q: must be link, port, daemon or one of %s", name, listOf(Kinds()))
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

// ParseTime parses a point in time: an age such as 90m, 12h or 7d, a date or time in the given
// zone, or an RFC 3339 time.
func ParseTime(text string, now time.Time, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateTime} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t.UTC(), nil
		}
	}
	if age, ok := parseAge(text); ok {
		return now.Add(-age).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("invalid time %q: must have a form such as 90m, 12h, 7d, 2026-11-01 or 2026-11-01T08:00:00Z", text)
}

// maxAge is the maximum age in days.
const maxAge = 36_500

// parseAge parses a duration in days, weeks, or the units of package time.
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

// Limits of HTTP queries.
const (
	defaultLimit = 1000
	maxQuery     = 10_000 // events, and bytes of the query
	maxTerms     = 256    // names of ports, and kinds
)

// ParseQuery parses the query of a URL. The parameters are port and kind, which may be repeated or
// contain comma-separated values, and since, until, after and limit. The default limit is the
// newest 1000 events.
func ParseQuery(query string, now time.Time) (Filter, error) {
	f := Filter{Limit: defaultLimit}
	if len(query) > maxQuery {
		return f, fmt.Errorf("query is too long: %d bytes, limit %d", len(query), maxQuery)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return f, errors.New("malformed query")
	}
	for name, all := range values {
		for _, value := range all {
			if err := f.set(name, value, now); err != nil {
				return f, err
			}
		}
	}
	if len(f.Ports) > maxTerms || len(f.Kinds) > maxTerms {
		return f, fmt.Errorf("too many ports or kinds: limit %d", maxTerms)
	}
	return f, nil
}

// set applies one query parameter.
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
			return fmt.Errorf("invalid after %q: must be a sequence number", value)
		}
	case "limit":
		if f.Limit, err = strconv.Atoi(value); err != nil || f.Limit < 1 || f.Limit > maxQuery {
			return fmt.Errorf("invalid limit %q: must be 1 to %d", value, maxQuery)
		}
	default:
		return fmt.Errorf("unknown parameter %q: must be port, kind, since, until, after or limit", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Query returns the filter as a URL query that [ParseQuery] accepts.
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
