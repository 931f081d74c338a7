package insight

import (
	"math/rand/v2"
	"time"

	"portsyncd/warmrestart"
	"portsyncd/warmrestart/stats"
)

// monthReport is the report of 30 days in which the initial sync got slower.
func monthReport() *Report {
	random := rand.New(rand.NewPCG(2, 3))
	const days = 30
	r := &Report{
		Schema: ReportSchema, Time: noon, Version: "0.1.0", Host: "leaf-14", Storage: "/var/warmboot/portsyncd/metrics",
		Problems: []string{"history.jsonl:4711: torn line skipped"},
		Analysis: &warmrestart.Analysis{
			At: noon, First: ago(days * day), Last: ago(5 * time.Minute), Restarts: 24, Samples: 8640,
			Counters:   warmrestart.Counters{WarmRestarts: 31, ColdStarts: 4, EOIUDetected: 33, EOIUTimeouts: 2, StateRecoveries: 1, CorruptionsDetected: 1},
			Recovery:   &stats.Rate{Count: 20, Of: 22, Value: 20. / 22, Low: .7218, High: .9747, Few: true},
			Corruption: &stats.Rate{Count: 1, Of: 1, Value: 1, Low: .2065, High: 1, Few: true},
			Timeouts:   &stats.Rate{Count: 2, Of: 24, Value: 2. / 24, Low: .0232, High: .2585, Few: true},
			Uptime:     warmrestart.Uptime{Observed: days * day, Down: 93 * time.Second, Share: new(1 - 93/(30*86400.))},
			Healthy:    new(true), LastHealthyRestart: at(ago(26 * time.Hour)), EventsPerRestart: new(412.25),
			Sync:         &stats.Summary{N: 24, Min: .021, Max: 10, Mean: .91, P50: .058, P95: .14, P99: 10, Few: true},
			EOIU:         &stats.Summary{N: 22, Min: .006, Max: .031, Mean: .0112, P50: .0104, P95: .022, P99: .031, Few: true},
			SyncTrend:    &warmrestart.Trend{Trend: stats.Trend{N: 24, S: 132, P: .0011, Slope: .0021, Low: .0009, High: .0034}, Unit: "s/restart", Verdict: "rising"},
			LatencyTrend: &warmrestart.Trend{Trend: stats.Trend{N: 8640, S: 1200, P: .61, Slope: 1e-9, Low: -4e-9, High: 5e-9}, Unit: "s/sample", Verdict: "none"},
			Storms:       []warmrestart.Storm{{Kind: "restarts", From: ago(9 * day), To: ago(9*day - 8*time.Second), Count: 5, Limit: 5, Text: "5 starts within 8 s: portsyncd.service allows 5 in 10 s"}},
			Flapping: []warmrestart.Flapping{
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
			Reason: "the daemon alone restarted", Duration: time.Duration((30e6 + 2.1e6*float64(i)) * (0.8 + 0.4*random.ExpFloat64())), EOIULatency: 9 * time.Millisecond}
		switch i {
		case 3, 17:
			x.Kind, x.Reason = warmrestart.Cold, "the databases were flushed"
		case 5:
			x.TimedOut, x.EOIU, x.Duration, x.EOIULatency = true, false, 10*time.Second, 0
			r.Analysis.Anomalies = append(r.Analysis.Anomalies, warmrestart.Anomaly{At: x.At, Series: seriesSync, Value: 10, Median: .058, Score: 214})
		}
		r.Restarts = append(r.Restarts, x)
	}
	events := uint64(0)
	for i := range MostReportSamples {
		s := warmrestart.Sample{Time: ago(time.Duration(MostReportSamples-i) * days * day / MostReportSamples), Process: ago(days * day)}
		n := random.ExpFloat64() * 3000
		p99 := 2e6 * (0.6 + random.ExpFloat64()*.4)
		switch {
		case i == 1400:
			n, p99 = 190_000, 4.1e8
			r.Analysis.Anomalies = append(r.Analysis.Anomalies,
				warmrestart.Anomaly{At: s.Time, Series: seriesLatency, Value: .41, Median: .002, Score: 310},
				warmrestart.Anomaly{At: s.Time, Series: seriesEvents, Value: 190_000 / 1296., Median: 2.3, Score: 92})
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
