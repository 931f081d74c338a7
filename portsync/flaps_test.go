package portsync

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"portsyncd/metrics"
	"portsyncd/warmrestart"
)

// TestFlaps: the kernel's count is followed, whatever is lost; what went before
// the port is shown does not count, nor does the count of another interface.
func TestFlaps(t *testing.T) {
	const second = int64(time.Second)
	var v portViews
	p := &Port{Name: "Ethernet0", Index: 5, Served: true, CarrierDown: 100}
	v.show(p, time.Now())
	for i, c := range []struct {
		index int32
		downs uint32
		total uint64
	}{
		{5, 100, 0}, {5, 101, 1}, {5, 105, 5}, {5, 105, 5},
		{6, 7, 5}, {6, 8, 6}, // the interface was made anew
		{6, 3, 6}, {6, 4, 7}, // it went to another namespace and came back
	} {
		p.Index, p.CarrierDown = c.index, c.downs
		p.view.heard(p, int64(i)*second)
		if got := p.view.downs.Load(); got != c.total {
			t.Fatalf("step %d: %d flaps, want %d", i, got, c.total)
		}
	}
	merit := p.view.figure()
	if got := merit.At(8 * second); got < 6900 || got > 7000 || !merit.Flapping(8*second) {
		t.Errorf("the penalty of 7 flaps is %v, flapping %v", got, merit.Flapping(8*second))
	}
}

// TestSamplerFlaps: a sample names what flapped since the one before, the worst
// first, and no more than that.
func TestSamplerFlaps(t *testing.T) {
	s := wellStatus()
	m := NewMetrics(metrics.NewSet(), s, false)
	sampler := Sampler{Status: s, Metrics: m}
	take := func() (line warmrestart.Sample) {
		t.Helper()
		health := Health{Status: Degraded, Score: 85}
		if err := json.Unmarshal(sampler.Append(nil, time.Now(), health, warmrestart.Counters{}), &line); err != nil {
			t.Fatal(err)
		}
		if line.Health != Degraded || line.Score != 85 || line.Process.IsZero() {
			t.Errorf("%+v", line)
		}
		return line
	}
	var ports []*Port
	for i := range warmrestart.MostFlaps + 2 {
		p := &Port{Name: fmt.Sprintf("Ethernet%d", i), Index: int32(i + 1), Served: true}
		s.ports.show(p, time.Now())
		ports = append(ports, p)
	}
	if line := take(); line.Flaps != nil || line.Latency != nil || line.Exchanges != 0 || line.Failed != 0 {
		t.Errorf("nothing happened: %+v", line)
	}
	s.rate.add(false, s.clock.now())
	s.failed(s.clock.now())
	for i, p := range ports {
		p.CarrierDown += uint32(i)
		p.view.heard(p, s.clock.now())
	}
	m.hour.wrote(s.clock.now(), 5)
	m.latencies.add(5)
	line := take()
	if line.Exchanges != 2 || line.Failed != 1 {
		t.Errorf("%d of %d exchanges failed, want 1 of 2", line.Failed, line.Exchanges)
	}
	last := len(ports) - 1
	if len(line.Flaps) != warmrestart.MostFlaps || line.Flaps[0].Port != ports[last].Name ||
		line.Flaps[0].Downs != uint64(last) || line.Flaps[0].Penalty < 1000 {
		t.Errorf("%+v", line.Flaps)
	}
	if l := line.Latency; l == nil || *l != (warmrestart.Latency{Count: 1, Kept: 1, P50: 5, P95: 5, P99: 5, Max: 5}) {
		t.Errorf("latency %+v", l)
	}
	ports[3].CarrierDown++
	ports[3].view.heard(ports[3], s.clock.now())
	if line := take(); len(line.Flaps) != 1 || line.Flaps[0].Port != "Ethernet3" || line.Flaps[0].Downs != 1 || line.Flaps[0].PortHex != "" {
		t.Errorf("%+v", line.Flaps)
	}
	odd := &Port{Name: "Ethernet\xff", Index: 99, Served: true}
	s.ports.show(odd, time.Now())
	odd.CarrierDown++
	odd.view.heard(odd, s.clock.now())
	if line := take(); len(line.Flaps) != 1 || line.Flaps[0].PortHex != "45746865726e6574ff" {
		t.Errorf("%+v", line.Flaps)
	}
}
