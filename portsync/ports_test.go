package portsync

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/metrics"
)

// newQuietLoop returns a loop that talks to nobody and decides nothing by itself.
func newQuietLoop() *Loop {
	status := new(Status)
	l := NewLoop(Options{Status: status, Open: new(Connector), Metrics: NewMetrics(metrics.NewSet(), status, true)})
	l.decision = new(Decision)
	return l
}

// show publishes ports as they are.
func (l *Loop) show(ports ...*Port) {
	for _, p := range ports {
		l.state.touch(p)
	}
	l.publishStatus()
}

func TestAppendPorts(t *testing.T) {
	l := newQuietLoop()
	l.Status.clock.base = time.Date(2026, 11, 24, 7, 31, 5, 0, time.UTC)
	second := int64(time.Second)
	here := &Port{Name: "Ethernet4", Index: 7, Admin: true, MTU: 9100, CarrierUp: 1, CarrierDown: 2, ChangedAt: second, Configured: true}
	here.row = rowOf(here)
	strange := &Port{Name: "Ethernet\"\x01\xff", InitPending: true}
	l.show(strange, here)
	const want = `{"schema":1,"ports":[
{"name":"Ethernet4","present":true,"init_pending":false,"state":"present","written":true,"configured":true,"last_change":"2026-11-24T07:31:06Z","ifindex":7,"admin":"up","oper":"down","mtu":9100,"carrier_up":1,"carrier_down":2},
{"name":"Ethernet\"\u0001` + "\ufffd" + `","name_hex":"45746865726e65742201ff","present":false,"init_pending":true,"state":"pending","written":true,"configured":false}
]}
`
	got := string(l.Status.AppendPorts(nil))
	if got != want {
		t.Errorf("AppendPorts:\n%s\nwant:\n%s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("that is not JSON")
	}
	strange.InitPending = false
	l.show(strange)
	if n := len(l.Status.ports.all()); n != 1 || strange.view != nil {
		t.Errorf("%d ports are shown after one of two went", n)
	}
}

func TestCompareNames(t *testing.T) {
	names := []string{"PortChannel1", "Ethernet100", "Ethernet-BP0", "Ethernet20", "Ethernet3", "Ethernet", "Ethernet4.10"}
	slices.SortFunc(names, compareNames)
	want := []string{"Ethernet", "Ethernet3", "Ethernet20", "Ethernet100", "Ethernet4.10", "Ethernet-BP0", "PortChannel1"}
	if !slices.Equal(names, want) {
		t.Errorf("sorted: %q, want %q", names, want)
	}
}

// exposed returns the value of a series, "" if there is none.
func exposed(set *metrics.Set, series string) string {
	for line := range strings.Lines(string(set.AppendText(nil))) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
