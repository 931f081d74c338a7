package portsync

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/netlinkraw"
)

// flapsOf returns the link-down transitions that State reports for events, by port.
func flapsOf(t *testing.T, s *State, events ...Event) map[string]int {
	t.Helper()
	sum := make(map[string]int)
	for _, ev := range events {
		actions, err := s.Step(&ev, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range actions {
			if a.Kind == Flapped {
				sum[a.Port.Name] += int(a.Downs)
			}
		}
	}
	return sum
}

// linkEvent returns a link message with a link-down count.
func linkEvent(kind netlinkraw.MessageType, index int32, name string, downs uint32) Event {
	ev := Event{Kind: kind, Index: index, Counted: true, CarrierDown: downs}
	ev.SetName([]byte(name))
	return ev
}

// TestFlaps checks that link-down transitions are the differences between messages of the same link, and
// that transitions before the start are not counted.
func TestFlaps(t *testing.T) {
	up := func(index int32, name string, downs uint32) Event {
		return linkEvent(netlinkraw.NewLink, index, name, downs)
	}
	gone := func(index int32, name string) Event { return linkEvent(netlinkraw.DelLink, index, name, 0) }
	dumped := func(ev Event) Event { ev.Dump = true; return ev }
	uncounted := up(5, "Ethernet0", 0)
	uncounted.Counted = false
	for name, c := range map[string]struct {
		events []Event
		want   map[string]int
	}{
		"quiet":                       {[]Event{up(5, "Ethernet0", 100)}, map[string]int{}},
		"flaps":                       {[]Event{up(5, "Ethernet0", 101), up(5, "Ethernet0", 105), up(5, "Ethernet0", 105)}, map[string]int{"Ethernet0": 5}},
		"bridge":                      {[]Event{uncounted, up(5, "Ethernet0", 101)}, map[string]int{"Ethernet0": 1}},
		"created again":               {[]Event{up(5, "Ethernet0", 110), gone(5, "Ethernet0"), up(6, "Ethernet0", 0), up(6, "Ethernet0", 10)}, map[string]int{"Ethernet0": 20}},
		"gone with its last flap":     {[]Event{up(5, "Ethernet0", 110), linkEvent(netlinkraw.DelLink, 5, "Ethernet0", 111)}, map[string]int{"Ethernet0": 11}},
		"created again in an overrun": {[]Event{up(5, "Ethernet0", 110), {Kind: netlinkraw.Overrun}, dumped(up(6, "Ethernet0", 7))}, map[string]int{"Ethernet0": 17}},
		"creation lost":               {[]Event{up(6, "Ethernet0", 3)}, map[string]int{"Ethernet0": 3}},
		"renamed away and back":       {[]Event{up(5, "Ethernet0", 110), up(5, "eth7", 110), up(5, "Ethernet0", 110), up(5, "Ethernet0", 111)}, map[string]int{"Ethernet0": 11}},
		"renamed to another port":     {[]Event{up(5, "Ethernet0", 101), up(5, "Ethernet4", 101), up(5, "Ethernet4", 103)}, map[string]int{"Ethernet0": 1, "Ethernet4": 2}},
		"from another namespace":      {[]Event{up(4, "Ethernet4", 50), up(4, "Ethernet4", 51)}, map[string]int{"Ethernet4": 1}},
		"count set back":              {[]Event{up(5, "Ethernet0", 3), up(5, "Ethernet0", 4)}, map[string]int{"Ethernet0": 1}},
		"not a port":                  {[]Event{up(9, "eth0", 0), up(9, "eth0", 5)}, map[string]int{}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			s := NewState(nil)
			s.DumpRequested(1, false)
			flapsOf(t, s, dumped(up(5, "Ethernet0", 100)), Event{Kind: netlinkraw.DumpDone, Seq: 1})
			s.DumpRequested(2, true)
			if got := flapsOf(t, s, c.events...); !maps.Equal(got, c.want) {
				t.Errorf("flaps %v, want %v", got, c.want)
			}
		})
	}
}

// TestFlapsOutlivePort checks that the flaps of a deleted port are in the next sample, and that a port that
// is created again keeps its penalty.
func TestFlapsOutlivePort(t *testing.T) {
	loop := newQuietLoop()
	s := loop.Status
	p := &Port{Name: "Ethernet0", LinkState: netlinkraw.LinkState{Index: 5}, row: row{there: true}}
	now := s.clock.now()
	loop.show(p)
	s.ports.flaps.of("Ethernet0").add(3, now)
	p.row.there = false
	loop.show(p)
	s.ports.flaps.of("Ethernet0").add(4, now)
	p.row.there = true
	loop.show(p)
	if got := flapsSince(s.ports.flaps.all(), now); len(got) != 1 || got[0].Downs != 7 {
		t.Errorf("the sample has %+v, want 7 flaps", got)
	}
	if penalty := p.view.currentPenalty(); penalty.At(now) < 6900 || !penalty.Flapping(now) {
		t.Errorf("the penalty of 7 flaps is %v, flapping %v", penalty.At(now), penalty.Flapping(now))
	}
}

