package warmrestart

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// TestRecommendationLimits checks each recommendation at its limit and below, without its setting,
// and without data.
func TestRecommendationLimits(t *testing.T) {
	const day = 24 * time.Hour
	type r = recommendations
	waits := func(limit time.Duration, longest float64, few bool) *r {
		return &r{settings: &ReadSettings{EOIUTimeout: limit}, analysis: &Analysis{EOIU: &stats.Summary{N: 20, Max: longest, Few: few}}}
	}
	stalls := func(limit time.Duration, waits ...time.Duration) *r {
		h := &History{}
		for _, w := range waits {
			h.moments = append(h.moments, moment{max: int64(w)})
		}
		return &r{settings: &ReadSettings{MaxStall: limit}, history: h}
	}
	failing := func(limit, low float64) *r {
		return &r{settings: &ReadSettings{MaxFailures: limit}, history: &History{failures: failures{worst: &stats.Rate{Count: 1, Of: 2, Low: low}}}}
	}
	// A history that grows by so much each day, over a time, with 30 days kept.
	grows := func(perDay int64, span, interval time.Duration, file int64) *r {
		days := int64(span / day)
		h := &History{first: noon, Samples: []Sample{{Time: noon}, {Time: noon.Add(span)}}, bytes: perDay * max(days, 1)}
		return &r{settings: &ReadSettings{Retention: 30 * day, SaveInterval: interval, MaxFileSize: file}, history: h}
	}
	const much = largeHistory / 32 * 32 / 30 // each day, for largeHistory in 30 days
	inexact := func(interval time.Duration, inexact, of int) *r {
		return &r{settings: &ReadSettings{SaveInterval: interval}, history: &History{inexact: inexact, withEvents: of}}
	}
	dropped := func(keep, stored int, starts uint64, back, retention time.Duration) *r {
		return &r{
			settings: &ReadSettings{KeepRestarts: keep, Retention: retention}, analysis: &Analysis{At: noon},
			history: &History{stored: stored, oldest: noon.Add(-back), Counters: Counters{WarmRestarts: starts}},
		}
	}
	slower := func(n int, slope, low float64, verdict string) *r {
		trend := &Trend{Verdict: verdict}
		trend.N, trend.Slope, trend.Low = n, slope, low
		return &r{analysis: &Analysis{SyncTrend: trend, Sync: &stats.Summary{P50: 10}}}
	}
	storms := func(counts ...uint64) *r {
		a := &Analysis{Storms: []Storm{{Kind: StormEvents, Count: 1 << 40, Text: "events"}}}
		for _, n := range counts {
			a.Storms = append(a.Storms, Storm{Kind: StormRestarts, Count: n, Text: fmt.Sprint(n, " starts")})
		}
		return &r{analysis: a}
	}
	flaps := func(penalties ...float64) *r {
		h := &History{linkDowns: make(map[string]*PortDowns)}
		for i, p := range penalties {
			h.linkDowns[fmt.Sprint(i)] = &PortDowns{PeakPenalty: p}
		}
		return &r{history: h, analysis: &Analysis{LinkDowns: []PortDowns{{Port: "Ethernet0"}}}}
	}
	for _, c := range []struct {
		name string
		rule func(*r)
		r    *r
		want string // contained in what is said; "" if nothing is
	}{
		{"dump in half of the time", (*r).eoiuTimeout, waits(10*time.Second, 5, false), ""},
		{"dump in more than half of the time", (*r).eoiuTimeout, waits(10*time.Second, 5.5, false), "raise it to 11"},
		{"dump in a tenth of the usual time", (*r).eoiuTimeout, waits(11*time.Second, 1, false), ""},
		{"dump in less than that", (*r).eoiuTimeout, waits(11*time.Second, 0.9, false), "lower it to 10"},
		{"of few starts", (*r).eoiuTimeout, waits(11*time.Second, 0.9, true), ""},
		{"with the usual time", (*r).eoiuTimeout, waits(10*time.Second, 0.9, false), ""},
		{"without a timeout", (*r).eoiuTimeout, waits(0, 5.5, false), ""},

		{"waits of half of the limit", (*r).maxStall, stalls(10*time.Second, 5*time.Second, 5*time.Second), ""},
		{"waits of more", (*r).maxStall, stalls(10*time.Second, 5*time.Second+1, 0, 6*time.Second), "in 2 of 3 samples a write took more than half of 10s; the longest took 6s"},
		{"one wait of more", (*r).maxStall, stalls(10*time.Second, 6*time.Second, 5*time.Second), ""},
		{"without a limit", (*r).maxStall, stalls(0, time.Second, time.Second), ""},

		{"failures at the limit", (*r).maxFailures, failing(0.05, 0.05), ""},
		{"failures beyond it", (*r).maxFailures, failing(0.05, 0.051), "1 of 2 Redis requests before 0001-01-01 00:00:00 failed"},
		{"without a limit of failures", (*r).maxFailures, failing(0, 0.051), ""},

		{"much history", (*r).historySize, grows(much+1<<20, day, time.Minute, 0), "lower it to 26"},
		{"not much", (*r).historySize, grows(much-1, day, time.Minute, 0), ""},
		{"of less than a day", (*r).historySize, grows(much+1<<20, day-1, time.Minute, 0), ""},
		{"much of each minute", (*r).historySize, grows(much+1<<20, 2*day, time.Minute-1, 0), "raise it to 60 or more"},
		{"much of an unknown interval", (*r).historySize, grows(much+1<<20, day, 0, 0), "lower it to 26"},
		{"as much as there may be each day", (*r).historySize, grows(largeHistory, day, time.Minute, 0), "lower it to 1,"},
		{"more each day", (*r).historySize, grows(largeHistory+1<<20, day, time.Minute, 0), ""},
		{"a hundred files", (*r).historySize, grows(100<<20/30, day, time.Minute, 1<<20), ""},
		{"more files", (*r).historySize, grows(120<<20/30, day, time.Minute, 1<<20), "raise it to 2: 120 MiB of history are 120 files of 1 MiB"},

		{"inexact in a tenth", (*r).saveInterval, inexact(300*time.Second, 2, 20), "lower it, for example to 150"},
		{"in less", (*r).saveInterval, inexact(300*time.Second, 2, 21), ""},
		{"of few samples", (*r).saveInterval, inexact(300*time.Second, 19, 19), ""},
		{"each second", (*r).saveInterval, inexact(time.Second, 20, 20), ""},

		{"all records kept", (*r).keepRestarts, dropped(30, 30, 30, day, 30*day), ""},
		{"one dropped", (*r).keepRestarts, dropped(30, 30, 31, day, 30*day), "the newest 30 of 31 starts are recorded, which are 1.0 days; samples are kept for 30"},
		{"room for more", (*r).keepRestarts, dropped(30, 29, 31, day, 30*day), ""},
		{"as far back as samples", (*r).keepRestarts, dropped(30, 30, 31, 30*day, 30*day), ""},
		{"samples without limit", (*r).keepRestarts, dropped(30, 30, 31, day, 0), ""},
		{"as many as can be", (*r).keepRestarts, dropped(10000, 10000, 10001, day, 30*day), ""},
		{"unknown how many", (*r).keepRestarts, dropped(0, 30, 31, day, 30*day), ""},

		{"the worst storm", (*r).restartStorm, storms(5, 7, 7, 6), "restart storms: 4; the worst began at 0001-01-01 00:00:00: 7 starts"},
		{"storms of events", (*r).restartStorm, storms(), ""},

		{"slower by a tenth", (*r).slowerSync, slower(10, 0.1, 0.01, Rising), "over 10 starts its duration grew by 100ms per start (95%: 10ms to 0s"},
		{"slower by less", (*r).slowerSync, slower(10, 0.099, 0.01, Rising), ""},
		{"slower or not", (*r).slowerSync, slower(10, 0.1, 0, Rising), ""},
		{"faster", (*r).slowerSync, slower(10, 0.1, 0.01, Falling), ""},
		{"without a trend", (*r).slowerSync, &r{analysis: &Analysis{}}, ""},

		{"flapping", (*r).flapping, flaps(stats.FlappingThreshold+1, 0, stats.MaxPenalty), "flapping ports: 2;"},
		{"not flapping", (*r).flapping, flaps(stats.FlappingThreshold, 1), ""},
	} {
		c.rule(c.r)
		said := ""
		for _, one := range c.r.all {
			said += one.Text + ": " + one.Why + "; "
		}
		if (said == "") != (c.want == "") || !strings.Contains(said, c.want) {
			t.Errorf("%s: %q, want %q", c.name, said, c.want)
		}
	}
}

