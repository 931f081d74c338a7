package warmrestart

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// TestNoData checks that figures without data are nil, and not 0 or 100%.
func TestNoData(t *testing.T) {
	for name, s := range map[string]storage{"empty": newStorage(t), "no restarts": newStorage(t).restarts()} {
		a := s.analyze(0)
		text, err := json.Marshal(a)
		must(t, err)
		want := `{"at":"2026-10-05T12:00:00Z","restarts":0,"samples":0,` +
			`"counters":{"warm_restarts":0,"cold_starts":0,"eoiu_detected":0,"eoiu_timeouts":0,"state_recoveries":0,"corruptions_detected":0,"corruptions_recovered":0,"losses":0},` +
			`"recovery_success_rate":null,"corruption_recovery_rate":null,"eoiu_timeout_rate":null,"exchange_failure_rate":null,"avg_events_per_restart":null,` +
			`"uptime_estimate":{"process_ns":null,"observed_ns":0,"down_ns":0,"share":null},"last_healthy_restart":null,"is_system_healthy":null,` +
			`"sync_duration_seconds":null,"eoiu_latency_seconds":null,"recovery_trend":null,"sync_trend":null,"latency_trend":null,` +
			`"anomalies":[],"anomalies_found":0,"storms":[],"link_downs":[],"flapping":[],"recommendations":[]}`
		if string(text) != want {
			t.Errorf("%s: %s, want %s", name, text, want)
		}
	}
}

// TestAnalyzeStarts checks the figures of a few restarts that can be computed by hand.
func TestAnalyzeStarts(t *testing.T) {
	const h = time.Hour
	s := newStorage(t).restarts(
		Restart{At: noon, Kind: Cold, Duration: 4 * time.Second, EOIU: true, EOIULatency: time.Second, Process: noon, Events: 30},
		Restart{At: noon.Add(1 * h), Kind: Warm, Duration: 1 * time.Second, EOIU: true, EOIULatency: 3 * time.Second, Process: noon.Add(h), Events: 10},
		Restart{At: noon.Add(2 * h), Kind: Warm, Duration: 2 * time.Second, EOIU: true}, // of a writer that noted less
		Restart{At: noon.Add(3 * h), Kind: Warm, Duration: 10 * time.Second, TimedOut: true, Process: noon.Add(3 * h), Events: 2},
	)
	a := s.analyze(4 * h)
	if a.Restarts != 4 || a.Counters.WarmRestarts != 3 || a.Counters.EOIUTimeouts != 1 {
		t.Errorf("%d restarts, %+v", a.Restarts, a.Counters)
	}
	if r := a.Recovery; r.Count != 2 || r.Of != 3 || !r.Few || math.Abs(r.Low-0.2077) > 1e-4 || math.Abs(r.High-0.9385) > 1e-4 {
		t.Errorf("recovery %+v", *r)
	}
	if r := a.Timeouts; r.Count != 1 || r.Of != 4 || r.Value != 0.25 {
		t.Errorf("timeouts %+v", *r)
	}
	if a.Corruption != nil {
		t.Errorf("corruption %+v, want no data", *a.Corruption)
	}
	if *a.EventsPerRestart != 14 {
		t.Errorf("%v events per restart, want 14", *a.EventsPerRestart)
	}
	if *a.Healthy || !a.LastHealthyRestart.Equal(noon.Add(2*h)) {
		t.Errorf("healthy %v, last at %v", *a.Healthy, a.LastHealthyRestart)
	}
	if want := (stats.Summary{N: 4, Min: 1, Max: 10, Mean: 4.25, P50: 2, P95: 10, P99: 10, Few: true}); *a.Sync != want {
		t.Errorf("sync %+v, want %+v", *a.Sync, want)
	}
	if want := (stats.Summary{N: 2, Min: 1, Max: 3, Mean: 2, P50: 1, P95: 3, P99: 3, Few: true}); *a.EOIU != want {
		t.Errorf("EOIU %+v, want %+v", *a.EOIU, want)
	}
	if a.SyncTrend.Verdict != TooFew || a.RecoveryTrend.Verdict != TooFew || a.LatencyTrend != nil {
		t.Errorf("trends %+v, %+v, %+v", a.SyncTrend, a.RecoveryTrend, a.LatencyTrend)
	}
}

