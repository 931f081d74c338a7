package statusview

import (
	"fmt"
	"strconv"

	"portsyncd/internal/warmrestart"
	"portsyncd/internal/warmrestart/stats"
)

// noData is printed in place of a figure that has no observations.
const noData = "no data"

// AppendText appends r to b as text for a terminal. Each figure is shown with its number of
// observations.
func (r *Report) AppendText(b []byte, t Terminal) []byte {
	p := newPrinter(t, b)
	r.printHead(p)
	if r.Analysis.Restarts == 0 && r.Analysis.Samples == 0 {
		return p.b
	}
	r.printUptime(p)
	p.end()
	r.printRates(p)
	p.end()
	r.printDurations(p)
	r.printTrends(p)
	r.printRestarts(p)
	r.printAnomalies(p)
	r.printStorms(p)
	r.printLinkDowns(p)
	r.printFlapMinutes(p)
	r.printRecommendations(p)
	return p.b
}

// printHead prints the source and period of the report, and any file problems.
func (r *Report) printHead(p *printer) {
	a := r.Analysis
	p.title("portsyncd report of " + p.visible(r.Storage))
	p.field("made", join(word{p.clock(r.Time) + " " + r.Time.In(p.Zone).Format("MST"), plain},
		word{"by portsyncd " + p.visible(r.Version), plain}, word{"on " + p.visible(r.Host), plain})...)
	if !a.Since.IsZero() {
		p.field("since", word{p.clock(a.Since), plain})
	}
	if a.Restarts == 0 && a.Samples == 0 {
		p.field("history", word{"none: no restart and no sample recorded", warn})
	} else {
		p.field("history", join(word{p.minute(a.First) + " to " + p.minute(a.Last), plain},
			word{age(a.Last.Sub(a.First)), plain},
			word{count(uint64(a.Restarts), "restart", "restarts"), plain},
			word{count(uint64(a.Samples), "sample", "samples"), plain})...)
	}
	for i, problem := range r.Problems {
		p.field([]string{"problems", ""}[min(i, 1)], word{p.visibleText(problem), warn})
	}
}

// printUptime prints the uptime and the counters, which cover the entire recorded history.
func (r *Report) printUptime(p *printer) {
	u, c := &r.Analysis.Uptime, &r.Analysis.Counters
	process := word{"process " + noData, plain}
	if u.Process != nil {
		process.text = "process up for " + age(*u.Process)
	}
	share := word{"share " + noData, plain}
	if u.Share != nil {
		share.text = fmt.Sprintf("up at least %s of %s, down at most %s", percent(*u.Share), age(u.Observed), age(u.Down))
	}
	p.field("uptime", join(process, share)...)
	p.field("total", join(word{grouped(c.WarmRestarts) + " warm", plain}, word{grouped(c.ColdStarts) + " cold", plain},
		word{grouped(c.EOIUDetected) + " dumps completed", plain},
		word{count(c.EOIUTimeouts, "timeout", "timeouts"), warnIf(c.EOIUTimeouts > 0)},
		word{count(c.CorruptionsDetected, "corrupt file", "corrupt files"), warnIf(c.CorruptionsDetected > 0)},
		word{count(c.StateRecoveries, "recovery", "recoveries") + " from a backup", plain})...)
	newest := word{noData, plain}
	if healthy := r.Analysis.Healthy; healthy != nil && *healthy {
		newest = word{"successful", good}
	} else if healthy != nil {
		newest = word{"not successful", bad}
	}
	last := word{}
	if at := r.Analysis.LastHealthyRestart; at != nil {
		last = word{"last success at " + p.minute(*at), plain}
	}
	p.field("latest", join(newest, last)...)
}

// few returns the word "few", which marks a figure that is based on few observations, or an empty
// word if yes is false.
func few(yes bool) word {
	if yes {
		return word{"few", warn}
	}
	return word{}
}