// TestFlapTableIsBounded checks that at most maxUnlisted names are kept while their ports are not listed, and
// that listed ports stay.
func TestFlapTableIsBounded(t *testing.T) {
	var v publishedPorts
	v.change([]*publishedPort{v.add("Ethernet0")})
	first := v.flaps.of("Ethernet0")
	first.add(1, 0)
	for i := range 3 * maxUnlisted {
		v.flaps.of(fmt.Sprintf("Ethernet-%d", i)).add(1, 0)
		if n := len(v.flaps.all()); n > maxUnlisted+1 || n != len(v.flaps.byName) {
			t.Fatalf("%d entries, %d by name, after %d names", n, len(v.flaps.byName), i)
		}
	}
	if v.flaps.of("Ethernet0") != first {
		t.Error("the listed port was removed")
	}
	if got := flapsSince(v.flaps.all(), 0); len(got) != warmrestart.MaxFlaps {
		t.Errorf("a sample names %d ports, want %d", len(got), warmrestart.MaxFlaps)
	}
	v.flaps.of("Ethernet-new").add(1, 0)
	if n := len(v.flaps.all()); n != 2 {
		t.Errorf("%d entries after all were sampled, want the listed port and the new one", n)
	}
}

// TestSamplerFlaps checks that a sample has the ports with the most flaps since the last sample.
func TestSamplerFlaps(t *testing.T) {
	loop := newQuietLoop()
	s, m := loop.Status, loop.Metrics
	sampler := Sampler{Status: s, Metrics: m}
	take := func() (line warmrestart.Sample) {
		t.Helper()
		health := Health{Status: Degraded, Score: 85}
		if err := json.Unmarshal(sampler.Append(nil, time.Now(), health, warmrestart.Counters{}), &line); err != nil {
			t.Fatal(err)
		}
		if line.Health != Degraded || line.Score != 85 || line.Process.IsZero() {
			t.Errorf("sample: %+v", line)
		}
		return line
	}
	var ports []*Port
	for i := range warmrestart.MaxFlaps + 2 {
		p := &Port{Name: fmt.Sprintf("Ethernet%d", i), LinkState: netlinkraw.LinkState{Index: int32(i + 1)}, Configured: true}
		loop.show(p)
		ports = append(ports, p)
	}
	if line := take(); line.Flaps != nil || line.Latency != nil || line.Exchanges != 0 || line.Failed != 0 {
		t.Errorf("sample without events: %+v", line)
	}
	s.rate.add(false, s.clock.now())
	s.rate.add(true, s.clock.now())
	for i, p := range ports {
		if i > 0 {
			p.view.add(uint64(i), s.clock.now())
		}
	}
	m.latency.observe(s.clock.now(), 5)
	line := take()
	if line.Exchanges != 2 || line.Failed != 1 {
		t.Errorf("%d of %d Redis requests failed, want 1 of 2", line.Failed, line.Exchanges)
	}
	last := len(ports) - 1
	if len(line.Flaps) != warmrestart.MaxFlaps || line.Flaps[0].Port != ports[last].Name ||
		line.Flaps[0].Downs != uint64(last) || line.Flaps[0].Penalty < 1000 {
		t.Errorf("flaps in the sample: %+v", line.Flaps)
	}
	if l := line.Latency; l == nil || *l != (warmrestart.Latency{Count: 1, Kept: 1, P50: 5, P95: 5, P99: 5, Max: 5}) {
		t.Errorf("latency %+v", l)
	}
	ports[3].view.add(1, s.clock.now())
	if line := take(); len(line.Flaps) != 1 || line.Flaps[0].Port != "Ethernet3" || line.Flaps[0].Downs != 1 || line.Flaps[0].PortHex != "" {
		t.Errorf("flaps in the sample: %+v", line.Flaps)
	}
	odd := &Port{Name: "Ethernet\xff", LinkState: netlinkraw.LinkState{Index: 99}, Configured: true}
	loop.show(odd)
	odd.view.add(1, s.clock.now())
	if line := take(); len(line.Flaps) != 1 || line.Flaps[0].PortHex != "45746865726e6574ff" {
		t.Errorf("flaps in the sample: %+v", line.Flaps)
	}
}
