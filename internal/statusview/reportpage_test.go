package statusview

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/internal/warmrestart/stats"
)

// monthReport returns a report of 30 days with a rising duration of the initial sync.
func monthReport() *Report {
	random := rand.New(rand.NewPCG(2, 3))
	const days = 30
	r := &Report{
		Schema: ReportSchema, Time: noon, Version: "0.2.0", Host: "leaf-14", Storage: "/var/warmboot/portsyncd/metrics",
		Problems: []string{"history.jsonl:4711: torn line skipped"},
		Analysis: &warmrestart.Analysis{
			At: noon, First: ago(days * day), Last: ago(5 * time.Minute), Restarts: 24, Samples: 8640,
			AnomaliesFound: 8,
			Counters:       warmrestart.Counters{WarmRestarts: 31, ColdStarts: 4, EOIUDetected: 33, EOIUTimeouts: 2, StateRecoveries: 1, CorruptionsDetected: 1},
			Recovery:       &stats.Rate{Count: 20, Of: 22, Value: 20. / 22, Low: .7218, High: .9747, Few: true},
			Corruption:     &stats.Rate{Count: 1, Of: 1, Value: 1, Low: .2065, High: 1, Few: true},
			Timeouts:       &stats.Rate{Count: 2, Of: 24, Value: 2. / 24, Low: .0232, High: .2585, Few: true},
			Failures:       &stats.Rate{Count: 3, Of: 81234, Value: 3. / 81234, Low: .0000126, High: .000109},
			Uptime:         warmrestart.Uptime{Observed: days * day, Down: 93 * time.Second, Share: new(1 - 93/(30*86400.))},
			Healthy:        new(true), LastHealthyRestart: at(ago(26 * time.Hour)), EventsPerRestart: new(412.25),
			Sync:         &stats.Summary{N: 24, Min: .021, Max: 10, Mean: .91, P50: .058, P95: .14, P99: 10, Few: true},
			EOIU:         &stats.Summary{N: 22, Min: .006, Max: .031, Mean: .0112, P50: .0104, P95: .022, P99: .031, Few: true},
			SyncTrend:    &warmrestart.Trend{Trend: stats.Trend{N: 24, S: 132, P: .0011, Slope: .0021, Low: .0009, High: .0034}, Unit: "seconds per start", Verdict: warmrestart.Rising},
			LatencyTrend: &warmrestart.Trend{Trend: stats.Trend{N: 8640, S: 1200, P: .61, Slope: 1e-9, Low: -4e-9, High: 5e-9}, Unit: "seconds per day", Verdict: warmrestart.NoTrend},
			Storms:       []warmrestart.Storm{{Kind: "restarts", From: ago(9 * day), To: ago(9*day - 8*time.Second), Count: 5, Limit: 5, Text: "5 starts within 8 s: portsyncd.service allows 5 in 10 s"}},
			LinkDowns: []warmrestart.PortDowns{
				{Port: "Ethernet80", Downs: 1411, PeakPenalty: 11_204, PeakAt: ago(50 * time.Hour), Last: ago(49 * time.Hour)},
				{Port: "Ethernet12", Downs: 31, PeakPenalty: 2_104, PeakAt: ago(500 * time.Hour), Last: ago(3 * time.Hour)},
			},
			Recommendations: []warmrestart.Recommendation{
				{Setting: "warm_restart.eoiu_timeout_secs", Text: "Set it to 1", Why: "the 99th percentile of 22 dumps was 31 ms, the limit is 10 s, and two dumps were waited for in vain"},
				{Text: "Look at the cable of Ethernet80", Why: "it lost its carrier 1,411 times; its penalty reached 11,204, above 2,000 counts as flapping"},
			},
		},
	}
	for i := range 24 {
		x := warmrestart.Restart{At: ago(time.Duration(24-i) * 30 * time.Hour), Kind: warmrestart.Warm, EOIU: true, Compared: 32, Changed: random.IntN(4),
			Reason: "only portsyncd was restarted; its saved state is used", Duration: time.Duration((30e6 + 2.1e6*float64(i)) * (0.8 + 0.4*random.ExpFloat64())), EOIULatency: 9 * time.Millisecond}
		switch i {
		case 3, 17:
			x.Kind, x.Reason = warmrestart.Cold, "SONiC did not request a warm restart"
		case 5:
			x.TimedOut, x.EOIU, x.Duration, x.EOIULatency = true, false, 10*time.Second, 0
			r.Analysis.Anomalies = append(r.Analysis.Anomalies, warmrestart.Anomaly{At: x.At, Series: warmrestart.SeriesSync, Value: 10, Median: .058, Score: 214})
		}
		r.Restarts = append(r.Restarts, x)
	}
	events := uint64(0)
	for i := range maxReportSamples {
		s := warmrestart.Sample{Time: ago(time.Duration(maxReportSamples-i) * days * day / maxReportSamples), Process: ago(days * day)}
		n := random.ExpFloat64() * 3000
		p99 := 2e6 * (0.6 + random.ExpFloat64()*.4)
		switch {
		case i == 1400:
			n, p99 = 190_000, 4.1e8
			r.Analysis.Anomalies = append(r.Analysis.Anomalies,
				warmrestart.Anomaly{At: s.Time, Series: warmrestart.SeriesLatency, Value: .41, Median: .002, Score: 310},
				warmrestart.Anomaly{At: s.Time, Series: warmrestart.SeriesEvents, Value: 190_000 / 1296., Median: 2.3, Score: 92})
		case i > 1600:
			s.Process = ago(6 * day)
		}
		if i == 1601 {
			events = 0
		}
		events += uint64(n)
		s.Events = events
		s.Latency = &warmrestart.Latency{Count: 100, Kept: 100, P50: 400_000, P99: int64(p99)}
		r.Samples = append(r.Samples, s)
	}
	return r
}

