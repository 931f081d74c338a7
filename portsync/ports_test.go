package portsync

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// newQuietLoop returns a loop without connections that makes no decisions of its own.
func newQuietLoop() *Loop {
	status := new(Status)
	l := NewLoop(Options{Status: status, Open: new(Connector), Metrics: NewMetrics(metrics.NewSet(), status, true)})
	l.initial.decision, l.state.synced = new(Decision), true
	l.publishStatus()
	return l
}

// show publishes the current state of ports.
func (l *Loop) show(ports ...*Port) {
	for _, p := range ports {
		l.state.touch(p)
	}
	l.publishStatus()
}

// TestPorts checks the state of a present port and of a pending port with an odd name, the order of
// ports, and that a port which nothing refers to any more is not listed.
func TestPorts(t *testing.T) {
	l := newQuietLoop()
	base := time.Date(2026, 11, 24, 7, 31, 5, 0, time.UTC)
	l.Status.clock.base = base
	here := &Port{Name: "Ethernet4", LinkState: netlinkraw.LinkState{Index: 7, Admin: true, MTU: 9100, CarrierUp: 1, CarrierDown: 2},
		ChangedAt: int64(time.Second), Configured: true}
	here.row = rowOf(here)
	odd := &Port{Name: "Ethernet\"\x01\xff", InitPending: true}
	l.show(odd, here)
	changed := base.Add(time.Second)
	want := []PortView{
		{Name: "Ethernet4", State: "present", Present: true, Written: true, Configured: true, LastChange: &changed,
			Index: 7, Admin: "up", Oper: "down", MTU: 9100, CarrierUp: 1, CarrierDown: 2},
		{Name: odd.Name, State: "pending", InitPending: true, Written: true, Reason: "no_interface"},
	}
	if got := l.Status.Ports(base); !reflect.DeepEqual(got, want) {
		t.Errorf("Ports:\n%+v\nwant:\n%+v", got, want)
	}
	for _, v := range want {
		if got, found := l.Status.Port(v.Name, base); !found || !reflect.DeepEqual(got, v) {
			t.Errorf("Port(%q) = %+v, %v, want %+v", v.Name, got, found, v)
		}
	}
	for _, name := range []string{"", "Ethernet", "Ethernet40", "zz"} {
		if got, found := l.Status.Port(name, base); found {
			t.Errorf("Port(%q) = %+v, want no port", name, got)
		}
	}
	odd.InitPending = false
	l.show(odd)
	if n := len(l.Status.ports.all()); n != 1 || odd.view != nil {
		t.Errorf("%d ports are listed after one of two was removed, want 1", n)
	}
}

// TestCompareNames checks the natural order of names with and without numbers.
func TestCompareNames(t *testing.T) {
	names := []string{"PortChannel1", "Ethernet100", "Ethernet-BP0", "Ethernet20", "Ethernet3", "Ethernet", "Ethernet4.10"}
	slices.SortFunc(names, compareNames)
	want := []string{"Ethernet", "Ethernet3", "Ethernet20", "Ethernet100", "Ethernet4.10", "Ethernet-BP0", "PortChannel1"}
	if !slices.Equal(names, want) {
		t.Errorf("sorted: %q, want %q", names, want)
	}
}

// exposed returns the value of a series, or "" if the series does not exist.
func exposed(set *metrics.Set, series string) string {
	for line := range strings.Lines(string(set.AppendText(nil))) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
