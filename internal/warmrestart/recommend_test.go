package warmrestart

import (
	"strings"
	"testing"
	"time"
)

// someSettings are the defaults.
var someSettings = ReadSettings{
	EOIUTimeout: 10 * time.Second, KeepRestarts: 100, SaveInterval: 300 * time.Second,
	Retention: 30 * 24 * time.Hour, MaxFileSize: 100 << 20, MaxStall: 10 * time.Second, MaxFailures: 0.05,
}

// analyze is of the history read an hour after noon, or later.
func (s storage) analyze(after time.Duration) *Analysis {
	s.t.Helper()
	return Analyze(s.read(time.Time{}, after), AnalysisOptions{Now: noon.Add(after), Settings: someSettings})
}

// TestRecommendations checks the setting and the figure of each recommendation.
func TestRecommendations(t *testing.T) {
	const day = 24 * time.Hour
	starts := func(n int, edit func(i int, r *Restart)) []Restart {
		var all []Restart
		for i := range n {
			r := Restart{At: noon.Add(time.Duration(i) * time.Hour), Kind: Warm, EOIU: true, EOIULatency: 5 * time.Millisecond, Duration: 10 * time.Millisecond}
			edit(i, &r)
			all = append(all, r)
		}
		return all
	}
	samples := func(n int, every time.Duration, edit func(i int, s *Sample)) []Sample {
		var all []Sample
		for i := range n {
			s := sampleAt(time.Duration(i)*every, 0)
			s.Latency = &Latency{Count: 10, Kept: 10, P50: 1e6, P95: 2e6, P99: 3e6, Max: 4e6}
			edit(i, &s)
			all = append(all, s)
		}
		return all
	}
	plainStart, plainSample := func(int, *Restart) {}, func(int, *Sample) {}
	for _, c := range []struct {
		name     string
		restarts []Restart
		samples  []Sample
		set      func(s *ReadSettings)
		setting  string // "none" for no recommendation
		words    []string
	}{
		{"all well", starts(30, plainStart), samples(300, 5*time.Minute, plainSample), nil, "none", nil},
		{"timeouts", starts(30, func(i int, r *Restart) { r.TimedOut, r.EOIU = i == 7, i != 7 }), nil, nil,
			"warm_restart.eoiu_timeout_secs", []string{"1 of 30 starts", "10s", "p99 is 5ms"}},
		{"nothing but timeouts", starts(1, func(i int, r *Restart) { r.TimedOut, r.EOIU, r.EOIULatency = true, false, 0 }), nil, nil,
			"warm_restart.eoiu_timeout_secs", []string{"1 of 1 starts timed out after 10s"}},
		{"near the timeout", starts(30, func(i int, r *Restart) { r.EOIULatency = time.Duration(i) * 200 * time.Millisecond }), nil, nil,
			"warm_restart.eoiu_timeout_secs", []string{"raise it to 12", "up to 5.8s", "p99 5.8s"}},
		{"timeout too long", starts(30, plainStart), nil, func(s *ReadSettings) { s.EOIUTimeout = time.Hour },
			"warm_restart.eoiu_timeout_secs", []string{"lower it to 10", "5ms", "1h0m0s"}},
		{"too few to say so", starts(5, plainStart), nil, func(s *ReadSettings) { s.EOIUTimeout = time.Hour }, "none", nil},
		{"slow databases", nil, samples(30, time.Minute, func(i int, s *Sample) { s.Latency.Max = int64(i%10) * 1e9 }), nil,
			"health.max_stall_seconds", []string{"in 12 of 30 samples", "half of 10s", "the longest took 9s"}},
		{"failing databases", nil, samples(30, time.Minute, func(i int, s *Sample) { s.Exchanges, s.Failed = 100*uint64(i), 20*uint64(i/10) }), nil,
			"health.max_failure_rate_percent", []string{"20 of 100 Redis requests before", "at least 13%", "in total 40 of 2900", "before 2026-10-05 12:10:00"}},
		{"failing now and then", nil, samples(30, time.Minute, func(i int, s *Sample) { s.Exchanges, s.Failed = 100*uint64(i), uint64(i) }), nil, "none", nil},
		{"slow once", nil, samples(30, time.Minute, func(i int, s *Sample) { s.Latency.Max = int64(i/29) * 9e9 }), nil, "none", nil},
		{"a sample each second", nil, samples(10_000, 10*time.Second, plainSample), func(s *ReadSettings) { s.SaveInterval, s.Retention = 10*time.Second, 100*day },
			"metrics.save_interval_secs", []string{"raise it to 60", "MiB per day", "in 100 days", "every 10s"}},
		{"kept for years", nil, samples(600, 5*time.Minute, plainSample), func(s *ReadSettings) { s.Retention = 3650 * day },
			"metrics.retention_days", []string{"lower it to", "in 3650 days"}},
		{"many files", nil, samples(600, 5*time.Minute, plainSample), func(s *ReadSettings) { s.Retention, s.MaxFileSize = 1000*day, 1<<20 },
			"metrics.max_file_size_mb", []string{"raise it to 2", "files of 1 MiB"}},
		{"inexact quantiles", nil, samples(100, 5*time.Minute, func(i int, s *Sample) { s.Latency.Count = uint64(i%5) * 4 }), nil,
			"metrics.save_interval_secs", []string{"lower it, for example to 150", "40 of 100 samples"}},
		{"dropped records", starts(30, plainStart), nil, func(s *ReadSettings) { s.KeepRestarts = 30 },
			"warm_restart.history_max_restarts", []string{"the newest 30 of 31 starts", "are 4.2 days", "kept for 30"}},
		{"restart storm", starts(30, func(i int, r *Restart) { r.At = noon.Add(time.Duration(i) * time.Minute); r.LastAlive = r.At }), nil, nil,
			"", []string{"restart storms: 1;", "began at 2026-10-05 12:00:00: 30 starts in 29m0s, each after a crash or a kill; after 3 in 20 minutes"}},
		{"slower", starts(30, func(i int, r *Restart) { r.Duration += time.Duration(i) * time.Millisecond }), nil, nil,
			"", []string{"slower", "over 30 starts its duration grew by 1ms per start (95%: 1ms to 1ms; p = "}},
		{"flapping", nil, samples(30, time.Minute, func(i int, s *Sample) {
			s.Flaps = []PortFlaps{{Port: "Ethernet0", Downs: 1, Penalty: 1500}, {Port: "Ethernet4", Downs: 2, Penalty: 2001 + float64(i)}}
		}), nil, "", []string{"cable", `flapping ports: 1; the worst is Ethernet4 with 60 link-down transitions, the last at 2026-10-05 12:29:00`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStorage(t)
			if c.restarts != nil {
				s.restarts(c.restarts...)
			}
			if c.samples != nil {
				s.samples(c.samples...)
			}
			h := s.read(time.Time{}, 100*time.Hour)
			if strings.HasPrefix(c.setting, "warm_restart.history") {
				h.Counters.WarmRestarts++
			}
			settings := someSettings
			if c.set != nil {
				c.set(&settings)
			}
			got := Analyze(h, AnalysisOptions{Now: noon.Add(100 * time.Hour), Settings: settings}).Recommendations
			if c.setting == "none" {
				if len(got) != 0 {
					t.Errorf("%+v, want none", got)
				}
				return
			}
			if len(got) != 1 || got[0].Setting != c.setting {
				t.Fatalf("%+v, want one for %q", got, c.setting)
			}
			for _, w := range c.words {
				if !strings.Contains(got[0].Text+": "+got[0].Why, w) {
					t.Errorf("%+v has no %q", got[0], w)
				}
			}
			// Without settings nothing is said of them.
			for _, r := range Analyze(h, AnalysisOptions{Now: noon}).Recommendations {
				if r.Setting != "" {
					t.Errorf("without settings: %+v", r)
				}
			}
		})
	}
}

// TestInSeconds checks how durations are rounded for display.
func TestInSeconds(t *testing.T) {
	for s, want := range map[float64]string{0: "0s", 1.23456e-4: "123.456µs", 0.0123456: "12.35ms", 1.23456: "1.23s",
		-0.0123456: "-12.35ms", 0.99999: "999.99ms", 1e12: time.Duration(1e18).String()} {
		if got := inSeconds(s).String(); got != want {
			t.Errorf("%v s: %s, want %s", s, got, want)
		}
	}
}
