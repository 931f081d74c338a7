package switchtest

import (
	"bufio"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Exposition is a parsed scrape.
type Exposition struct {
	Families []Family
	Samples  map[string]float64 // by series, as written: name{label="value"}
}

// Family is a metric family of a scrape.
type Family struct {
	Name, Kind, Help string
	Series           []string
}

// Scrape returns the parsed response to GET /metrics.
func (client *Client) Scrape() Exposition {
	client.T.Helper()
	e, err := ParseExposition(client.Get("/metrics"))
	if err != nil {
		client.T.Fatalf("/metrics: %v", err)
	}
	return e
}

// ParseExposition parses Prometheus' text format. It is stricter than the format: each family has
// HELP, then TYPE, then its samples.
func ParseExposition(text string) (Exposition, error) {
	e := Exposition{Samples: make(map[string]float64)}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			e.Families = append(e.Families, Family{Name: name, Help: help})
			continue
		}
		if len(e.Families) == 0 {
			return e, fmt.Errorf("line before the first HELP: %q", line)
		}
		f := &e.Families[len(e.Families)-1]
		if rest, ok := strings.CutPrefix(line, "# TYPE "+f.Name+" "); ok {
			f.Kind = rest
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if at < 0 || err != nil || !strings.HasPrefix(line, f.Name) || f.Kind == "" {
			return e, fmt.Errorf("line of another family after HELP of %q: %q", f.Name, line)
		}
		if _, twice := e.Samples[line[:at]]; twice {
			return e, fmt.Errorf("duplicate series: %q", line)
		}
		f.Series = append(f.Series, line[:at])
		e.Samples[line[:at]] = value
	}
	return e, lines.Err()
}

// Value returns the value of the named series. It fails the test if the series does not exist.
func (e Exposition) Value(t T, series string) float64 {
	t.Helper()
	v, ok := e.Samples[series]
	if !ok {
		t.Fatalf("no series %s", series)
	}
	return v
}

// sum returns the sum of the series that begin with one of the prefixes.
func (e Exposition) sum(prefixes ...string) (sum float64) {
	for series, value := range e.Samples {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(series, p) }) {
			sum += value
		}
	}
	return sum
}

// AwaitValue scrapes until a series has a value.
func (client *Client) AwaitValue(series string, want float64) {
	client.T.Helper()
	Eventually(client.T, Timeout, func() string {
		if got, ok := client.Scrape().Samples[series]; got != want || !ok {
			return fmt.Sprintf("%s is %v (exists: %v), want %v", series, got, ok, want)
		}
		return ""
	})
}

// Histogram is a list of cumulative buckets with ascending upper bounds.
type Histogram []struct{ bound, count float64 }

// EventLatency returns the histogram portsyncd_event_latency_seconds.
func (e Exposition) EventLatency() Histogram {
	var s Histogram
	for series, v := range e.Samples {
		if rest, ok := strings.CutPrefix(series, `portsyncd_event_latency_seconds_bucket{le="`); ok {
			bound, _ := strconv.ParseFloat(strings.TrimSuffix(rest, `"}`), 64)
			s = append(s, struct{ bound, count float64 }{bound, v})
		}
	}
	slices.SortFunc(s, func(a, b struct{ bound, count float64 }) int {
		if a.bound < b.bound {
			return -1
		}
		return 1
	})
	return s
}

// Sub returns a histogram of the observations that were made since the histogram earlier was read.
func (s Histogram) Sub(earlier Histogram) Histogram {
	d := slices.Clone(s)
	for i := range d {
		d[i].count -= earlier[i].count
	}
	return d
}

// Count returns the number of observations.
func (s Histogram) Count() float64 { return s[len(s)-1].count }

// maxBounds returns the bounds of the last bucket with observations.
func (s Histogram) maxBounds() (lower, upper float64) {
	for _, b := range s {
		upper = b.bound
		if b.count == s.Count() {
			break
		}
		lower = b.bound
	}
	return lower, upper
}

// Quantile returns the upper bound of the bucket that contains the quantile q.
func (s Histogram) Quantile(q float64) float64 {
	for _, b := range s {
		if b.count >= q*s.Count() {
			return b.bound
		}
	}
	return math.Inf(1)
}

// ShareAbove returns the fraction of observations that are greater than bound, which must be the
// bound of a bucket.
func (s Histogram) ShareAbove(bound float64) float64 {
	for _, b := range s {
		if b.bound >= bound {
			return 1 - b.count/s.Count()
		}
	}
	return 0
}

// ResyncSeries returns the name and labels of the series that counts resyncs for the given reason.
func ResyncSeries(reason string) string { return `portsyncd_resyncs_total{reason="` + reason + `"}` }
