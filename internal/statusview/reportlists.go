package statusview

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"portsyncd/internal/warmrestart"
)

// mostListed is how many rows a table of the report has at most.
const mostListed = 20

// newest returns the last of all, as many as a table has, and prints how many
// there are.
func newest[T any](p *printer, title string, all []T) []T {
	if len(all) > mostListed {
		title += fmt.Sprintf(", the last %d of %s", mostListed, grouped(len(all)))
	}
	p.section(title)
	return all[max(0, len(all)-mostListed):]
}

func (r *Report) printRestarts(p *printer) {
	if len(r.Restarts) == 0 {
		return
	}
	var rows [][]word
	for _, s := range newest(p, "Restarts", r.Restarts) {
		dump := word{"timed out", bad}
		switch {
		case s.EOIU && !s.TimedOut:
			dump = word{orDash(p.lastingOrNone(s.EOIULatency)), plain}
		case !s.TimedOut:
			dump = word{"not read", warn}
		}
		note := p.visible(s.Reason)
		if s.RecoveredFrom != "" {
			note += ", recovered from " + p.visible(s.RecoveredFrom)
		}
		rows = append(rows, []word{{p.minute(s.At), plain}, {p.visible(s.Kind), plain}, {p.lasting(s.Duration.Seconds()), plain},
			dump, {grouped(s.Events), plain}, {strconv.Itoa(s.Changed + s.Deleted), plain}, {note, plain}})
	}
	p.table([]column{{"AT", false}, {"KIND", false}, {"SYNC", true}, {"EOIU", true}, {"EVENTS", true}, {"CHANGED", true}, {"REASON", false}}, rows)
}

// lastingOrNone is "" for a time that was not recorded.
func (p *printer) lastingOrNone(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return p.lasting(d.Seconds())
}

func (r *Report) printAnomalies(p *printer) {
	all := r.Analysis.Anomalies
	if len(all) == 0 {
		p.section("No anomalies (modified z-score)")
		return
	}
	title := "Anomalies (modified z-score)"
	if len(all) > mostListed {
		title += fmt.Sprintf(", the %d highest of %s", mostListed, grouped(r.Analysis.AnomaliesFound))
		all = slices.Clone(all)
		slices.SortStableFunc(all, func(a, b warmrestart.Anomaly) int { return cmp.Compare(b.Score, a.Score) })
		all = all[:mostListed]
		slices.SortStableFunc(all, func(a, b warmrestart.Anomaly) int { return a.At.Compare(b.At) })
	}
	p.section(title)
	var rows [][]word
	for _, a := range all {
		value := digits
		if strings.HasSuffix(a.Series, "_seconds") {
			value = p.lasting
		}
		rows = append(rows, []word{{p.minute(a.At), plain}, {p.visible(a.Series), plain}, {value(a.Value), strong},
			{value(a.Median), plain}, {digits(a.Score), plain}, {}})
	}
	p.table([]column{{"AT", false}, {"SERIES", false}, {"VALUE", true}, {"MEDIAN", true}, {"SCORE", true}, {"", false}}, rows)
}

func (r *Report) printStorms(p *printer) {
	if len(r.Analysis.Storms) == 0 {
		p.section("No storms of restarts or events")
		return
	}
	for _, s := range newest(p, "Storms", r.Analysis.Storms) {
		p.flow(0, []word{{p.minute(s.From) + " to " + p.minute(s.To) + ":", strong}, {p.visible(s.Text), plain}})
		p.end()
	}
}

func (r *Report) printFlapping(p *printer) {
	all := r.Analysis.Flapping
	if len(all) == 0 {
		p.section("No link went down")
		return
	}
	title := "Ports whose link went down"
	if len(all) > mostListed {
		title += fmt.Sprintf(", the worst %d of %s", mostListed, grouped(len(all)))
	}
	p.section(title)
	var rows [][]word
	for _, f := range all[:min(len(all), mostListed)] {
		rows = append(rows, []word{{p.visible(f.Port), plain}, {grouped(f.Downs), strong},
			{strconv.FormatFloat(f.PeakPenalty, 'f', 0, 64), plain}, {p.minute(f.PeakAt), plain}, {p.minute(f.Last), plain}})
	}
	p.table([]column{{"PORT", false}, {"DOWNS", true}, {"PEAK PENALTY", true}, {"AT", false}, {"LAST", false}}, rows)
}

func (r *Report) printRecommendations(p *printer) {
	all := r.Analysis.Recommendations
	if len(all) == 0 {
		p.section("Nothing to recommend")
		return
	}
	p.section("Recommendations")
	for i, c := range all {
		number := strconv.Itoa(i+1) + "."
		p.word(word{number, faint})
		p.space(4 - textWidth(number))
		words := []word{{p.visible(c.Text), plain}}
		if c.Setting != "" {
			words = append([]word{{p.visible(c.Setting) + ":", strong}}, words...)
		}
		p.flow(4, words)
		p.end()
		p.space(4)
		p.flow(4, []word{{"why: " + p.visible(c.Why), faint}})
		p.end()
	}
}
