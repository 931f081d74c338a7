package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// curves returns the measured values as time series.
func (r *soakResult) curves() (rss, goroutines, descriptors, p50, p99 curve) {
	rss, goroutines = curve{name: "RSS", unit: "MiB"}, curve{name: "goroutines"}
	descriptors = curve{name: "descriptors"}
	p50, p99 = curve{name: "p50", unit: "µs"}, curve{name: "p99", unit: "ms"}
	for _, s := range r.Samples {
		rss.add(s.At, mib(s.RSS))
		goroutines.add(s.At, float64(s.Goroutines))
		descriptors.add(s.At, float64(s.Descriptors))
	}
	for _, l := range r.Latency {
		p50.add(l.At, float64(l.P50)/1e3)
		p99.add(l.At, float64(l.P99)/1e6)
	}
	return rss, goroutines, descriptors, p50, p99
}

func (c *curve) add(at time.Duration, y float64) {
	c.at = append(c.at, at)
	c.y = append(c.y, y)
}

// settled returns the curve without its first tenth, during which heap and buffers grow to their
// normal size.
func (c *curve) settled() curve {
	n := len(c.at) / 10
	return curve{name: c.name, unit: c.unit, at: c.at[n:], y: c.y[n:]}
}

// slope returns the Theil-Sen slope per hour.
func (c *curve) slope() *stats.Trend {
	points := make([]stats.Point, len(c.at))
	for i, at := range c.at {
		points[i] = stats.Point{X: at.Hours(), Y: c.y[i]}
	}
	return stats.TrendOf(points)
}

// printSoak prints what was done during the soak and the range and slope of each measured value.
func printSoak(w io.Writer, o soakOptions, r *soakResult) {
	fmt.Fprintf(w, "soak of %d ports for %v: %d MTU changes (%.0f per second), %d flaps, %d restarts of redis-server, %d reloads, %d fetches, %d scrapes\n",
		o.Ports, r.Took.Round(time.Second), r.Sent, float64(r.Sent)/r.Took.Seconds(), r.Flaps, r.Restarts, r.Reloads, r.Fetches, len(r.Samples))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\tlowest\tmedian\thighest\tslope per hour\t95% interval\t\t\n")
	rss, goroutines, descriptors, p50, p99 := r.curves()
	for _, c := range []curve{rss, goroutines, descriptors, p50, p99} {
		c = c.settled()
		if len(c.y) == 0 {
			fmt.Fprintf(t, "%s\tno data\t\t\t\t\t\t\n", c.name)
			continue
		}
		s := stats.Summarize(c.y)
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t", c.name, s.Min, s.P50, s.Max)
		if trend := c.slope(); trend != nil {
			fmt.Fprintf(t, "%+.3f\t%+.3f to %+.3f\t", trend.Slope, trend.Low, trend.High)
		} else {
			fmt.Fprint(t, "no data\t\t")
		}
		fmt.Fprintf(t, "%s\t\n", c.unit)
	}
	t.Flush()
	fmt.Fprintf(w, "daemon CPU time: %.1f µs per change; unhealthy in %d of the daemon's samples, at most %d in a row; all rows correct at the end\n\n",
		(r.After.CPU-r.Before.CPU).Seconds()*1e6/float64(max(r.Sent, 1)), r.Unhealthy, r.MostUnhealthy)
}

// writePlot writes the plot of the soak.
func (r *soakResult) writePlot(path string, o soakOptions) error {
	rss, goroutines, descriptors, p50, p99 := r.curves()
	title := fmt.Sprintf("portsyncd for %v: %d changes per second, %d restarts of redis-server, %d reloads",
		r.Took.Round(time.Second), o.Rate, r.Restarts, r.Reloads)
	return os.WriteFile(path, []byte(picture(title, []panel{
		{"Resident memory", "MiB", []curve{rss}},
		{"Goroutines and descriptors", "", []curve{goroutines, descriptors}},
		{"Event latency, from socket to acknowledgement", "µs", []curve{p50}},
		{"Event latency, p99 (peaks are restarts of redis-server)", "ms", []curve{p99}},
	}, r.Took)), 0o644)
}

// check returns an error if the kernel dropped messages or a measured value increased during the
// soak.
func (r *soakResult) check() error {
	var wrong []error
	if lost := r.After.Overruns - r.Before.Overruns; lost > 0 {
		wrong = append(wrong, fmt.Errorf("kernel dropped messages: %d overruns", lost))
	}
	rss, goroutines, descriptors, _, _ := r.curves()
	for _, limit := range []struct {
		curve
		most float64 // maximum growth from the first to the last quarter
	}{{rss, 2}, {goroutines, 8}, {descriptors, 8}} {
		n := len(limit.y)
		if n < 8 {
			continue
		}
		early, late := stats.Summarize(limit.y[n/4:n/2]).P50, stats.Summarize(limit.y[n-n/4:]).P50
		if late > early+limit.most {
			wrong = append(wrong, fmt.Errorf("measured value %s grew from %.1f to %.1f", limit.name, early, late))
		}
	}
	return errors.Join(wrong...)
}