// TestFlapsAddUp checks that link-down transitions of a port are added without wrapping.
func TestFlapsAddUp(t *testing.T) {
	s := newStorage(t)
	flap := func(at time.Duration, downs uint64, penalty float64) Sample {
		sample := sampleAt(at, 0)
		sample.Flaps = []PortFlaps{{Port: "Ethernet0", Downs: downs, Penalty: penalty}}
		return sample
	}
	s.samples(flap(0, 5, 1000), flap(time.Minute, 7, 3000), flap(2*time.Minute, 1, 3000))
	got := mostDowns(s.read(time.Time{}, time.Hour))
	want := PortDowns{Port: "Ethernet0", Downs: 13, PeakPenalty: 3000, PeakAt: noon.Add(time.Minute), Last: noon.Add(2 * time.Minute)}
	if len(got) != 1 || !got[0].PeakAt.Equal(want.PeakAt) || !got[0].Last.Equal(want.Last) || got[0].Downs != want.Downs || got[0].PeakPenalty != want.PeakPenalty {
		t.Errorf("%+v, want %+v", got, want)
	}
	s = newStorage(t)
	s.samples(flap(0, math.MaxUint64-2, 1), flap(time.Minute, 7, 1))
	if got := mostDowns(s.read(time.Time{}, time.Hour)); got[0].Downs != math.MaxUint64 {
		t.Errorf("%d, want the largest number", got[0].Downs)
	}
}

