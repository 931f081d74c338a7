package warmrestart

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC)

// startsAt are the records of starts after crashes, so long after noon.
func startsAt(after ...time.Duration) (all []Restart) {
	for _, d := range after {
		all = append(all, Restart{At: noon.Add(d), Kind: Cold, LastAlive: noon.Add(d - time.Second)})
	}
	return all
}

// TestRestartStorm checks the number of starts and the window of a storm.
func TestRestartStorm(t *testing.T) {
	const m, s = time.Minute, time.Second
	for _, c := range []struct {
		name     string
		restarts []Restart
		now      time.Duration
		count    uint64 // 0: no storm
	}{
		{"none", nil, 0, 0},
		{"one", startsAt(0), 0, 0},
		{"two", startsAt(0, m), m, 0},
		{"three at once", startsAt(0, 0, 0), 0, 3},
		{"three in 20 minutes", startsAt(0, 10*m, 20*m), 20 * m, 3},
		{"the first is 20 minutes ago", startsAt(0, 10*m, 20*m-s), 20*m + 1, 0},
		{"long ago", startsAt(0, 1, 2), time.Hour, 0},
		{"the newest of many", startsAt(-2000*m, -1000*m, 0, m, 2*m, 3*m), 4 * m, 4},
		{"by a clock set back", startsAt(0, m, 60*m, 61*m), 2 * m, 0},
		{"out of order", startsAt(2*m, 0, m), 2 * m, 3},
	} {
		storm, ok := RestartStorm(c.restarts, noon.Add(c.now))
		if ok != (c.count > 0) || storm.Count != c.count {
			t.Errorf("%s: %v, %+v", c.name, ok, storm)
		}
		if ok && (storm.Kind != StormRestarts || storm.Limit != 3 || storm.To.Before(storm.From)) {
			t.Errorf("%s: %+v", c.name, storm)
		}
	}
	// The process began before its record, if that is known.
	restarts := startsAt(30*m, 30*m, 30*m)
	for i := range restarts {
		restarts[i].Process = noon
	}
	if storm, ok := RestartStorm(restarts, noon.Add(31*m)); ok {
		t.Errorf("of processes that began half an hour ago: %+v", storm)
	}
}

// TestRestarts checks that records can be read while others are added and removed.
func TestRestarts(t *testing.T) {
	c := config(t.TempDir())
	c.KeepRestarts = 2
	for range 3 {
		p := start(t, c)
		p.RecordRestart(cold(time.Millisecond))
		p.stop()
	}
	p := open(t, c)
	before := p.Restarts()
	if len(before) != 2 || cap(before) != 2 {
		t.Fatalf("%d records with room for %d, want the 2 that are kept", len(before), cap(before))
	}
	first := before[0]
	p.addRestart(warm(time.Second))
	if after := p.Restarts(); len(after) != 2 || after[1].Kind != Warm || after[0] != before[1] {
		t.Errorf("after one more start: %+v", after)
	}
	if before[0] != first {
		t.Errorf("the record %+v has become %+v", first, before[0])
	}
	if got := New(p.cfg).Restarts(); len(got) != 0 {
		t.Errorf("nothing remembered, and %d records", len(got))
	}
}

