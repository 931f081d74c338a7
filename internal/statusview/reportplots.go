package statusview

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/internal/warmrestart/stats"
)

// historyPlot shows each restart with the duration of its initial sync, and the
// trend of that. It is empty without restarts.
func historyPlot(r *Report) template.HTML {
	if len(r.Restarts) == 0 {
		return ""
	}
	places := make([]point, len(r.Restarts))
	for i := range r.Restarts {
		places[i] = point{unix(r.Restarts[i].At), r.Restarts[i].Duration.Seconds()}
	}
	d := newDrawing(spanOf(places, r.Time), secondsAxis(heights(r, warmrestart.SeriesSync, places)))
	d.trend(places, r.Analysis.SyncTrend, perStart)
	for i, p := range places {
		d.stem(restartTone(&r.Restarts[i]), p)
	}
	for i, p := range places {
		x := &r.Restarts[i]
		d.dot(restartTone(x), p, fmt.Sprintf("%s UTC: %s start, %s", momentOf(x.At, r.Time).Text, visible(x.Kind), seconds(p.y)))
	}
	d.anomalies(r, warmrestart.SeriesSync)
	return d.svg(count(uint64(len(places)), "restart", "restarts") + " over time, with the duration of their initial sync")
}

// sampleLatencyPlot shows the p99 of each sample that has one.
func sampleLatencyPlot(r *Report) template.HTML {
	var places []point
	for i := range r.Samples {
		if l := r.Samples[i].Latency; l != nil {
			places = append(places, point{unix(r.Samples[i].Time), float64(l.P99) / 1e9})
		}
	}
	if len(places) == 0 {
		return ""
	}
	d := newDrawing(spanOf(places, r.Time), secondsAxis(heights(r, warmrestart.SeriesLatency, places)))
	d.line("fine", places)
	d.trend(places, r.Analysis.LatencyTrend, perDay)
	d.anomalies(r, warmrestart.SeriesLatency)
	return d.svg("99th percentile of the latency in each of " + count(uint64(len(places)), "sample", "samples"))
}

// sampleEventPlot shows the rate of events between samples of one process.
func sampleEventPlot(r *Report) template.HTML {
	var places []point
	most := 0.0
	for i := 1; i < len(r.Samples); i++ {
		a, b := &r.Samples[i-1], &r.Samples[i]
		passed := b.Time.Sub(a.Time).Seconds()
		p := point{unix(b.Time), math.NaN()}
		if a.Process.Equal(b.Process) && passed > 0 && b.Events >= a.Events {
			p.y = float64(b.Events-a.Events) / passed
			most = max(most, p.y)
		}
		places = append(places, p)
	}
	if !slices.ContainsFunc(places, func(p point) bool { return finite(p.y) }) {
		return ""
	}
	for _, v := range heights(r, warmrestart.SeriesEvents, nil) {
		most = max(most, v)
	}
	d := newDrawing(spanOf(places, r.Time), linearAxis(0, most, "a second"))
	d.line("fine", places)
	d.anomalies(r, warmrestart.SeriesEvents)
	return d.svg("Events a second between samples, at most " + digits(most))
}

// stripPlot shows a summary along an axis of time taken.
func stripPlot(name string, x axis, s *stats.Summary) template.HTML {
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

// trend draws the line of a trend through the points that it was made of, and
// what lies between the ends of its confidence interval, turned round the middle.
func (d *drawing) trend(points []point, t *warmrestart.Trend, abscissa func([]point, int) float64) {
	if t == nil || t.Verdict == warmrestart.TooFew || len(points) < 2 {
		return
	}
	at := func(i int) float64 { return abscissa(points, i) }
	above := make([]float64, len(points))
	for i, p := range points {
		above[i] = p.y - t.Slope*at(i)
	}
	// The median of what remains is the usual intercept of a Theil-Sen line
	// (Conover, "Practical Nonparametric Statistics", 1999, section 5.5).
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

// perStart and perDay are what slopes are per: the how manieth restart, and time.
func perStart(_ []point, i int) float64    { return float64(i) }
func perDay(points []point, i int) float64 { return (points[i].x - points[0].x) / day.Seconds() }

// anomalies marks those of a series.
func (d *drawing) anomalies(r *Report, series string) {
	for _, x := range r.Analysis.Anomalies {
		if x.Series == series {
			d.dot("odd", point{unix(x.At), x.Value}, fmt.Sprintf("%s UTC: %s, the median is %s",
				momentOf(x.At, r.Time).Text, inUnit(series, x.Value), inUnit(series, x.Median)))
		}
	}
}

// spanOf is a time axis that has room for points, and ends at now where they do
// not lie in the future.
func spanOf(points []point, now time.Time) axis {
	first, last := math.Inf(1), unix(now)
	for _, p := range points {
		first, last = min(first, p.x), max(last, p.x)
	}
	room := (last - first) / 50
	return timeAxis(fromUnix(first-room), fromUnix(last))
}

// heights are the values of points, and of the anomalies of the series: samples
// are thinned, anomalies are not.
func heights(r *Report, series string, points []point) (all []float64) {
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