// TestUptime checks the downtime of two gaps between processes.
func TestUptime(t *testing.T) {
	const m = time.Minute
	begun := func(at time.Duration, alive time.Time) Restart {
		return Restart{At: noon.Add(at + time.Second), Kind: Cold, Process: noon.Add(at), LastAlive: alive, Duration: time.Second}
	}
	for _, c := range []struct {
		name     string
		restarts []Restart
		samples  []Sample
		observed time.Duration
		down     time.Duration
		process  time.Duration
	}{
		{"one start", []Restart{begun(0, time.Time{})}, nil, time.Second, 0, time.Second},
		{"found nothing of before", []Restart{begun(0, time.Time{}), begun(10*m, time.Time{})}, nil, 10*m + time.Second, 10*m - 2*time.Second, time.Second},
		{"found a sign of life", []Restart{begun(0, noon.Add(-time.Hour)), begun(10*m, noon.Add(9*m))}, nil, 10*m + time.Second, m, time.Second},
		{"samples", []Restart{begun(0, time.Time{}), begun(10*m, noon.Add(7*m)), begun(20*m, noon.Add(7*m))},
			[]Sample{sampleAt(8*m, 0), sampleAt(15*m, 0), sampleAt(25*m, 0)}, 25 * m, 7 * m, 5 * m},
		{"a sign of life from later", []Restart{begun(0, time.Time{}), begun(10*m, noon.Add(time.Hour))}, nil, 10*m + time.Second, 0, time.Second},
		{"only samples", nil, []Sample{sampleAt(5*m, 0), sampleAt(15*m, 0)}, 10 * m, 0, 15 * m},
		{"one sample", nil, []Sample{sampleAt(5*m, 0)}, 0, 0, 5 * m},
	} {
		s := newStorage(t).restarts(c.restarts...)
		if c.samples != nil {
			s.samples(c.samples...)
		}
		u := s.analyze(2 * time.Hour).Uptime
		if u.Observed != c.observed || u.Down != c.down || u.Process == nil || *u.Process != c.process {
			t.Errorf("%s: observed %v, down %v, process %v; want %v, %v, %v", c.name, u.Observed, u.Down, u.Process, c.observed, c.down, c.process)
		}
		if c.observed == 0 {
			if u.Share != nil {
				t.Errorf("%s: share %v of no time", c.name, *u.Share)
			}
		} else if want := 1 - c.down.Seconds()/c.observed.Seconds(); math.Abs(*u.Share-want) > 1e-12 {
			t.Errorf("%s: share %v, want %v", c.name, *u.Share, want)
		}
	}
}

// TestTrends checks a sync that gets slower, warm starts that begin to fail, and falling latencies.
func TestTrends(t *testing.T) {
	var restarts []Restart
	var samples []Sample
	for i := range 20 {
		at := noon.Add(time.Duration(i) * time.Hour)
		restarts = append(restarts, Restart{At: at, Kind: Warm, EOIU: i < 12, TimedOut: i >= 12, Duration: time.Duration(10+i) * time.Millisecond})
		for j := range 12 { // of which the median is the hour's
			s := sampleAt(time.Duration(i)*time.Hour+time.Duration(j)*5*time.Minute, 0)
			s.Latency = &Latency{P99: int64(time.Millisecond) * int64(100-i), Max: int64(time.Second)}
			if j%3 == 0 {
				s.Latency.P99 *= 1000
			}
			samples = append(samples, s)
		}
	}
	a := newStorage(t).restarts(restarts...).samples(samples...).analyze(24 * time.Hour)
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-9 }
	if s := a.SyncTrend; s.Verdict != Rising || !near(s.Slope, 0.001) || s.Unit != "seconds per start" {
		t.Errorf("sync %+v", *s)
	}
	if s := a.RecoveryTrend; s.Verdict != Falling || s.N != 20 {
		t.Errorf("recovery %+v", *s)
	}
	if s := a.LatencyTrend; s.Verdict != Falling || s.N != 20 || !near(s.Slope, -0.024) || s.Unit != "seconds per day" {
		t.Errorf("latency %+v", *s)
	}
	for i := range restarts {
		restarts[i].Duration, restarts[i].EOIU, restarts[i].TimedOut = time.Second, true, false
	}
	a = newStorage(t).restarts(restarts...).analyze(24 * time.Hour)
	if a.SyncTrend.Verdict != NoTrend || a.RecoveryTrend.Verdict != NoTrend {
		t.Errorf("of equal values: %+v, %+v", *a.SyncTrend, *a.RecoveryTrend)
	}
}

