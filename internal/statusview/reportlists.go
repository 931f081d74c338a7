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

// maxListed is the maximum number of rows in a table of the report.
const maxListed = 20

// newest prints title as the heading of a table. It returns the last maxListed elements of all,
// which the table must show.
func newest[T any](p *printer, title string, all []T) []T {
	if len(all) > maxListed {
		title += fmt.Sprintf(", the last %d of %s", maxListed, grouped(len(all)))
	}
	p.section(title)
	return all[max(0, len(all)-maxListed):]
}

// printRestarts prints the table of restarts.
func (r *Report) printRestarts(p *printer) {
	if len(r.Restarts) == 0 {
		return
	}
	var rows [][]word
	for _, s := range newest(p, "Restarts", r.Restarts) {
		dump := word{"timed out", bad}
		switch {
		case s.EOIU && !s.TimedOut:
			dump = word{orDash(p.durationOrNone(s.EOIULatency)), plain}
		case !s.TimedOut:
			dump = word{"not completed", warn}
		}
		note := p.visibleText(s.Reason)
		if s.RecoveredFrom != "" {
			note += ", recovered from " + p.visible(s.RecoveredFrom)
		}
		rows = append(rows, []word{{p.minute(s.At), plain}, {p.visible(s.Kind), plain}, {p.duration(s.Duration.Seconds()), plain},
			dump, {grouped(s.Events), plain}, {strconv.Itoa(s.Changed + s.Deleted), plain}, {note, plain}})
	}
	p.table([]column{{"AT", false}, {"KIND", false}, {"SYNC", true}, {"EOIU", true}, {"MESSAGES", true}, {"CHANGED", true}, {"REASON", false}}, rows)
}

// durationOrNone formats d. It returns "" if d was not recorded.
func (p *printer) durationOrNone(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return p.duration(d.Seconds())
}

// printAnomalies prints the table of anomalies. If there are more than maxListed, it prints those
// with the highest scores.
func (r *Report) printAnomalies(p *printer) {
	all := r.Analysis.Anomalies
	if len(all) == 0 {
		p.section("No anomalies (modified z-score)")
		return
	}
	title := "Anomalies (modified z-score)"
	if len(all) > maxListed {
		title += fmt.Sprintf(", the %d highest of %s", maxListed, grouped(r.Analysis.AnomaliesFound))
		all = slices.Clone(all)
		slices.SortStableFunc(all, func(a, b warmrestart.Anomaly) int { return cmp.Compare(b.Score, a.Score) })
		all = all[:maxListed]
		slices.SortStableFunc(all, func(a, b warmrestart.Anomaly) int { return a.At.Compare(b.At) })
	}
	p.section(title)
	var rows [][]word
	for _, a := range all {
		value := digits
		if strings.HasSuffix(a.Series, "_seconds") {
			value = p.duration
		}
		rows = append(rows, []word{{p.minute(a.At), plain}, {p.visible(a.Series), plain}, {value(a.Value), strong},
			{value(a.Median), plain}, {digits(a.Score), plain}, {}})
	}
	p.table([]column{{"AT", false}, {"SERIES", false}, {"VALUE", true}, {"MEDIAN", true}, {"SCORE", true}, {"", false}}, rows)
}

// printStorms prints the restart storms and bursts of link messages.
func (r *Report) printStorms(p *printer) {
	if len(r.Analysis.Storms) == 0 {
		p.section("No storms of restarts or link messages")
		return
	}
	for _, s := range newest(p, "Storms", r.Analysis.Storms) {
		p.flow(0, []word{{p.minute(s.From) + " to " + p.minute(s.To) + ":", strong}, {p.visibleText(s.Text), plain}})
		p.end()
	}
}

// printLinkDowns prints the table of ports that had link-down transitions.
func (r *Report) printLinkDowns(p *printer) {
	all := r.Analysis.LinkDowns
	if len(all) == 0 {
		p.section("No link-down transitions")
		return
	}
	title := "Ports with link-down transitions counted by the kernel"
	if len(all) > maxListed {
		title += fmt.Sprintf(", the first %d of %s", maxListed, grouped(len(all)))
	}
	p.section(title)
	var rows [][]word
	for _, f := range all[:min(len(all), maxListed)] {
		rows = append(rows, []word{{p.visible(f.Port), plain}, {grouped(f.Downs), strong},
			{strconv.FormatFloat(f.PeakPenalty, 'f', 0, 64), plain}, {p.minute(f.PeakAt), plain}, {p.minute(f.Last), plain},
			{map[bool]string{true: "flapping"}[f.Flapping()], warn}})
	}
	p.table([]column{{"PORT", false}, {"DOWNS", true}, {"PEAK PENALTY", true}, {"AT", false}, {"LAST", false}, {"", false}}, rows)
}

// printFlapMinutes prints the minutes with the most link-down transitions. It prints nothing if
// there were none.
func (r *Report) printFlapMinutes(p *printer) {
	if len(r.FlapMinutes) == 0 {
		return
	}
	p.section("Minutes with the most link-down transitions")
	for i := range r.FlapMinutes[:min(len(r.FlapMinutes), maxListed)] {
		m := &r.FlapMinutes[i]
		p.flow(0, []word{{p.minute(m.Time) + ":", plain}, {grouped(m.Flaps), strong}, {p.visible(m.portsText()), plain}})
		p.end()
	}
}

// printRecommendations prints the recommendations with their reasons.
func (r *Report) printRecommendations(p *printer) {
	all := r.Analysis.Recommendations
	if len(all) == 0 {
		p.section("No recommendations")
		return
	}
	p.section("Recommendations")
	for i, c := range all {
		number := strconv.Itoa(i+1) + "."
		p.word(word{number, faint})
		p.space(4 - textWidth(number))
		words := []word{{p.visibleText(c.Text), plain}}
		if c.Setting != "" {
			words = append([]word{{p.visible(c.Setting) + ":", strong}}, words...)
		}
		p.flow(4, words)
		p.end()
		p.space(4)
		p.flow(4, []word{{"reason: " + p.visibleText(c.Why), faint}})
		p.end()
	}
}
