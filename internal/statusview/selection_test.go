package statusview

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/portsync"
)

// TestSelection checks which ports are selected and their order, for names, aliases, filters and
// sort orders.
func TestSelection(t *testing.T) {
	s := describedSwitch()
	s.Ports = s.Ports[:6]
	s.Ports[1].Oper = "down"
	s.Ports[2].Flapping, s.Ports[2].CarrierDown = true, 100
	s.Ports[4].Admin, s.Ports[4].Oper, s.Ports[4].LastChange, s.Ports[4].CarrierUp = "down", "down", nil, 50
	for _, c := range []struct {
		x    Selection
		want string
	}{
		{Selection{}, "0 4 8 12 16 20"},
		{Selection{Ports: []string{"Ethernet8", "etp1"}}, "0 8"},
		{Selection{Down: true}, "4 16"},
		{Selection{Flapping: true}, "8"},
		{Selection{Down: true, Flapping: true}, ""},
		{Selection{Ports: []string{"Ethernet0"}, Down: true}, ""},
		{Selection{Sort: "changes"}, "8 16 0 4 12 20"},
		{Selection{Sort: "last"}, "0 4 8 12 20 16"},
		{Selection{Sort: "last", Down: true}, "4 16"},
		{Selection{Sort: "name"}, "0 4 8 12 16 20"},
	} {
		ports, err := c.x.Apply(s)
		var got []string
		for _, v := range ports {
			got = append(got, strings.TrimPrefix(v.Name, "Ethernet"))
		}
		if strings.Join(got, " ") != c.want || err != nil {
			t.Errorf("%+v: got %q, %v, want %q", c.x, got, err, c.want)
		}
	}
	for _, name := range []string{"Ethernet1", "", "ethernet0", "\x1b[2J"} {
		if _, err := (&Selection{Ports: []string{"Ethernet0", name}}).Apply(s); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("unknown port %q", name)) {
			t.Errorf("%q: got error %v", name, err)
		}
	}
	if _, err := (&Selection{Ports: []string{"Ethernet0"}}).Apply(new(Status)); err == nil {
		t.Error("no error for a port of a daemon without ports")
	}
}

// TestOnePort compares the text for one port with golden files: a port that is up, and a port without
// an interface that has hostile values.
func TestOnePort(t *testing.T) {
	s := describedSwitch()
	s.Ports[4] = portsync.PortView{Name: "Ethernet16", State: "pending", InitPending: true, Configured: true, Written: true, PortInfo: s.Ports[4].PortInfo}
	s.Pending = []portsync.Pending{{What: "Ethernet16", Why: "no interface", From: *before(90 * 1e9)}}
	for _, name := range []string{"Ethernet0", "Ethernet16"} {
		s.Events = nil
		if name == "Ethernet0" {
			s.Events = []journal.Event{{Time: *before(time.Hour), Kind: journal.LinkDown, Port: name}, {Time: *before(time.Minute), Kind: journal.LinkUp, Port: name}}
		}
		text, err := s.AppendSelection(nil, Terminal{Width: 80}, &Selection{Ports: []string{name}})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "status-port-"+name+".txt", text)
		if wrong := checkText(text, Terminal{Width: 80}); wrong != "" {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// TestSelectionText checks that the states of the daemon and of all ports precede the selected ports,
// that an empty selection says so, and that the text fits on a small terminal in the given order.
func TestSelectionText(t *testing.T) {
	s := switchOf(64)
	for i := range 9 {
		s.Ports[7*i+1].Oper = "down"
	}
	text, err := s.AppendSelection(nil, Terminal{Height: 24}, &Selection{Down: true})
	if err != nil || !strings.Contains(string(text), "ports      55 of 64 up") || strings.Count(string(text), "no carrier") != 9 ||
		!strings.Contains(string(text), "daemon     in sync") {
		t.Errorf("--down: %v\n%s", err, text)
	}
	text, err = s.AppendSelection(nil, Terminal{}, &Selection{Flapping: true})
	if err != nil || !strings.Contains(string(text), "no port matches") {
		t.Errorf("--flapping: %v\n%s", err, text)
	}
	s.Ports[63].CarrierDown = 1000
	text, err = s.AppendSelection(nil, Terminal{Height: 24}, &Selection{Sort: "changes"})
	_, table, _ := strings.Cut(string(text), "NOTE\n")
	if err != nil || !strings.HasPrefix(table, "Ethernet252 ") || strings.Count(string(text), "\n") != 24 {
		t.Errorf("--sort changes: %v\n%s", err, text)
	}
}

// TestSmallTerminal checks that 24 lines are enough for all problem ports of a switch with 64 ports,
// without the facts that need no attention.
func TestSmallTerminal(t *testing.T) {
	s := switchOf(64)
	for i := range 9 {
		s.Ports[7*i+1].Oper = "down"
	}
	text := string(s.AppendText(nil, Terminal{Height: 24, Width: 80}))
	if strings.Count(text, "no carrier") != 9 || strings.Contains(text, "restarts") || strings.Count(text, "\n") != 24 {
		t.Errorf("got\n%s", text)
	}
	s.Databases[0].Up, s.Databases[0].Error = false, "connection refused"
	if text := string(s.AppendText(nil, Terminal{Height: 24})); !strings.Contains(text, "connection refused") {
		t.Errorf("a lost database is not shown in\n%s", text)
	}
}

// TestOnePortNotDumped checks that nothing is claimed about the interface and the row of a port before the
// daemon knows the interfaces.
func TestOnePortNotDumped(t *testing.T) {
	s := describedSwitch()
	s.Ports = []portsync.PortView{{Name: "Ethernet0", State: "pending", Configured: true, Written: true, Reason: "not_dumped"}}
	s.Pending = nil
	text, err := s.AppendSelection(nil, Terminal{}, &Selection{Ports: []string{"Ethernet0"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"state      pending\n", "interface  not known yet\n", "STATE_DB   not known yet\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}
