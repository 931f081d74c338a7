package statusview

import (
	"fmt"
	"io"
	"strings"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/internal/warmrestart/stats"
)

// WriteReportPage writes r to w as a self-contained HTML page without scripts. All text is escaped.
// It returns an error if writing to w fails.
func WriteReportPage(w io.Writer, r *Report) error {
	var page htmlWriter
	page.reportPage(newReportView(r))
	if _, err := w.Write(page.b); err != nil {
		return fmt.Errorf("write the report page: %w", err)
	}
	return nil
}

// reportView is the content of the report page.
type reportView struct {
	Host, Version, Storage string
	At, First, Last        moment
	Restarts, Samples      string
	Problems               []string

	Tiles  []tile
	Advice []warmrestart.Recommendation

	RestartPlot, LatencyPlot, EventPlot    markup
	SyncTrend, RecoveryTrend, LatencyTrend *trendView

	Percentiles []percentileRow
	Anomalies   []anomalyRow
	Unlisted    string // number of anomalies omitted from the list
	Storms      []stormRow
	LinkDowns   []downsRow
	FlapMinutes []flapMinuteRow
	Counters    []tile
	Rows        []restartRow
}

type trendView struct{ Direction, Tone, Text, Figures string }

type percentileRow struct {
	Name, N, Min, Mean, P50, P95, P99, Max string
	Few                                    bool
	Plot                                   markup
}

type anomalyRow struct {
	At                           moment
	Series, Value, Median, Score string
}

type stormRow struct {
	From, To moment
	Text     string
}

// downsRow is one port with link-down transitions.
type downsRow struct {
	Port, Downs, Penalty string
	Flapping             bool
	PeakAt, Last         moment
}

// flapMinuteRow is one minute with link-down transitions.
type flapMinuteRow struct {
	At           moment
	Flaps, Ports string
}

// maxRestartRows is the maximum number of restarts listed on the page.
const maxRestartRows = 200

// newReportView returns the content of r.
func newReportView(r *Report) *reportView {
	a, now := r.Analysis, r.Time
	v := &reportView{
		Host: visible(r.Host), Version: visible(r.Version), Storage: visible(r.Storage),
		At: momentOf(now, now), First: momentOf(a.First, now), Last: momentOf(a.Last, now),
		Restarts: count(uint64(a.Restarts), "restart", "restarts"), Samples: count(uint64(a.Samples), "sample", "samples"),
		Tiles: reportTiles(a, now), Counters: counterTiles(&a.Counters),
		RestartPlot: historyPlot(r), LatencyPlot: sampleLatencyPlot(r), EventPlot: sampleEventPlot(r),
		SyncTrend:     newTrendView(a.SyncTrend, "The initial sync", "is getting slower", "is getting faster"),
		RecoveryTrend: newTrendView(a.RecoveryTrend, "The success rate of warm starts", "is rising", "is falling"),
		LatencyTrend:  newTrendView(a.LatencyTrend, "The latency", "is rising", "is falling"),
		Rows:          restartRows(r.Restarts[max(0, len(r.Restarts)-maxRestartRows):], now),
	}
	if t := a.RecoveryTrend; v.RecoveryTrend != nil { // a rising success rate is good
		v.RecoveryTrend.Tone = map[string]string{warmrestart.Rising: "good", warmrestart.Falling: "warn"}[t.Verdict]
	}
	// Include the date because a report may be read on another day.
	v.At.Text = now.UTC().Format("2006-01-02 15:04:05")
	v.First.Text, v.Last.Text = a.First.UTC().Format("2006-01-02 15:04"), a.Last.UTC().Format("2006-01-02 15:04")
	for _, p := range r.Problems {
		v.Problems = append(v.Problems, visibleText(p))
	}
	for _, x := range a.Recommendations {
		v.Advice = append(v.Advice, warmrestart.Recommendation{Setting: visible(x.Setting), Text: visibleText(x.Text), Why: visibleText(x.Why)})
	}
	v.addPercentiles(a)
	for _, x := range a.Anomalies {
		v.Anomalies = append(v.Anomalies, anomalyRow{momentOf(x.At, now), visible(x.Series),
			inUnit(x.Series, x.Value), inUnit(x.Series, x.Median), digits(x.Score)})
	}
	if n := a.AnomaliesFound - len(a.Anomalies); n > 0 {
		v.Unlisted = grouped(n)
	}
	for _, x := range a.Storms {
		v.Storms = append(v.Storms, stormRow{momentOf(x.From, now), momentOf(x.To, now), visibleText(x.Text)})
	}
	for _, x := range a.LinkDowns {
		v.LinkDowns = append(v.LinkDowns, downsRow{visible(x.Port), grouped(x.Downs), digits(x.PeakPenalty), x.Flapping(), momentOf(x.PeakAt, now), momentOf(x.Last, now)})
	}
	for i := range r.FlapMinutes {
		m := &r.FlapMinutes[i]
		v.FlapMinutes = append(v.FlapMinutes, flapMinuteRow{momentOf(m.Time, now), grouped(m.Flaps), visible(m.portsText())})
	}
	return v
}

