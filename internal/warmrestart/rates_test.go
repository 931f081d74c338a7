package warmrestart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// TestRates checks numerator and denominator of each rate with values that all differ.
func TestRates(t *testing.T) {
	tally := tally{starts: 23, late: 5, warm: 17, recovered: 11, corrupt: 13, restored: 3, requests: 101, failed: 7}
	var a Analysis
	a.rate(&tally)
	want := map[string][2]uint64{
		"recovery_success_rate": {11, 17}, "corruption_recovery_rate": {3, 13},
		"eoiu_timeout_rate": {5, 23}, "exchange_failure_rate": {7, 101},
	}
	var fields map[string]json.RawMessage
	must(t, json.Unmarshal(encode(&a), &fields))
	for key := range fields {
		if _, defined := want[key]; !defined && strings.HasSuffix(key, "_rate") {
			t.Errorf("%s has no definition", key)
		}
	}
	for _, d := range Rates {
		var inJSON stats.Rate
		must(t, json.Unmarshal(fields[d.Key], &inJSON))
		got, n := d.In(&a), want[d.Key]
		if got == nil || got.Count != n[0] || got.Of != n[1] || got.Value != float64(n[0])/float64(n[1]) || inJSON != *got {
			t.Errorf("%s is %+v, want %d of %d", d.Key, got, n[0], n[1])
		}
		delete(want, d.Key)
	}
	if len(want) > 0 {
		t.Errorf("without a definition: %v", want)
	}
}

// TestRatesOfRestarts checks the two rates of restarts with starts of all kinds.
func TestRatesOfRestarts(t *testing.T) {
	var restarts []Restart
	add := func(n int, r Restart) {
		for range n {
			r.At = noon.Add(time.Duration(len(restarts)) * time.Second)
			restarts = append(restarts, r)
		}
	}
	add(7, Restart{Kind: Warm, EOIU: true})
	add(2, Restart{Kind: Warm, EOIU: true, TimedOut: true}) // the dump ended, too late
	add(1, Restart{Kind: Warm, TimedOut: true})
	add(3, Restart{Kind: Warm})
	add(5, Restart{Kind: Cold, EOIU: true})
	add(4, Restart{Kind: Cold, TimedOut: true})
	a := newStorage(t).restarts(restarts...).analyze(time.Hour)
	if r := a.Recovery; r.Count != 7 || r.Of != 13 {
		t.Errorf("recovery %+v, want 7 of 13", r)
	}
	if r := a.Timeouts; r.Count != 7 || r.Of != 22 {
		t.Errorf("timeouts %+v, want 7 of 22", r)
	}
	if a.Healthy == nil || *a.Healthy || !a.LastHealthyRestart.Equal(restarts[17].At) {
		t.Errorf("healthy %v, last at %v, want false and %v", a.Healthy, a.LastHealthyRestart, restarts[17].At)
	}
	late := newStorage(t).restarts(Restart{At: noon, Kind: Warm, EOIU: true, TimedOut: true}).analyze(time.Hour)
	if *late.Healthy || late.LastHealthyRestart != nil {
		t.Errorf("a start whose dump ended too late counts as healthy: %v, %v", *late.Healthy, late.LastHealthyRestart)
	}
}

// TestCorruptionRate checks that a missing file does not count as corrupt, nor its backup as a
// recovery.
func TestCorruptionRate(t *testing.T) {
	c := config(t.TempDir())
	rate := func(count, of uint64) {
		t.Helper()
		h, err := ReadHistory(c.StoragePath, time.Time{}, time.Now())
		must(t, err)
		a := Analyze(h, AnalysisOptions{Now: time.Now()})
		if r := a.Corruption; of == 0 && r != nil || of > 0 && (r == nil || r.Count != count || r.Of != of) {
			t.Errorf("corruption recovery rate %+v, want %d of %d", r, count, of)
		}
	}
	life := func() {
		t.Helper()
		p := start(t, c)
		p.RecordRestart(cold(time.Millisecond))
		p.stop()
	}
	metrics := filepath.Join(c.StoragePath, metricsFile)
	life()
	rate(0, 0)
	all := files(t, c.StoragePath, metricsFile)
	for _, name := range all {
		damage(t, 0, filepath.Join(c.StoragePath, name))
	}
	life()
	bad := uint64(len(all))
	rate(0, bad)
	for range 2 {
		must(t, os.Remove(metrics))
		life()
	}
	rate(0, bad)
	damage(t, 0, metrics)
	life()
	rate(1, bad+1)
	p := open(t, c)
	if n := p.body.Counters.StateRecoveries; n != 3 {
		t.Errorf("%d files were replaced by a backup, want 3: two missing, one corrupt", n)
	}
}

// TestTrendVerdicts checks the verdict for p below and above 0.05.
func TestTrendVerdicts(t *testing.T) {
	points := func(values ...float64) (all []stats.Point) {
		for i, v := range values {
			all = append(all, stats.Point{X: float64(i), Y: v})
		}
		return all
	}
	for _, c := range []struct {
		name      string
		values    []float64
		low, high float64 // of p
		verdict   string
	}{
		{"surely rising", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0, 0.001, Rising},
		{"just rising", []float64{1, 3, 2, 6, 5, 9, 4, 7, 10, 8}, 0.001, 0.05, Rising},
		{"just falling", []float64{-1, -3, -2, -6, -5, -9, -4, -7, -10, -8}, 0.001, 0.05, Falling},
		{"hardly rising", []float64{1, 6, 3, 2, 5, 9, 4, 10, 7, 0}, 0.05, 0.5, NoTrend},
		{"hardly falling", []float64{-1, -6, -3, -2, -5, -9, -4, -10, -7, 0}, 0.05, 0.5, NoTrend},
		{"too few", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0, 0.05, TooFew},
	} {
		got := trendOf(points(c.values...), "unit")
		if got.Verdict != c.verdict || got.P < c.low || got.P > c.high {
			t.Errorf("%s: %q at p = %v, want %q between %v and %v", c.name, got.Verdict, got.P, c.verdict, c.low, c.high)
		}
	}
}
