package statusview

import (
	"fmt"
	"math"
	"slices"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/internal/warmrestart/stats"
)

// historyPlot plots the initial sync duration of each restart and its trend. It returns "" if there
// are no restarts.
func historyPlot(r *Report) markup {
	if len(r.Restarts) == 0 {
		return ""
	}
	points := make([]point, len(r.Restarts))
	for i := range r.Restarts {
		points[i] = point{unix(r.Restarts[i].At), r.Restarts[i].Duration.Seconds()}
	}
	d := newDrawing(spanOf(points, r.Time), secondsAxis(ordinates(r, warmrestart.SeriesSync, points)))
	d.trend(points, r.Analysis.SyncTrend, perStart)
	for i, p := range points {
		d.stem(restartTone(&r.Restarts[i]), p)
	}
	for i, p := range points {
		x := &r.Restarts[i]
		d.dot(restartTone(x), p, restartTooltip(x, r.Time))
	}
	d.anomalies(r, warmrestart.SeriesSync)
	return d.svg(count(uint64(len(points)), "restart", "restarts") + ", duration of the initial sync over time")
}

// sampleLatencyPlot plots the p99 latency of each sample that contains one.
func sampleLatencyPlot(r *Report) markup {
	var points []point
	for i := range r.Samples {
		if l := r.Samples[i].Latency; l != nil {
			points = append(points, point{unix(r.Samples[i].Time), float64(l.P99) / 1e9})
		}
	}
	if len(points) == 0 {
		return ""
	}
	d := newDrawing(spanOf(points, r.Time), secondsAxis(ordinates(r, warmrestart.SeriesLatency, points)))
	d.line("fine", points)
	d.trend(points, r.Analysis.LatencyTrend, perDay)
	d.anomalies(r, warmrestart.SeriesLatency)
	return d.svg("99th percentile of the latency in each of " + count(uint64(len(points)), "sample", "samples"))
}

// sampleEventPlot plots the rate of link messages between consecutive samples of the same process.
func sampleEventPlot(r *Report) markup {
	var points []point
	highest := 0.0
	for i := 1; i < len(r.Samples); i++ {
		a, b := &r.Samples[i-1], &r.Samples[i]
		passed := b.Time.Sub(a.Time).Seconds()
		p := point{unix(b.Time), math.NaN()}
		if a.Process.Equal(b.Process) && passed > 0 && b.Events >= a.Events {
			p.y = float64(b.Events-a.Events) / passed
			highest = max(highest, p.y)
		}
		points = append(points, p)
	}
	if !slices.ContainsFunc(points, func(p point) bool { return finite(p.y) }) {
		return ""
	}
	for _, v := range ordinates(r, warmrestart.SeriesEvents, nil) {
		highest = max(highest, v)
	}
	d := newDrawing(spanOf(points, r.Time), linearAxis(0, highest, "per second"))
	d.line("fine", points)
	d.anomalies(r, warmrestart.SeriesEvents)
	return d.svg("Link messages per second between samples, maximum " + digits(highest))
}

// stripPlot plots summary s along duration axis x.
func stripPlot(name string, x axis, s *stats.Summary) markup {
	d := newDrawing(x, axis{lo: 0, hi: 1})
	d.area("range", []point{{s.Min, .35}, {s.Max, .35}, {s.Max, .65}, {s.Min, .65}})
	for _, q := range []struct {
		class string
		value float64
	}{{"p50", s.P50}, {"p95", s.P95}, {"p99", s.P99}} {
		d.line(q.class, []point{{q.value, .15}, {q.value, .85}})
	}
	return d.svg(fmt.Sprintf("%s: %s to %s, p50 %s, p95 %s, p99 %s", name, seconds(s.Min), seconds(s.Max), seconds(s.P50), seconds(s.P95), seconds(s.P99)))
}

// trend draws the trend line through points, and the area between the bounds of the slope's
// confidence interval, rotated about the midpoint.
func (d *drawing) trend(points []point, t *warmrestart.Trend, abscissa func([]point, int) float64) {
	if t == nil || t.Verdict == warmrestart.TooFew || len(points) < 2 {
		return
	}
	at := func(i int) float64 { return abscissa(points, i) }
	above := make([]float64, len(points))
	for i, p := range points {
		above[i] = p.y - t.Slope*at(i)
	}
	// The median of the residuals is the usual intercept of a Theil-Sen line (Conover, "Practical
	// Nonparametric Statistics", 1999, section 5.5).
	slices.Sort(above)
	base := above[len(above)/2]
	middle := at(len(points) / 2)
	along := func(slope float64) []point {
		line := make([]point, 0, len(points))
		for i, p := range points {
			line = append(line, point{p.x, base + t.Slope*middle + slope*(at(i)-middle)})
		}
		return line
	}
	low, high := along(t.Low), along(t.High)
	slices.Reverse(high)
	d.area("doubt", append(low, high...))
	d.line("trend", along(t.Slope))
}

// perStart and perDay return the x coordinate of point i in a plot: perStart returns the index of
// the restart, and perDay the time in days.
func perStart(_ []point, i int) float64    { return float64(i) }
func perDay(points []point, i int) float64 { return (points[i].x - points[0].x) / day.Seconds() }

// anomalies marks the anomalies of the named series in the plot.
func (d *drawing) anomalies(r *Report, series string) {
	for _, x := range r.Analysis.Anomalies {
		if x.Series == series {
			d.dot("odd", point{unix(x.At), x.Value}, fmt.Sprintf("%s UTC: %s, median %s",
				momentOf(x.At, r.Time).Text, inUnit(series, x.Value), inUnit(series, x.Median)))
		}
	}
}

// spanOf returns a time axis that covers points and ends at now, or later if a point is later than
// now.
func spanOf(points []point, now time.Time) axis {
	first, last := math.Inf(1), unix(now)
	for _, p := range points {
		first, last = min(first, p.x), max(last, p.x)
	}
	room := (last - first) / 50
	return timeAxis(fromUnix(first-room), fromUnix(last))
}

// ordinates returns the y values of points and of the anomalies in a series. Both are needed
// because samples are thinned, so an anomaly may not be among points.
func ordinates(r *Report, series string, points []point) (all []float64) {
	for _, p := range points {
		all = append(all, p.y)
	}
	for _, x := range r.Analysis.Anomalies {
		if x.Series == series {
			all = append(all, x.Value)
		}
	}
	return all
}
