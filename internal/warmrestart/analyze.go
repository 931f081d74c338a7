package warmrestart

import (
	"cmp"
	"slices"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// AnalysisOptions holds the inputs of Analyze other than the history.
type AnalysisOptions struct {
	Now      time.Time    // current time
	Settings ReadSettings // settings for recommendations
}

// Analyze computes the figures of an Analysis with the formulas of package stats.
func Analyze(h *History, o AnalysisOptions) *Analysis {
	a := &Analysis{
		At: o.Now, Since: h.Since, Restarts: len(h.Restarts), Samples: h.SampleCount, Counters: h.Counters,
		Storms: allStorms(h), LinkDowns: mostDowns(h), Flapping: []PortDowns{},
	}
	for _, p := range a.LinkDowns {
		if p.Flapping() {
			a.Flapping = append(a.Flapping, p)
		}
	}
	a.observe(h)
	t := tally{
		corrupt: h.Counters.CorruptionsDetected, restored: h.Counters.CorruptionsRecovered,
		requests: h.failures.requests, failed: h.failures.failed,
	}
	a.starts(h.Restarts, &t)
	a.rate(&t)
	a.LatencyTrend = trendOf(hourly(h.moments), "seconds per day")
	a.findAnomalies(h)
	a.Recommendations = recommend(a, h, &o.Settings) // uses the figures above
	return a
}

// starts computes the figures that are based on the restart records, and adds the number of starts
// of each kind to t.
func (a *Analysis) starts(restarts []Restart, t *tally) {
	var withEvents, events uint64
	var sync, eoiu []float64
	var success, duration []stats.Point
	for i := range restarts {
		r := &restarts[i]
		if r.Kind == Warm {
			t.warm++
			y := 0.0
			if r.healthy() {
				t.recovered++
				y = 1
			}
			success = append(success, stats.Point{X: float64(t.warm), Y: y})
		}
		t.starts++
		if r.TimedOut {
			t.late++
		}
		if !r.Process.IsZero() {
			withEvents++
			events += min(r.Events, ^uint64(0)-events)
		}
		if r.EOIULatency > 0 {
			eoiu = append(eoiu, r.EOIULatency.Seconds())
		}
		sync = append(sync, r.Duration.Seconds())
		duration = append(duration, stats.Point{X: float64(i), Y: r.Duration.Seconds()})
		if r.healthy() {
			a.LastHealthyRestart = &r.At
		}
	}
	if n := len(restarts); n > 0 {
		healthy := restarts[n-1].healthy()
		a.Healthy = &healthy
	}
	if withEvents > 0 {
		mean := float64(events) / float64(withEvents)
		a.EventsPerRestart = &mean
	}
	a.Sync, a.EOIU = stats.Summarize(sync), stats.Summarize(eoiu)
	a.RecoveryTrend = trendOf(success, "share per warm start")
	a.SyncTrend = trendOf(duration, "seconds per start")
}

// healthy reports whether the initial dump completed in time.
func (r *Restart) healthy() bool { return r.EOIU && !r.TimedOut }

// observe computes Uptime from the times at which the daemon is known to have been running.
func (a *Analysis) observe(h *History) {
	var newest time.Time // start of the newest process
	see := func(at time.Time) {
		if a.First.IsZero() || at.Before(a.First) {
			a.First = at
		}
		if at.After(a.Last) {
			a.Last = at
		}
	}
	for i := range h.Restarts {
		r := &h.Restarts[i]
		newest = r.began()
		see(newest)
		see(r.At)
	}
	if n := len(h.Samples); n > 0 {
		see(h.first)
		see(h.Samples[n-1].Time)
		if p := h.Samples[n-1].Process; p.After(newest) {
			newest = p
		}
	}
	if a.First.IsZero() {
		return
	}
	a.Uptime.Observed = a.Last.Sub(a.First)
	if up := a.Last.Sub(newest); !newest.IsZero() && up >= 0 {
		a.Uptime.Process = &up
	}
	for i := range h.Restarts { // ordered by time, so that no two downtimes overlap
		a.Uptime.Down += a.downBefore(h, i)
	}
	if a.Uptime.Observed > 0 {
		share := max(0, 1-a.Uptime.Down.Seconds()/a.Uptime.Observed.Seconds())
		a.Uptime.Share = &share
	}
}

// downBefore returns the downtime before restart i: from the last time at which the previous
// process is known to have been running until the start of the new process. Such times come from
// the restart record itself, the end of the previous initial sync, and samples.
func (a *Analysis) downBefore(h *History, i int) time.Duration {
	r := &h.Restarts[i]
	began, alive := r.began(), a.First
	if r.LastAlive.After(alive) {
		alive = r.LastAlive
	}
	if i > 0 {
		if done := h.Restarts[i-1].At.Add(h.Restarts[i-1].Duration); done.After(alive) {
			alive = done
		}
	}
	n, _ := slices.BinarySearchFunc(h.moments, began.UnixNano(), func(m moment, at int64) int { return cmp.Compare(m.at, at) })
	if n > 0 {
		if sampled := time.Unix(0, h.moments[n-1].at); sampled.After(alive) {
			alive = sampled
		}
	}
	return max(0, began.Sub(alive))
}

// minForTrend is the minimum number of values for a trend. From this number on, the normal
// distribution approximates that of the Mann-Kendall statistic well (Gilbert).
const minForTrend = 10

func trendOf(points []stats.Point, unit string) *Trend {
	t := stats.TrendOf(points)
	if t == nil {
		return nil
	}
	trend := &Trend{Trend: *t, Unit: unit, Verdict: NoTrend}
	switch {
	case t.N < minForTrend:
		trend.Verdict = TooFew
	case t.P <= 0.05 && t.S > 0:
		trend.Verdict = Rising
	case t.P <= 0.05:
		trend.Verdict = Falling
	}
	return trend
}

// hourly returns one point for each hour: the time in days and the median of the p99 latencies in
// seconds. The trend test needs hourly values because it assumes independent values, while
// consecutive samples are correlated.
func hourly(moments []moment) (points []stats.Point) {
	const hour = int64(time.Hour)
	var values []float64
	for i, m := range moments {
		if m.p99 >= 0 {
			values = append(values, float64(m.p99)/1e9)
		}
		last := i == len(moments)-1 || moments[i+1].at/hour != m.at/hour
		if last && len(values) > 0 {
			slices.Sort(values)
			days := float64(m.at/hour-moments[0].at/hour) / 24
			points = append(points, stats.Point{X: days, Y: stats.Median(values)})
			values = values[:0]
		}
	}
	return points
}

// mostDowns returns the ports with the highest peak penalties, in descending order.
func mostDowns(h *History) []PortDowns {
	all := make([]PortDowns, 0, len(h.linkDowns))
	for _, f := range h.linkDowns {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b PortDowns) int {
		return cmp.Or(cmp.Compare(b.PeakPenalty, a.PeakPenalty), cmp.Compare(b.Downs, a.Downs), cmp.Compare(a.Port, b.Port))
	})
	return all[:min(len(all), MaxLinkDowns)]
}
