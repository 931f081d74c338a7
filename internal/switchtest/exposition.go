package switchtest

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Exposition is one scrape.
type Exposition struct {
	Families []Family
	Samples  map[string]float64 // by series, as written: name{label="value"}
}

// Family is a metric family of an exposition.
type Family struct {
	Name, Kind, Help string
	Series           []string
}

// Scrape asks for /metrics.
func (client *Client) Scrape() Exposition {
	client.T.Helper()
	e, err := ParseExposition(client.Get("/metrics"))
	if err != nil {
		client.T.Fatalf("/metrics: %v", err)
	}
	return e
}

// ParseExposition reads text of which HELP, TYPE and samples stand in this
// order, each sample under its family.
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
			return e, fmt.Errorf("in family %q: %q", f.Name, line)
		}
		if _, twice := e.Samples[line[:at]]; twice {
			return e, fmt.Errorf("twice: %q", line)
		}
		f.Series = append(f.Series, line[:at])
		e.Samples[line[:at]] = value
	}
	return e, lines.Err()
}

// Value returns what a series shows.
func (e Exposition) Value(t T, series string) float64 {
	t.Helper()
	v, ok := e.Samples[series]
	if !ok {
		t.Fatalf("no series %s", series)
	}
	return v
}

// sum adds the samples of a family whose series begin with a prefix.
func (e Exposition) sum(prefixes ...string) (sum float64) {
	for series, value := range e.Samples {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(series, p) }) {
			sum += value
		}
	}
	return sum
}

// AwaitValue waits until a series shows a value.
func (client *Client) AwaitValue(series string, want float64) {
	client.T.Helper()
	Eventually(client.T, Timeout, func() string {
		if got, ok := client.Scrape().Samples[series]; got != want || !ok {
			return fmt.Sprintf("%s is %v (there: %v), want %v", series, got, ok, want)
		}
		return ""
	})
}

// Spread is a histogram: cumulative counts by upper bound, ascending.
type Histogram []struct{ bound, count float64 }

// Latency is the spread of event latency.
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

// Minus is what came since an earlier reading.
func (s Histogram) Sub(earlier Histogram) Histogram {
	d := slices.Clone(s)
	for i := range d {
		d[i].count -= earlier[i].count
	}
	return d
}

func (s Histogram) Count() float64 { return s[len(s)-1].count }

// Quantile is the bound that at least q of all do not exceed.
func (s Histogram) Quantile(q float64) float64 {
	for _, b := range s {
		if b.count >= q*s.Count() {
			return b.bound
		}
	}
	return math.Inf(1)
}

// Above is the share that exceeds a bound.
func (s Histogram) ShareAbove(bound float64) float64 {
	for _, b := range s {
		if b.bound >= bound {
			return 1 - b.count/s.Count()
		}
	}
	return 0
}

// ResyncSeries is a counter of the daemon by which the test knows that a fault
// was noticed: what the daemon made of it is the model's to say.
func ResyncSeries(reason string) string { return `portsyncd_resyncs_total{reason="` + reason + `"}` }

// Scrape returns the values on /metrics, by series. The listener is there soon
// after the start.
func Scrape(t T) map[string]string {
	t.Helper()
	var text []byte
	Eventually(t, Timeout, func() string {
		client := http.Client{Timeout: 2 * time.Second}
		response, err := client.Get("http://127.0.0.1:9101/metrics")
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		text, err = io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			return fmt.Sprintf("/metrics answers %s, %v", response.Status, err)
		}
		return ""
	})
	return Samples(string(text))
}

// Samples reads the text of an exposition.
func Samples(text string) map[string]string {
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			values[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return values
}