// printRates prints the table of rates with their Wilson confidence intervals.
func (r *Report) printRates(p *printer) {
	a := r.Analysis
	var rows [][]word
	add := func(name string, rate *stats.Rate) {
		if rate == nil {
			rows = append(rows, []word{{name, plain}, {noData, faint}, {}, {}, {}})
			return
		}
		rows = append(rows, []word{{name, plain}, {percent(rate.Value), strong},
			{grouped(rate.Count) + " of " + grouped(rate.Of), plain},
			{percent(rate.Low) + " to " + percent(rate.High), plain}, few(rate.Few)})
	}
	for i := range warmrestart.Rates {
		add(warmrestart.Rates[i].Name, warmrestart.Rates[i].In(a))
	}
	if a.EventsPerRestart != nil {
		rows = append(rows, []word{{"link messages per restart", plain}, {digits(*a.EventsPerRestart), strong}, {}, {}, {}})
	} else {
		rows = append(rows, []word{{"link messages per restart", plain}, {noData, faint}, {}, {}, {}})
	}
	p.table([]column{{"RATE", false}, {"VALUE", true}, {"COUNT", true}, {"95% INTERVAL", false}, {"", false}}, rows)
}

// printDurations prints the table of percentiles.
func (r *Report) printDurations(p *printer) {
	var rows [][]word
	add := func(name string, s *stats.Summary) {
		if s == nil {
			rows = append(rows, []word{{name, plain}, {}, {noData, faint}, {}, {}, {}, {}, {}, {}})
			return
		}
		row := []word{{name, plain}, {strconv.Itoa(s.N), plain}}
		for _, v := range []float64{s.Min, s.Mean, s.P50, s.P95, s.P99, s.Max} {
			row = append(row, word{p.duration(v), plain})
		}
		rows = append(rows, append(row, few(s.Few)))
	}
	add("initial sync", r.Analysis.Sync)
	add("initial dump (EOIU)", r.Analysis.EOIU)
	columns := []column{{"DURATION", false}, {"N", true}}
	for _, title := range []string{"MIN", "MEAN", "P50", "P95", "P99", "MAX"} {
		columns = append(columns, column{title, true})
	}
	p.table(append(columns, column{"", false}), rows)
}

// section starts a new section of the output: it prints an empty line and a heading.
func (p *printer) section(title string) {
	p.end()
	p.title(title)
}

// printTrends prints the trends with a sparkline for each series.
func (r *Report) printTrends(p *printer) {
	p.section("Trends (Mann-Kendall, slope by Theil-Sen)")
	var success, durations, latencies []float64
	for i := range r.Restarts {
		s := &r.Restarts[i]
		durations = append(durations, s.Duration.Seconds())
		if s.Kind == warmrestart.Warm {
			success = append(success, float64(bit(s.EOIU && !s.TimedOut)))
		}
	}
	for i := range r.Samples {
		if l := r.Samples[i].Latency; l != nil {
			latencies = append(latencies, float64(l.P99)/1e9)
		}
	}
	p.trend("recovery", r.Analysis.RecoveryTrend, success, percent)
	p.trend("sync", r.Analysis.SyncTrend, durations, p.duration)
	p.trend("latency", r.Analysis.LatencyTrend, latencies, p.duration)
}

// maxSpark is the maximum width of a sparkline.
const maxSpark = 60

// trend prints a line with the label, a sparkline of values, and a description of the trend t.
func (p *printer) trend(label string, t *warmrestart.Trend, values []float64, format func(float64) string) {
	if t == nil || len(values) == 0 {
		p.field(label, word{noData, faint})
		return
	}
	lo, hi := extent(values)
	p.word(word{label, faint})
	p.space(labelWidth - textWidth(label))
	line := p.spark(values, min(maxSpark, p.Width-labelWidth))
	p.b = append(p.b, line...)
	p.end()
	words := []word{{fmt.Sprintf("%s to %s,", format(lo), format(hi)), plain}}
	switch t.Verdict {
	case warmrestart.TooFew:
		words = append(words, word{fmt.Sprintf("%d values are too few for a trend", t.N), warn})
	case warmrestart.NoTrend:
		words = append(words, word{fmt.Sprintf("no trend in %d values (%s)", t.N, probability(t.P)), plain})
	default:
		words = append(words, word{p.visible(t.Verdict), strong},
			word{fmt.Sprintf("by %s %s (95%%: %s to %s; %s, %d values)", digits(t.Slope), p.visible(t.Unit),
				digits(t.Low), digits(t.High), probability(t.P), t.N), plain})
	}
	p.field("", words...)
}

// probability formats a p-value, such as "p = 0.050".
func probability(v float64) string {
	if v < 0.001 {
		return "p < 0.001"
	}
	return "p = " + strconv.FormatFloat(v, 'f', 3, 64)
}
