package statusview

import (
	"fmt"
	"math"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// hourView is the content of the last hour.
type hourView struct {
	Events, Peak  string // total and maximum per minute
	Worst         string // largest p99 of a minute, "–" without writes
	Rate, Latency markup
	Minutes       []minuteRow // newest first
}

// minuteRow is a row of the per-minute table.
type minuteRow struct {
	At                            moment
	Events, Writes, P50, P99, Max string
}

// newHour returns the template data for the plots of the given minutes, which must be in
// chronological order.
func newHour(minutes []portsync.Minute, now time.Time) hourView {
	var v hourView
	var events, peak uint64
	var worst int64
	for i := len(minutes) - 1; i >= 0; i-- {
		m := &minutes[i]
		events += m.Events
		peak, worst = max(peak, m.Events), max(worst, m.P99)
		row := minuteRow{At: momentOf(m.From, now), Events: grouped(m.Events), Writes: grouped(m.Writes), P50: "–", P99: "–", Max: "–"}
		if m.P99 > 0 {
			row.P50, row.P99, row.Max = nanos(m.P50), nanos(m.P99), nanos(m.Max)
		}
		v.Minutes = append(v.Minutes, row)
	}
	v.Events, v.Peak, v.Worst = grouped(events), "busiest minute "+grouped(peak), "–"
	if worst > 0 {
		v.Worst = nanos(worst)
	}
	x := timeAxis(now.Add(-time.Hour), now)
	v.Rate = ratePlot(minutes, x, peak)
	v.Latency = latencyPlot(minutes, x, worst)
	return v
}

// ratePlot plots the number of link messages per minute.
func ratePlot(minutes []portsync.Minute, x axis, peak uint64) markup {
	d := newDrawing(x, linearAxis(0, max(4, float64(peak)), "per minute"))
	var total uint64
	for i := range minutes {
		m := &minutes[i]
		from := unix(m.From)
		total += m.Events
		d.bar("events", from+6, from+54, float64(m.Events))
		d.column(from, from+60, fmt.Sprintf("%s UTC: %s, %s",
			m.From.UTC().Format("15:04"), count(m.Events, "link message", "link messages"), count(m.Writes, "write", "writes")))
	}
	return d.svg(fmt.Sprintf("Link messages per minute in the last hour: total %s, maximum %s", grouped(total), grouped(peak)))
}

// latencyPlot plots the p50 and p99 latency of each minute.
func latencyPlot(minutes []portsync.Minute, x axis, worst int64) markup {
	var all []float64
	p50, p99 := make([]point, len(minutes)), make([]point, len(minutes))
	for i := range minutes {
		m := &minutes[i]
		at := unix(m.From) + 30
		p50[i], p99[i] = point{at, math.NaN()}, point{at, math.NaN()}
		if m.P99 > 0 {
			p50[i].y, p99[i].y = float64(m.P50)/1e9, float64(m.P99)/1e9
			all = append(all, p50[i].y, p99[i].y)
		}
	}
	d := newDrawing(x, secondsAxis(all))
	d.line("p99", p99)
	d.line("p50", p50)
	for i := range minutes {
		m := &minutes[i]
		if m.P99 > 0 {
			d.column(unix(m.From), unix(m.From)+60, fmt.Sprintf("%s UTC: p50 %s, p99 %s, maximum %s",
				m.From.UTC().Format("15:04"), nanos(m.P50), nanos(m.P99), nanos(m.Max)))
		}
	}
	label := "Latency per minute in the last hour: no writes"
	if worst > 0 {
		label = "Latency per minute in the last hour, p50 and p99: largest p99 " + nanos(worst)
	}
	return d.svg(label)
}

// restartPlot plots the initial sync duration of each restart. It returns "" if there are no
// restarts.
func restartPlot(restarts []warmrestart.Restart, now time.Time) markup {
	if len(restarts) == 0 {
		return ""
	}
	from := restarts[0].At
	durations := make([]float64, 0, len(restarts))
	for i := range restarts {
		if restarts[i].At.Before(from) {
			from = restarts[i].At
		}
		durations = append(durations, restarts[i].Duration.Seconds())
	}
	// Leave a margin on the left to keep the first restart off the axis.
	x := timeAxis(from.Add(-now.Sub(from)/50), now)
	d := newDrawing(x, secondsAxis(durations))
	for i := range restarts {
		d.stem(restartTone(&restarts[i]), point{unix(restarts[i].At), durations[i]})
	}
	for i := range restarts {
		r := &restarts[i]
		d.dot(restartTone(r), point{unix(r.At), durations[i]}, restartTooltip(r, now))
	}
	return d.svg(count(uint64(len(restarts)), "restart", "restarts") + ", duration of the initial sync over time")
}

// restartTooltip returns the tooltip of a restart in a plot that is shown at the time now.
func restartTooltip(r *warmrestart.Restart, now time.Time) string {
	text := fmt.Sprintf("%s UTC: %s start, initial sync %s", momentOf(r.At, now).Text, visible(r.Kind), seconds(r.Duration.Seconds()))
	if r.TimedOut {
		text += ", the dump timed out"
	}
	return text
}
