package statusview

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/internal/warmrestart/stats"
)

// emptyReport returns the report of an empty storage directory.
func emptyReport() *Report {
	return &Report{Schema: ReportSchema, Time: midday, Version: "0.2.0", Host: "leaf1", Storage: "/var/lib/sonic/portsyncd/metrics",
		Analysis: &warmrestart.Analysis{At: midday}}
}

// eventfulReport returns a report with entries in every section.
func eventfulReport() *Report {
	r := emptyReport()
	r.Problems = []string{"history.jsonl: 3 lines skipped", "metrics.json was corrupt: \x1b[31m read from a backup"}
	for i := range 30 {
		at := *before(time.Duration(30-i) * 24 * time.Hour)
		s := warmrestart.Restart{At: at, Kind: warmrestart.Warm, Reason: "SONiC requested a warm restart", EOIU: true,
			Duration: time.Duration(10+i) * time.Millisecond, EOIULatency: time.Duration(5+i) * time.Millisecond, Events: uint64(i), Changed: i}
		if i == 7 {
			s.EOIU, s.TimedOut, s.EOIULatency, s.Duration = false, true, 0, 10*time.Second
		}
		if i == 29 {
			s.RecoveredFrom = "port_state.json.backup-\u202e000012"
		}
		r.Restarts = append(r.Restarts, s)
		r.Samples = append(r.Samples, warmrestart.Sample{Time: at, Latency: &warmrestart.Latency{P99: int64(1000 * (i%7 + 1))}})
	}
	yes, healthy := 0.9998, true
	r.Analysis = &warmrestart.Analysis{
		At: midday, Since: *before(40 * 24 * time.Hour), First: r.Restarts[0].At, Last: midday, Restarts: 30, Samples: 8640,
		Counters:         warmrestart.Counters{WarmRestarts: 40, ColdStarts: 2, EOIUDetected: 41, EOIUTimeouts: 1, StateRecoveries: 1, CorruptionsDetected: 1},
		Recovery:         stats.RateOf(29, 30),
		Corruption:       stats.RateOf(1, 1),
		EventsPerRestart: new(14.5),
		Uptime: warmrestart.Uptime{Process: new(26 * time.Hour), Observed: 30 * 24 * time.Hour, Down: 8*time.Minute + 38*time.Second,
			Share: &yes},
		LastHealthyRestart: before(24 * time.Hour), Healthy: &healthy,
		Sync:          &stats.Summary{N: 30, Min: 0.010, Max: 10, Mean: 0.357, P50: 0.025, P95: 0.039, P99: 10},
		RecoveryTrend: &warmrestart.Trend{Trend: stats.Trend{N: 30, P: 0.75}, Unit: "per restart", Verdict: "none"},
		SyncTrend:     &warmrestart.Trend{Trend: stats.Trend{N: 30, P: 0.0000012, Slope: 0.001, Low: 0.0009, High: 0.0011}, Unit: "s per restart", Verdict: "rising"},
		LatencyTrend:  &warmrestart.Trend{Trend: stats.Trend{N: 3, P: 1}, Verdict: "few"},
		Anomalies: []warmrestart.Anomaly{
			{At: r.Restarts[7].At, Series: "sync_duration_seconds", Value: 10, Median: 0.025, Score: 674.5},
			{At: r.Restarts[8].At, Series: "events_per_second", Value: 1234.5, Median: 2, Score: 4.2}},
		Storms: []warmrestart.Storm{{Kind: "restarts", From: r.Restarts[3].At, To: r.Restarts[3].At.Add(10 * time.Minute), Count: 4, Limit: 3,
			Text: "4 starts in 10m0s: after 3 in 20 minutes SONiC leaves the service down"}},
		Recommendations: []warmrestart.Recommendation{
			{Setting: "warm_restart.eoiu_timeout_secs", Text: "set it to 2", Why: "the dump ended within 34 ms in 99% of 29 starts, and the limit is 10 s"},
			{Text: "check the cable of Ethernet\x1b[2J", Why: "it went down 1,234 times"}},
	}
	for i, name := range hostileNames {
		r.Analysis.LinkDowns = append(r.Analysis.LinkDowns, warmrestart.PortDowns{Port: name, Downs: uint64(1000 - i), PeakPenalty: 12000, PeakAt: midday, Last: midday})
	}
	return r
}

