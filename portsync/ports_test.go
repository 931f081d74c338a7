package portsync

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

func TestAppendPorts(t *testing.T) {
	var s Status
	day := time.Date(2026, 11, 24, 7, 31, 5, 0, time.UTC)
	here := &Port{Name: "Ethernet4", Index: 7, Served: true, Admin: true, MTU: 9100, CarrierUp: 1, CarrierDown: 2}
	strange := &Port{Name: "Ethernet\"\x01\xff", Awaited: true}
	s.ports.show(strange, day)
	s.ports.show(here, day)
	s.ports.show(here, day.Add(time.Hour)) // nothing has changed
	const want = `{"schema":1,"ports":[
{"name":"Ethernet4","present":true,"awaited":false,"ifindex":7,"admin":"up","oper":"down","mtu":9100,"carrier_up":1,"carrier_down":2,"last_change":"2026-11-24T07:31:05Z"},
{"name":"Ethernet\"\u0001` + "\ufffd" + `","present":false,"awaited":true}
]}
`
	got := string(s.AppendPorts(nil))
	if got != want {
		t.Errorf("AppendPorts:\n%s\nwant:\n%s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("that is not JSON")
	}
	here.Served = false
	s.ports.show(here, day)
	if n := len(s.ports.all()); n != 1 || here.view != nil {
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