// readReport renders the page of r, checks it with checkHTML and returns it.
func readReport(t *testing.T, r *Report) *document {
	t.Helper()
	var b bytes.Buffer
	if err := WriteReportPage(&b, r); err != nil {
		t.Fatal(err)
	}
	d, err := checkHTML(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestReportPageShows checks that the page has the values of a report.
func TestReportPageShows(t *testing.T) {
	d := readReport(t, monthReport())
	text := strings.Join(strings.Fields(d.text), " ")
	for _, want := range []string{
		"leaf-14", "portsyncd 0.2.0 · from /var/warmboot/portsyncd/metrics", "24 restarts and 8,640 samples, 2026-02-12 12:00 to 2026-03-14 11:55",
		"history.jsonl:4711: torn line skipped",
		"Warm starts that succeeded 90.9% 20 of 22; 95% interval 72.2% to 97.5%; few observations", "Uptime 99.996% or more, of 30d; down at most 1m 33s",
		"Link messages per restart 412", "Last healthy restart 1d 2h ago",
		"Set it to 1 warm_restart.eoiu_timeout_secs the 99th percentile of 22 dumps was 31 ms",
		"rising The initial sync is getting slower. Slope 2.1 ms per start, 95% interval 900 µs to 3.4 ms (Theil-Sen); p = 0.001, n = 24 (Mann-Kendall)",
		"no trend The latency is neither rising nor falling. Slope 1 ns per day",
		"Initial sync 24 21 ms 910 ms 58 ms 140 ms 10 s 10 s", "few values: high percentiles are unreliable",
		"sync_duration_seconds 10 s 58 ms 214", "events_per_second 147 /s 2.3 /s 92", "5 more have lower scores",
		"5 starts within 8 s: portsyncd.service allows 5 in 10 s", "Ethernet80 flapping 1,411 11,204", "Initial dumps timed out 2",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	for tag, want := range map[string]int{
		"circle class=dot warm cx cy r": 21, "circle class=dot cold cx cy r": 2, "circle class=dot late cx cy r": 1, "circle class=dot odd cx cy r": 3,
		"path class=line trend d": 2, "path class=area doubt d": 2, "svg class=plot role aria-label": 5,
	} {
		if got := countOf(d.tags, tag); got != want {
			t.Errorf("%d elements <%s>, want %d", got, tag, want)
		}
	}
}

// TestReportPagePolicy checks that the page needs no other files and that its policy allows its
// style only.
func TestReportPagePolicy(t *testing.T) {
	var b bytes.Buffer
	if err := WriteReportPage(&b, monthReport()); err != nil {
		t.Fatal(err)
	}
	d := readReport(t, monthReport())
	if len(d.raw["script"]) != 0 || len(d.raw["style"]) != 1 {
		t.Fatalf("%d scripts and %d styles, want 0 and 1", len(d.raw["script"]), len(d.raw["style"]))
	}
	policy := strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(b.String())
	if !strings.Contains(policy, `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src `+hashSource(d.raw["style"][0])+`;`) {
		t.Error("the page has no policy that allows its style")
	}
	checkContained(t, d, "#", "data:,")
}

// TestReportPageWithoutData checks that figures without observations are shown as "no data".
func TestReportPageWithoutData(t *testing.T) {
	d := readReport(t, &Report{Time: noon, Analysis: &warmrestart.Analysis{}})
	if n := strings.Count(d.text, noData); n != 7 {
		t.Errorf("%d times %q, want 7", n, noData)
	}
	for _, want := range []string{"No restart is recorded", "No sample has a latency", "No anomalies", "No link-down transitions", "No recommendations"} {
		if !strings.Contains(d.text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

// TestReportPageOfAnything checks that the page is well-formed with any number and time, and that
// foreign text does not change its elements and links.
func TestReportPageOfAnything(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 7))
	values := []float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324}
	for range 20 {
		n := int64(random.Uint64() >> random.IntN(64))
		v := values[random.IntN(len(values))]
		harmless := readReport(t, foreignReport("x", n, v))
		for _, text := range hostileNames {
			d := readReport(t, foreignReport(text, n, v))
			if !slices.Equal(d.tags, harmless.tags) || !slices.Equal(d.links, harmless.links) {
				t.Errorf("%q changes the elements or links of the page", text)
			}
			if !strings.Contains(d.text, visible(text)) {
				t.Errorf("the page does not show %q", text)
			}
		}
	}
}

// foreignReport returns a report with text in all text fields, and with n and v in all numbers and
// times.
func foreignReport(text string, n int64, v float64) *Report {
	when := time.Unix(n, n)
	rate := &stats.Rate{Count: uint64(n), Of: uint64(n), Value: v, Low: v, High: v}
	summary := &stats.Summary{N: int(n), Min: v, Max: v, Mean: v, P50: v, P95: v, P99: v}
	trend := &warmrestart.Trend{Trend: stats.Trend{N: int(n), P: v, Slope: v, Low: v, High: -v}, Unit: text, Verdict: "odd " + text}
	r := &Report{Time: noon, Version: text, Host: text, Storage: text, Problems: []string{text}, Analysis: &warmrestart.Analysis{
		First: when, Last: when, Restarts: int(n), Counters: warmrestart.Counters{WarmRestarts: uint64(n)},
		Recovery: rate, Corruption: rate, Timeouts: rate, Failures: rate, EventsPerRestart: &v, LastHealthyRestart: &when,
		Uptime: warmrestart.Uptime{Observed: time.Duration(n), Down: time.Duration(-n), Share: &v},
		Sync:   summary, EOIU: summary, RecoveryTrend: trend, SyncTrend: trend, LatencyTrend: trend,
		Anomalies: []warmrestart.Anomaly{{At: when, Series: text, Value: v}, {At: when, Series: warmrestart.SeriesSync, Value: v},
			{At: when, Series: warmrestart.SeriesLatency, Value: v}, {At: when, Series: warmrestart.SeriesEvents, Value: v}},
		Storms:          []warmrestart.Storm{{Kind: text, From: when, To: when, Text: text}},
		LinkDowns:       []warmrestart.PortDowns{{Port: text, Downs: uint64(n), PeakPenalty: v, PeakAt: when, Last: when}},
		Recommendations: []warmrestart.Recommendation{{Setting: text, Text: text, Why: text}},
	}}
	r.FlapMinutes = []FlapMinute{{Time: when, Flaps: uint64(n), PortCount: int(n), Ports: []PortFlaps{{Port: text, Flaps: uint64(n)}}}}
	for i := range 3 {
		at := noon.Add(time.Duration(i) * time.Minute)
		r.Restarts = append(r.Restarts, warmrestart.Restart{At: at, Kind: "odd " + text, Reason: text, Duration: time.Duration(n)})
		r.Samples = append(r.Samples, warmrestart.Sample{Time: at, Process: noon, Events: uint64(n) * uint64(i), Latency: &warmrestart.Latency{P99: n}})
	}
	r.Restarts = append(r.Restarts, warmrestart.Restart{At: when})
	r.Samples = append(r.Samples, warmrestart.Sample{Time: when, Process: when})
	return r
}

// BenchmarkReportPage renders the page of a report of 30 days.
func BenchmarkReportPage(b *testing.B) {
	r := monthReport()
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteReportPage(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
	var page bytes.Buffer
	if err := WriteReportPage(&page, r); err != nil {
		b.Fatal(err)
	}
	reportSize(b, page.Bytes())
}