// TestReportText compares the text of reports with golden files.
func TestReportText(t *testing.T) {
	for _, width := range []int{80, 120, 200} {
		golden(t, fmt.Sprintf("report-%d.txt", width), eventfulReport().AppendText(nil, Terminal{Width: width}))
	}
	golden(t, "report-ascii.txt", eventfulReport().AppendText(nil, Terminal{ASCII: true}))
	golden(t, "report-nothing.txt", emptyReport().AppendText(nil, Terminal{}))
}

// TestReportFits checks that no line exceeds the width, that no control characters are printed, and
// that long lists are limited.
func TestReportFits(t *testing.T) {
	bare := emptyReport() // with one sample only
	bare.Analysis.Samples, bare.Samples = 1, []warmrestart.Sample{{}}
	many := eventfulReport()
	for i := range 1000 {
		many.Restarts = append(many.Restarts, many.Restarts[i])
		many.Analysis.Anomalies = append(many.Analysis.Anomalies, many.Analysis.Anomalies[i%2])
		many.Analysis.LinkDowns = append(many.Analysis.LinkDowns, many.Analysis.LinkDowns[i])
		many.Analysis.Storms = append(many.Analysis.Storms, many.Analysis.Storms[0])
	}
	for _, r := range []*Report{emptyReport(), bare, eventfulReport(), many} {
		for _, width := range []int{1, 40, 53, 80, 120, 200} {
			for _, term := range []Terminal{{Width: width}, {Width: width, Color: true}, {Width: width, ASCII: true}} {
				text := r.AppendText(nil, term)
				if wrong := checkText(text, term); wrong != "" {
					t.Errorf("%+v: %s", term, wrong)
				}
				if n := strings.Count(string(text), "\n"); n > 400 {
					t.Errorf("%+v: %d lines, want at most 400", term, n)
				}
			}
		}
	}
}

// TestNoData checks that figures without observations are shown as "no data" and not as 0 or 100%.
func TestNoData(t *testing.T) {
	r := emptyReport()
	r.Analysis.Restarts = 1
	text := string(r.AppendText(nil, Terminal{}))
	if n := strings.Count(text, noData); n != 13 {
		t.Errorf("%d times %q, want 13, in\n%s", n, noData, text)
	}
	if strings.Contains(text, "%") && strings.Contains(strings.ReplaceAll(text, "95%", ""), "%") {
		t.Errorf("a percentage without observations in\n%s", text)
	}
}

// TestSpark checks levels, peaks and gaps of sparklines.
func TestSpark(t *testing.T) {
	p, ascii := newPrinter(Terminal{}, nil), newPrinter(Terminal{ASCII: true}, nil)
	f := func(want string, width int, values ...float64) {
		t.Helper()
		if got := p.spark(values, width); got != want {
			t.Errorf("spark(%v, %d) = %q, want %q", values, width, got, want)
		}
	}
	f("", 10)
	f("▁▂▃▄▅▆▇█", 10, 0, 1, 2, 3, 4, 5, 6, 7)
	f("▁▁▁", 10, 5, 5, 5)
	f("█▁", 2, 9, 0, 0, 1)        // the peak of each half
	f("▁ █", 3, 1, math.NaN(), 2) // NaN leaves a gap
	f("▁█", 2, -math.MaxFloat64, math.MaxFloat64)
	f("  ", 2, math.Inf(1), math.NaN())
	if got := ascii.spark([]float64{0, 1, 2, 3, 4, 5, 6, 7}, 8); got != "_.-~=+*#" {
		t.Errorf("spark in ASCII = %q", got)
	}
}