// addPercentiles adds the percentile summaries. Their plots share one axis.
func (v *reportView) addPercentiles(a *warmrestart.Analysis) {
	var ends []float64
	for _, s := range []*stats.Summary{a.Sync, a.EOIU} {
		if s != nil {
			ends = append(ends, s.Min, s.Max)
		}
	}
	x := secondsAxis(ends)
	add := func(name string, s *stats.Summary) {
		if s == nil {
			return
		}
		v.Percentiles = append(v.Percentiles, percentileRow{
			Name: name, N: grouped(s.N), Min: seconds(s.Min), Mean: seconds(s.Mean), P50: seconds(s.P50), P95: seconds(s.P95),
			P99: seconds(s.P99), Max: seconds(s.Max), Few: s.Few, Plot: stripPlot(name, x, s),
		})
	}
	add("Initial sync", a.Sync)
	add("Initial dump (EOIU)", a.EOIU)
}

// reportTiles returns the key figures shown at the top of the page.
func reportTiles(a *warmrestart.Analysis, now time.Time) []tile {
	var rates []tile
	for i := range warmrestart.Rates {
		d := &warmrestart.Rates[i]
		rates = append(rates, rateTile(strings.ToUpper(d.Name[:1])+d.Name[1:], d.In(a)))
	}
	tiles := []tile{
		{Name: "Link messages per restart", Value: "no data"},
		{Name: "Uptime", Value: "no data"},
		{Name: "Last healthy restart", Value: "no data"},
	}
	if a.EventsPerRestart != nil {
		tiles[0].Value, tiles[0].Note = digits(*a.EventsPerRestart), "mean"
	}
	if up := &a.Uptime; up.Share != nil && up.Observed >= time.Second {
		tiles[1].Value = percent(*up.Share)
		tiles[1].Note = "or more, of " + age(up.Observed) + "; down at most " + age(up.Down)
	}
	if last := a.LastHealthyRestart; last != nil {
		m := momentOf(*last, now)
		tiles[2].Value, tiles[2].Note = m.Ago+" ago", m.Text
	}
	if a.Healthy != nil && !*a.Healthy {
		tiles[2].Tone = "warn"
		tiles[2].Note += "; the latest restart was not healthy"
	}
	return append(rates, tiles...)
}

// rateTile returns a tile that shows the rate r and its confidence interval.
func rateTile(name string, r *stats.Rate) tile {
	if r == nil {
		return tile{Name: name, Value: "no data"}
	}
	note := fmt.Sprintf("%s of %s; 95%% interval %s to %s", grouped(r.Count), grouped(r.Of), percent(r.Low), percent(r.High))
	if r.Few {
		note += "; few observations"
	}
	return tile{Name: name, Value: percent(r.Value), Note: note}
}

// counterTiles returns tiles for the counters, which cover the entire recorded history.
func counterTiles(c *warmrestart.Counters) []tile {
	return []tile{
		{Name: "Warm starts", Value: grouped(c.WarmRestarts)},
		{Name: "Cold starts", Value: grouped(c.ColdStarts)},
		{Name: "Initial dumps completed", Value: grouped(c.EOIUDetected)},
		{Name: "Initial dumps timed out", Value: grouped(c.EOIUTimeouts)},
		{Name: "Recoveries from a backup", Value: grouped(c.StateRecoveries)},
		{Name: "Corrupt files", Value: grouped(c.CorruptionsDetected)},
	}
}

// newTrendView returns the view of trend t, or nil if t is nil. what is the name of the series;
// rising and falling are the predicates used to describe it.
func newTrendView(t *warmrestart.Trend, what, rising, falling string) *trendView {
	if t == nil {
		return nil
	}
	v := &trendView{Direction: "no trend", Text: what + " is neither rising nor falling."}
	switch t.Verdict {
	case warmrestart.Rising:
		v.Direction, v.Text, v.Tone = t.Verdict, what+" "+rising+".", "warn"
	case warmrestart.Falling:
		v.Direction, v.Text, v.Tone = t.Verdict, what+" "+falling+".", "good"
	case warmrestart.TooFew:
		v.Direction, v.Text = "too few", what+": "+count(uint64(t.N), "value is", "values are")+" too few for a trend."
	}
	slope, per := digits, visible(t.Unit)
	if rest, found := strings.CutPrefix(per, "seconds "); found {
		slope, per = seconds, rest
	}
	v.Figures = fmt.Sprintf("Slope %s %s, 95%% interval %s to %s (Theil-Sen); %s, n = %s (Mann-Kendall)",
		slope(t.Slope), per, slope(t.Low), slope(t.High), probability(t.P), grouped(t.N))
	return v
}

// inUnit formats the value v with the unit of the named series.
func inUnit(series string, v float64) string {
	if series == warmrestart.SeriesEvents {
		return digits(v) + " /s"
	}
	return seconds(v)
}
