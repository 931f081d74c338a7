package portsync

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/netlinkraw"
)

// TestLack names each situation of a port that has no row in STATE_DB, and what is
// said of it.
func TestLack(t *testing.T) {
	message := func(s *State, kind netlinkraw.MessageType, index int32, name string, team bool) {
		ev := &Event{Kind: kind, Index: index, Team: team}
		ev.SetName([]byte(name))
		if _, err := s.Step(ev, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		port string
		do   func(s *State, p *Port)
		want string
	}{
		{"nothing was heard of it", "Ethernet0", func(s *State, p *Port) {}, "it has no interface"},
		{"its interface is gone", "Ethernet0", func(s *State, p *Port) {
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
			s.Accept(p, false)
			message(s, netlinkraw.DelLink, 3, "Ethernet0", false)
		}, "it has no interface"},
		{"an interface with another name", "eth7", func(s *State, p *Port) { message(s, netlinkraw.NewLink, 3, "eth7", false) },
			"interfaces whose name begins with neither Ethernet nor PortChannel are ignored"},
		{"an interface of an earlier run", "Ethernet0", func(s *State, p *Port) { s.AddOld(3, "Ethernet0") },
			"its interface is left over from an earlier run and is ignored until it is created again"},
		{"an interface of an earlier run that was renamed", "Ethernet0", func(s *State, p *Port) {
			s.AddOld(3, "Ethernet4")
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
		}, "its interface is left over from an earlier run and is ignored until it is created again"},
		{"an interface of an earlier run that was deleted", "Ethernet0", func(s *State, p *Port) {
			s.AddOld(3, "Ethernet0")
			message(s, netlinkraw.DelLink, 3, "Ethernet0", false)
		}, "it has no interface"},
		{"an interface of kind team", "Ethernet0", func(s *State, p *Port) { message(s, netlinkraw.NewLink, 3, "Ethernet0", true) },
			"its interface is of kind team and is ignored"},
		{"a message that cannot be read", "Ethernet0", func(s *State, p *Port) { message(s, netlinkraw.Unreadable, 3, "Ethernet0", false) },
			"the kernel's messages about its interface cannot be read"},
		{"the row is to be written", "Ethernet0", func(s *State, p *Port) { message(s, netlinkraw.NewLink, 3, "Ethernet0", false) },
			"its interface exists; its row in STATE_DB is not written yet"},
		{"APPL_DB had no row", "Ethernet0", func(s *State, p *Port) {
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
			s.Accept(p, false)
		}, "its interface exists, but APPL_DB had no row of it at its last message"},
		{"APPL_DB had no row, and there is another message", "Ethernet0", func(s *State, p *Port) {
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
			s.Accept(p, false)
			p.pending.queued = true
		}, "its interface exists; its row in STATE_DB is not written yet"},
		{"APPL_DB had no row for another interface", "Ethernet0", func(s *State, p *Port) {
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
			s.Accept(p, false)
			message(s, netlinkraw.DelLink, 3, "Ethernet0", false)
			message(s, netlinkraw.NewLink, 4, "Ethernet0", false)
		}, "its interface exists; its row in STATE_DB is not written yet"},
		{"the row is refused", "Ethernet0", func(s *State, p *Port) {
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
			p.refused = true
		}, "its interface exists, but the databases refuse its row"},
		{"it has its row", "Ethernet0", func(s *State, p *Port) {
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
			s.Accept(p, true)
			p.row = rowOf(p)
		}, "its row is in STATE_DB"},
		{"its row is out of date", "Ethernet0", func(s *State, p *Port) {
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
			s.Accept(p, true)
			p.row = row{there: true, mtu: 68}
		}, "its interface exists; its row in STATE_DB is not written yet"},
		{"its row is out of date, and APPL_DB has lost the port", "Ethernet0", func(s *State, p *Port) {
			message(s, netlinkraw.NewLink, 3, "Ethernet0", false)
			s.Accept(p, false)
			p.row = row{there: true, mtu: 68}
		}, "its interface exists, but APPL_DB had no row of it at its last message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewState(nil)
			s.synced = true
			s.Configure([]string{c.port})
			p := s.ports[c.port]
			s.touched, p.touched = nil, false
			c.do(s, p)
			if got := s.lackOf(p).String(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if s.lackOf(p) != lackInterface && c.port == "Ethernet0" && !slices.Contains(s.touched, p) {
				t.Error("it is not published")
			}
		})
	}
}

// TestAbsentWithoutInterface checks that only a port without any interface is absent: if an interface
// with its name exists but is ignored, the port is pending. Each reason has a code of its own.
func TestAbsentWithoutInterface(t *testing.T) {
	codes := make(map[string]lack)
	for why := lackNothing; why <= lackWrite; why++ {
		p := &Port{wasThere: true}
		want := PortPending
		if why == lackInterface {
			want = PortAbsent
		}
		if got := p.state(why); got != want {
			t.Errorf("%v: %v, want %v", why, got, want)
		}
		if other, found := codes[why.code()]; found {
			t.Errorf("%v and %v have the code %q", other, why, why.code())
		}
		codes[why.code()] = why
	}
}

// TestPending names each situation in which something is waited for, and what is
// said of it.
func TestPending(t *testing.T) {
	loading := errors.New("connect to APPL_DB: redis: LOADING Redis is loading the dataset in memory")
	for _, c := range []struct {
		name string
		set  func(s *Status)
		want []string
	}{
		{"all is done", func(*Status) {}, nil},
		{"no connection yet", func(s *Status) { s.connection.Store(&connection{}) }, []string{"databases: no connection"}},
		{"the connection was lost", func(s *Status) { s.disconnect() }, []string{"databases: the server closed the connection"}},
		{"a try to connect failed", func(s *Status) { s.disconnect(); s.setConnectError(loading) }, []string{"databases: " + loading.Error()}},
		{"the start is not acknowledged", func(s *Status) { s.started.Store(false) },
			[]string{"start: the databases have not acknowledged the first writes yet"}},
		{"links are listed", func(s *Status) { s.desync(s.clock.now()) }, []string{"kernel: the dump of all links is not complete"}},
		{"rows wait", func(s *Status) { s.backlog.Store(3); s.backlogSince.Store(s.clock.now()) }, []string{"write: 3 rows to be written"}},
		{"one row waits", func(s *Status) { s.backlog.Store(1); s.backlogSince.Store(s.clock.now()) }, []string{"write: 1 row to be written"}},
		{"ports pending", func(s *Status) { s.initDone.Store(false); s.initPending.Store(2); s.configured.Store(1) },
			[]string{"PortInitDone: 2 ports pending"}},
		{"no port pending any more", func(s *Status) { s.initDone.Store(false) }, []string{"PortInitDone: about to be written"}},
		{"a port pending", showPort(PortPending, lackInterface, true, true), []string{"Ethernet0: it has no interface"}},
		{"a pending port that existed", showPort(PortAbsent, lackInterface, true, true), []string{"Ethernet0: it has no interface"}},
		{"a pending port that was removed from CONFIG_DB", showPort(PortPending, lackInterface, false, true), []string{"Ethernet0: it has no interface"}},
		{"a port added later", showPort(PortPending, lackInterface, true, false), []string{"Ethernet0: it has no interface"}},
		{"a port was added and is not in APPL_DB", showPort(PortPending, lackApplied, true, false),
			[]string{"Ethernet0: its interface exists, but APPL_DB had no row of it at its last message"}},
		{"a port is absent", showPort(PortAbsent, lackInterface, true, false), nil}, // health tells of it
		{"a port is not configured", showPort(PortPending, lackApplied, false, false), nil},
		{"a port is present", showPort(PortPresent, lackNothing, true, false), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := healthyStatus()
			s.decided.Store(&Decision{})
			c.set(s)
			var got []string
			for _, p := range s.View(time.Now()).Pending {
				got = append(got, p.What+": "+p.Why)
				if age := time.Since(p.From); age < -time.Second || age > 2*time.Hour {
					t.Errorf("%s waits since %v", p.What, p.From)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// showPort shows one port in a state.
func showPort(state PortState, why lack, configured, initPending bool) func(s *Status) {
	return func(s *Status) {
		v := s.ports.add("Ethernet0")
		v.configured.Store(configured)
		v.initPending.Store(initPending)
		v.pendingSince.Store(s.clock.now())
		v.state.Store(int64(state))
		v.lack.Store(int64(why))
		s.ports.change([]*publishedPort{v})
	}
}

// TestPrintable: foreign text is cut and escaped, whatever it holds.
func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		text, want string
		most       int
	}{
		{"Ethernet0", "Ethernet0", 32},
		{"", "", 32},
		{`a "quoted" word`, `a "quoted" word`, 32},
		{"line\nbreak\x1b[2J\x00", `line\nbreak\x1b[2J\x00`, 32},
		{"\xff\xfe", `\xff\xfe`, 32},
		{"café", "café", 5},
		{"café!", "café...", 5},
		{"café", "caf...", 4}, // not half a character
		{strings.Repeat("\xbf", 40), strings.Repeat(`\xbf`, 32) + "...", 32},
	} {
		if got := printable(c.text, c.most); got != c.want {
			t.Errorf("printable(%q, %d): %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

// TestLackBeforeDump checks that a port is not said to have no interface before the first dump is complete,
// and that the end of the dump publishes it.
func TestLackBeforeDump(t *testing.T) {
	s := NewState(nil)
	s.Configure([]string{"Ethernet0", "Ethernet4"})
	s.DumpRequested(1, false)
	without, with := s.ports["Ethernet0"], s.ports["Ethernet4"]
	ev := linkEvent(netlinkraw.NewLink, 3, "Ethernet4", 0)
	if _, err := s.Step(&ev, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.lackOf(without); got != lackDump || s.lackOf(with) == lackDump {
		t.Errorf("before the end of the dump: %q, and %q with an interface", got, s.lackOf(with))
	}
	s.untouch()
	if _, err := s.Step(&Event{Kind: netlinkraw.DumpDone, Seq: 1}, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.lackOf(without); got != lackInterface || !slices.Contains(s.touched, without) {
		t.Errorf("after the dump: %q, published: %t", got, slices.Contains(s.touched, without))
	}
}