// TestLastAlive checks that the last sign of life is the newest one that is not in the future.
func TestLastAlive(t *testing.T) {
	c := config(t.TempDir())
	p := start(t, c)
	if !p.lastAlive.IsZero() {
		t.Errorf("without files it was alive at %v", p.lastAlive)
	}
	p.RecordRestart(cold(time.Millisecond))
	p.stop()
	saved := open(t, c).lastAlive
	if saved.IsZero() || time.Since(saved) > time.Hour {
		t.Fatalf("with metrics.json it was alive at %v", saved)
	}
	for _, s := range []struct {
		line string
		want func() time.Time
	}{
		{`{"time":"2026-01-01T00:00:00Z"}`, func() time.Time { return saved }},
		{`{"time":"9999-01-01T00:00:00Z"}`, func() time.Time { return saved }},
		{`{"other":1}`, func() time.Time { return saved }},
		{`{"time":"` + saved.Add(1).Format(time.RFC3339Nano) + `"}`, func() time.Time { return saved.Add(1) }},
	} {
		must(t, p.history.Append([]byte(s.line)))
		next := open(t, c)
		if !next.lastAlive.Equal(s.want()) {
			t.Errorf("after the sample %s: alive at %v, want %v", s.line, next.lastAlive, s.want())
		}
	}
	p = start(t, c)
	p.RecordRestart(cold(time.Millisecond))
	p.stop()
	if r := stored(t, c).Restarts; !r[0].LastAlive.IsZero() || !r[1].LastAlive.Equal(saved.Add(1)) {
		t.Errorf("records say %v and %v", r[0].LastAlive, r[1].LastAlive)
	}
}

// TestRestartStorms compares restartStorms with the definition: a start belongs to a storm if it
// and two others are within 20 minutes.
func TestRestartStorms(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var restarts []Restart
		at := time.Duration(0)
		for range r.IntN(20) {
			at += time.Duration(1+r.IntN(24)) * time.Minute
			restarts = append(restarts, startsAt(at)...)
		}
		r.Shuffle(len(restarts), func(i, j int) { restarts[i], restarts[j] = restarts[j], restarts[i] })
		storms := restartStorms(restarts)
		counted := make([]uint64, len(storms))
		for _, x := range restarts {
			found := 0
			for i, s := range storms {
				if !x.At.Before(s.From) && !x.At.After(s.To) {
					found++
					counted[i]++
				}
			}
			want := 0
			if inStorm(x.At, restarts) {
				want = 1
			}
			if found != want {
				t.Fatalf("seed %d: of %v the start at %v is in %d of %+v, want %d", seed, restarts, x.At, found, storms, want)
			}
		}
		for i, s := range storms {
			if s.Count != counted[i] || s.Count < startsAllowed || s.Limit != startsAllowed || s.Kind != StormRestarts {
				t.Fatalf("seed %d: of %v %d starts are in %+v", seed, restarts, counted[i], s)
			}
		}
	}
}

// inStorm goes through all other pairs of starts, no two of which are at one time.
func inStorm(x time.Time, restarts []Restart) bool {
	for _, y := range restarts {
		for _, z := range restarts {
			three := []time.Time{x, y.At, z.At}
			slices.SortFunc(three, time.Time.Compare)
			if three[0].Before(three[1]) && three[1].Before(three[2]) && three[2].Sub(three[0]) <= startsWithin {
				return true
			}
		}
	}
	return false
}

// TestBursts checks the periods with bursts, and that the initial dump is not counted.
func TestBursts(t *testing.T) {
	const m = time.Minute
	other := sampleAt(50*m, 1e6)
	other.Process = noon.Add(49 * m)
	a := newStorage(t).samples(
		sampleAt(0, 1e6),                                                                           // the dump of a start, perhaps
		sampleAt(5*m, 1e6+3000), sampleAt(10*m, 1e6+3000+3001), sampleAt(15*m, 1e6+3000+3001+6000), // 10.0, 10.003 and 20 a second
		sampleAt(20*m, 1e6+12001), sampleAt(25*m, 1e6+50000), other,
	).analyze(time.Hour)
	want := []Storm{
		{StormEvents, noon.Add(5 * m), noon.Add(15 * m), 9001, 6000, "9001 link messages in 10m0s, 15 per second"},
		{StormEvents, noon.Add(20 * m), noon.Add(25 * m), 37999, 3000, "37999 link messages in 5m0s, 127 per second"},
	}
	if !slices.Equal(a.Storms, want) {
		t.Errorf("%+v, want %+v", a.Storms, want)
	}
}
