package portsync

import (
	"errors"
	"fmt"
	"testing"

	"portsyncd/netlinkraw"
)

// TestStepConcurrent checks that Step returns ErrConcurrentUse while another goroutine is inside Step.
func TestStepConcurrent(t *testing.T) {
	s := NewState(nil)
	s.busy.Store(true) // as while another goroutine is inside Step
	_, err := s.Step(&Event{Kind: netlinkraw.Overrun}, nil)
	if !errors.Is(err, ErrConcurrentUse) {
		t.Errorf("Step while another is inside: %v, want ErrConcurrentUse", err)
	}
	s.busy.Store(false)
	if _, err = s.Step(&Event{Kind: netlinkraw.Overrun}, nil); err != nil {
		t.Errorf("Step afterwards: %v", err)
	}
}

// TestNamesAreForgotten checks that names which come and go leave nothing in memory.
func TestNamesAreForgotten(t *testing.T) {
	s := NewState(nil)
	var b Batch
	for i := range int32(100) {
		var ev Event
		ev.SetName([]byte("Ethernet" + string(rune('A'+i))))
		for _, kind := range []netlinkraw.MessageType{netlinkraw.NewLink, netlinkraw.DelLink} {
			ev.Kind, ev.Index = kind, i+1
			actions, err := s.Step(&ev, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range actions {
				b.Add(a, 0)
			}
		}
		for _, p := range b.ports {
			p.Answer(OutcomeNotAccepted)
		}
		b.Complete(func(p *Port, _ pending) { s.forget(p) })
	}
	if len(s.ports) != 0 || len(s.links) != 0 {
		t.Errorf("%d names and %d links are left", len(s.ports), len(s.links))
	}
}

// TestEventName checks that names are cut to 15 bytes.
func TestEventName(t *testing.T) {
	var ev Event
	for _, c := range []struct{ in, want string }{
		{"Ethernet0", "Ethernet0"},
		{"", ""},
		{"Ethernet1234567", "Ethernet1234567"},
		{"Ethernet12345678", "Ethernet1234567"},
	} {
		ev.SetName([]byte(c.in))
		if got := string(ev.Name()); got != c.want {
			t.Errorf("SetName(%q): Name() = %q, want %q", c.in, got, c.want)
		}
	}
}

// TestCountsStay checks that a message without carrier counts (AF_BRIDGE) keeps the counts of the same
// interface, and resets those of an earlier interface with that name.
func TestCountsStay(t *testing.T) {
	s := NewState(nil)
	step := func(index int32, counted bool, downs uint32) uint32 {
		t.Helper()
		ev := Event{Kind: netlinkraw.NewLink, Index: index, Counted: counted, CarrierDown: downs}
		ev.SetName([]byte("Ethernet0"))
		if _, err := s.Step(&ev, nil); err != nil {
			t.Fatal(err)
		}
		return s.ports["Ethernet0"].CarrierDown
	}
	for _, c := range []struct {
		index   int32
		counted bool
		downs   uint32
		want    uint32
	}{{5, true, 7, 7}, {5, false, 0, 7}, {5, true, 8, 8}, {6, false, 0, 0}, {6, true, 1, 1}} {
		if got := step(c.index, c.counted, c.downs); got != c.want {
			t.Errorf("%+v: link-down count %d", c, got)
		}
	}
}

// TestEventFill checks which fields of a message are copied to the event.
func TestEventFill(t *testing.T) {
	link := netlinkraw.Link{Index: 5, Master: 6, Flags: 7, MTU: 8, CarrierUp: 9, CarrierDown: 10, HasCarrierCounts: true,
		Name: []byte("Ethernet0"), Kind: []byte("team")}
	full := Event{Kind: netlinkraw.NewLink, Index: 5, Master: 6, Flags: 7, MTU: 8, CarrierUp: 9, CarrierDown: 10, Counted: true, Team: true, At: 3, kindLen: 4}
	copy(full.linkKind[:], "team")
	full.SetName([]byte("Ethernet0"))
	as := func(kind netlinkraw.MessageType, dump bool) Event {
		ev := full
		ev.Kind, ev.Dump = kind, dump
		return ev
	}
	veth := link
	veth.Kind = []byte("veth")
	other := as(netlinkraw.NewLink, false)
	other.Team = false
	copy(other.linkKind[:], "veth")
	for name, c := range map[string]struct {
		message netlinkraw.Message
		want    Event
	}{
		"a link":             {netlinkraw.Message{Type: netlinkraw.NewLink, Link: link}, as(netlinkraw.NewLink, false)},
		"a link of a dump":   {netlinkraw.Message{Type: netlinkraw.NewLink, Link: link, Dump: true}, as(netlinkraw.NewLink, true)},
		"another kind":       {netlinkraw.Message{Type: netlinkraw.NewLink, Link: veth}, other},
		"a deletion":         {netlinkraw.Message{Type: netlinkraw.DelLink, Link: link}, as(netlinkraw.DelLink, false)},
		"an unreadable link": {netlinkraw.Message{Type: netlinkraw.Unreadable, Link: link}, as(netlinkraw.Unreadable, false)},
		"an overrun":         {netlinkraw.Message{Type: netlinkraw.Overrun}, Event{Kind: netlinkraw.Overrun, At: 3}},
		"a good dump":        {netlinkraw.Message{Type: netlinkraw.DumpDone, Seq: 4}, Event{Kind: netlinkraw.DumpDone, Seq: 4, At: 3}},
		"a failed dump":      {netlinkraw.Message{Type: netlinkraw.DumpDone, Errno: 12}, Event{Kind: netlinkraw.DumpDone, Failed: true, At: 3}},
		"a lossy dump": {netlinkraw.Message{Type: netlinkraw.DumpDone, Interrupted: true, Incomplete: true},
			Event{Kind: netlinkraw.DumpDone, Interrupted: true, Incomplete: true, At: 3}},
	} {
		ev := Event{Team: true, MTU: 99} // values from an earlier use of the slot
		ev.fill(&c.message, 3)
		if ev != c.want {
			t.Errorf("%s: %+v, want %+v", name, ev, c.want)
		}
	}
}

// TestForeignDeletion checks that the deletion of an interface with a foreign name is processed only if the
// interface is tracked under another name.
func TestForeignDeletion(t *testing.T) {
	gone := func(master int32, team bool) *Event {
		ev := linkEvent(netlinkraw.DelLink, 5, "eth5", 0)
		ev.Master, ev.Team = master, team
		return &ev
	}
	for name, c := range map[string]struct {
		set  func(s *State)
		ev   *Event
		want IgnoreReason
	}{
		"never known":                          {func(s *State) {}, gone(0, false), IgnoredName},
		"never known, bridge":                  {func(s *State) {}, gone(3, false), IgnoredName},
		"never known, team":                    {func(s *State) {}, gone(0, true), IgnoredName},
		"of an earlier run":                    {func(s *State) { s.AddOld(5, "Ethernet0") }, gone(0, false), IgnoredOld},
		"of an earlier run, leaves its bridge": {func(s *State) { s.AddOld(5, "Ethernet0") }, gone(3, false), IgnoredMaster},
	} {
		s := NewState(nil)
		c.set(s)
		actions, err := s.Step(c.ev, nil)
		if err != nil || len(actions) != 1 || actions[0] != ignore(c.want) {
			t.Errorf("%s: %+v, %v; want Ignore with reason %v", name, actions, err, c.want)
		}
		if kept := len(s.old) == 1; kept != (c.want == IgnoredMaster) {
			t.Errorf("%s: kept %t", name, kept)
		}
	}
	s := NewState(nil)
	ev := linkEvent(netlinkraw.NewLink, 5, "Ethernet0", 0)
	s.Step(&ev, nil)
	if actions, _ := s.Step(gone(0, false), nil); len(actions) != 1 || actions[0].Kind != Delete || len(s.links) != 0 {
		t.Errorf("renamed and deleted: %+v", actions)
	}
}

// TestSwept checks the rows of ports after the rows of STATE_DB were listed.
func TestSwept(t *testing.T) {
	old, known := row{unknown: true}, row{there: true, mtu: 1500}
	for name, c := range map[string]struct {
		is         row
		index      int32
		configured bool
		there      bool
		want       row
	}{
		"row was deleted":           {known, 3, true, false, row{}},
		"row exists":                {known, 3, true, true, known},
		"old row with an interface": {old, 3, true, true, row{unknown: true, there: true}},
		"old row of a port that CONFIG_DB does not have": {old, 3, false, true, old},
		"old row without an interface":                   {old, 0, true, true, row{}},
		"no old row":                                     {old, 3, true, false, row{}},
		"row of a deleted interface":                     {known, 0, true, true, known},
	} {
		s := NewState(nil)
		s.unswept = true
		p := s.port([]byte("Ethernet0"))
		p.row, p.Index, p.Configured = c.is, c.index, c.configured
		s.untouch()
		s.Swept(map[string]bool{"Ethernet0": c.there})
		if p.row != c.want || s.unswept || p.touched != (c.is != c.want) {
			t.Errorf("%s: %+v, want %+v; to be published: %t", name, p.row, c.want, p.touched)
		}
	}
}

// TestChangesBeforeStart checks that the last change of a link whose first message comes before the end
// of the initial dump is unknown until the journal provides it, that a later message replaces it, and
// that times in the future are ignored.
func TestChangesBeforeStart(t *testing.T) {
	s := NewState(nil)
	s.DumpRequested(1, false)
	step := func(ev Event, name string) {
		t.Helper()
		ev.SetName([]byte(name))
		if _, err := s.Step(&ev, nil); err != nil {
			t.Fatal(err)
		}
	}
	message := func(at int64, index int32, name string, mtu uint32, dump bool) {
		t.Helper()
		step(Event{Kind: netlinkraw.NewLink, Index: index, At: at, MTU: mtu, Dump: dump}, name)
	}
	want := func(step string, at ...int64) {
		t.Helper()
		for i, want := range at {
			if got := s.ports[fmt.Sprint("Ethernet", i)].lastChange(); got != want {
				t.Errorf("%s: Ethernet%d changed last at %d, want %d", step, i, got, want)
			}
		}
	}
	for i := range 4 {
		message(100, int32(i+1), fmt.Sprint("Ethernet", i), 9100, true)
	}
	message(110, 5, "Ethernet4", 9100, false)
	message(120, 2, "Ethernet1", 1500, false)
	message(125, 6, "Ethernet5", 9100, false)
	step(Event{Kind: netlinkraw.DelLink, Index: 6, At: 130}, "Ethernet5")
	message(135, 7, "Ethernet5", 9100, false)
	want("initial dump", 0, 120, 0, 0, 0, 135)
	step(Event{Kind: netlinkraw.DumpDone, Seq: 1, At: 140}, "")
	message(150, 8, "Ethernet6", 9100, false)
	want("after the initial dump", 0, 120, 0, 0, 0, 135, 150)
	s.untouch()
	s.SetChanges(map[string]int64{"Ethernet0": -50, "Ethernet1": -60, "Ethernet2": 201, "Ethernet4": -70, "Ethernet8": -80}, 200)
	want("after the journal", -50, 120, 0, 0, -70, 135, 150)
	for name, p := range s.ports {
		if changed := name == "Ethernet0" || name == "Ethernet4"; p.touched != changed {
			t.Errorf("%s is to be published after the journal: %t, want %t", name, p.touched, changed)
		}
	}
	message(300, 1, "Ethernet0", 9100, false)
	message(310, 3, "Ethernet2", 1500, false)
	want("later messages", -50, 120, 310, 0, -70, 135, 150)
	s.DumpRequested(2, false)
	message(400, 9, "Ethernet7", 9100, true)
	want("resync", -50, 120, 310, 0, -70, 135, 150, 400)
}