// TestAnomalies checks that outliers are found in each series.
func TestAnomalies(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var restarts []Restart
	var samples []Sample
	events := uint64(0)
	for i := range 200 {
		at := time.Duration(i) * time.Hour
		restart := Restart{At: noon.Add(at), Kind: Warm, EOIU: true,
			Duration: time.Duration(float64(time.Second) * math.Exp(0.1*r.NormFloat64()))}
		s := sampleAt(at, 0)
		s.Latency = &Latency{P99: int64(1e6 * math.Exp(0.1*r.NormFloat64())), Max: 1e7}
		events += 3600 + r.Uint64N(100)
		switch i {
		case 50:
			restart.Duration = 20 * time.Second
		case 60:
			restart.Duration = 1 // quick is no anomaly
		case 100:
			s.Latency.P99 = 1e9
		case 150:
			events += 1_000_000
		}
		s.Events = events
		restarts, samples = append(restarts, restart), append(samples, s)
	}
	a := newStorage(t).restarts(restarts...).samples(samples...).analyze(300 * time.Hour)
	want := map[string]int{SeriesSync: 50, SeriesLatency: 100, SeriesEvents: 150}
	least := map[string]float64{SeriesSync: 20, SeriesLatency: 1, SeriesEvents: 1_000_000.0 / 3600}
	seen := make(map[string]bool)
	for _, x := range a.Anomalies {
		at, known := want[x.Series]
		if known && x.At.Equal(noon.Add(time.Duration(at)*time.Hour)) {
			seen[x.Series] = true
			if x.Value < 10*x.Median || x.Score < 10 || x.Value < least[x.Series] || x.Value > least[x.Series]+2 {
				t.Errorf("%+v", x)
			}
		} else if x.Score > 5 { // by chance a little above 3.5
			t.Errorf("unexpected: %+v", x)
		}
	}
	if len(seen) != len(want) || a.AnomaliesFound != len(a.Anomalies) {
		t.Errorf("found %v in %d of %d", seen, len(a.Anomalies), a.AnomaliesFound)
	}
	// Of a few nothing is an anomaly.
	a = newStorage(t).restarts(restarts[45:55]...).analyze(300 * time.Hour)
	if len(a.Anomalies) != 0 {
		t.Errorf("of ten starts: %+v", a.Anomalies)
	}
}

// TestMaxAnomalies checks that the anomalies with the highest scores are listed.
func TestMaxAnomalies(t *testing.T) {
	h := &History{}
	for i := range 3000 {
		r := Restart{At: noon.Add(time.Duration(i) * time.Hour), Kind: Warm, Duration: time.Second + time.Duration(i%7)*time.Millisecond}
		if i%10 == 0 {
			r.Duration = time.Duration(10+i) * time.Second
		}
		h.Restarts = append(h.Restarts, r)
	}
	a := Analyze(h, AnalysisOptions{Now: noon})
	if a.AnomaliesFound != 300 || len(a.Anomalies) != MaxAnomalies {
		t.Fatalf("%d of %d", len(a.Anomalies), a.AnomaliesFound)
	}
	for i, x := range a.Anomalies {
		if want := noon.Add(time.Duration(2000+10*i) * time.Hour); !x.At.Equal(want) {
			t.Fatalf("anomaly %d is %+v, want that at %v", i, x, want)
		}
	}
}