// TestLongestNames checks that a sample with names of the maximum length is decoded.
func TestLongestNames(t *testing.T) {
	long := strings.Repeat("x", maxName)
	sample := Sample{Time: noon, Health: long, Flaps: []PortFlaps{{Port: long}, {Port: long[1:] + "~", PortHex: long}, {Port: " "}}}
	got, ok := decodeSample(encode(sample))
	if !ok || !reflect.DeepEqual(*got, sample) {
		t.Errorf("decoded %+v, %v; want %+v", got, ok, sample)
	}
}

// TestMeanEvents checks that the mean includes all starts with a count, and that the sum does not
// wrap.
func TestMeanEvents(t *testing.T) {
	for _, c := range []struct {
		counts []uint64
		want   float64
	}{{[]uint64{2, 10, 30}, 14}, {[]uint64{30, 10, 2}, 14}, {[]uint64{0, 7}, 3.5}, {[]uint64{math.MaxUint64, 7}, math.MaxUint64 / 2.0}} {
		var all []Restart
		for i, n := range c.counts {
			at := noon.Add(time.Duration(i) * time.Minute)
			all = append(all, Restart{At: at, Kind: Cold, EOIU: true, Process: at, Events: n})
		}
		got := newStorage(t).restarts(all...).analyze(time.Hour).EventsPerRestart
		if got == nil {
			t.Fatalf("of %v: no mean", c.counts)
		}
		if *got != c.want {
			t.Errorf("of %v: %v, want %v", c.counts, *got, c.want)
		}
	}
}

// TestUnixSeconds checks the conversion with a fraction of a second.
func TestUnixSeconds(t *testing.T) {
	if got := unixSeconds(time.Unix(1_700_000_000, 5e8)); got != 1_700_000_000.5 {
		t.Errorf("%v, want 1700000000.5", got)
	}
}
