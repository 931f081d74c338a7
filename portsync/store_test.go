package portsync

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"testing"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/netlinkraw"
)

// stored are databases on in-memory servers: one of all, or two of which the second has
// STATE_DB.
type stored struct {
	*Databases
	t           *testing.T
	appl, state *lab.DB
}

// serveLab serves an in-memory database, which notifies as SONiC's does, and returns its
// socket.
func serveLab(t *testing.T) (*lab.DB, string) {
	t.Helper()
	db, socket := lab.NewDB(lab.DBOptions{Notify: "AKE"}), filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go db.Serve(listener)
	t.Cleanup(func() { db.Close() })
	return db, socket
}

// labMap has STATE_DB on the second server and the others on the first.
func labMap(t *testing.T, first, second string) *sonicdb.Map {
	t.Helper()
	m, err := sonicdb.ParseMap("map", fmt.Appendf(nil, `{
		"INSTANCES": {"a": {"unix_socket_path": %q}, "b": {"unix_socket_path": %q}},
		"DATABASES": {"APPL_DB": {"id": 0, "separator": ":", "instance": "a"},
			"CONFIG_DB": {"id": 4, "separator": "|", "instance": "a"},
			"STATE_DB": {"id": 6, "separator": "|", "instance": "b"}}}`, first, second))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newStored(t *testing.T, servers int) *stored {
	t.Helper()
	s := &stored{t: t}
	var first, second string
	s.appl, first = serveLab(t)
	s.state, second = s.appl, first
	if servers == 2 {
		s.state, second = serveLab(t)
	}
	m := labMap(t, first, second)
	var err error
	if s.Databases, err = openDatabases(context.Background(), m, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Databases.Close() })
	if s.shared != (servers == 1) {
		t.Fatalf("one server: %t, want %t", s.shared, servers == 1)
	}
	return s
}

// do runs a command in APPL_DB (0), CONFIG_DB (4) or STATE_DB (6).
func (s *stored) do(db int, args ...string) {
	s.t.Helper()
	server := s.appl
	if db == lab.StateDB {
		server = s.state
	}
	if _, err := server.Do(db, args...); err != nil {
		s.t.Fatalf("%q: %v", args, err)
	}
}

// onServers runs a test on one server and on two.
func onServers(t *testing.T, f func(t *testing.T, s *stored)) {
	for servers := 1; servers <= 2; servers++ {
		t.Run(fmt.Sprintf("servers=%d", servers), func(t *testing.T) { f(t, newStored(t, servers)) })
	}
}

// portRow are the fields that portsyncd writes.
func portRow(oper, admin, mtu string) map[string]string {
	return map[string]string{"state": "ok", "netdev_oper_status": oper, "admin_status": admin, "mtu": mtu}
}

// wanted is what a test wants of a port, in the letters of sonicdb.MirrorScript.
func wanted(name, word string) *Port {
	p := &Port{Name: name, LinkState: netlinkraw.LinkState{Index: 3, Admin: true, MTU: 9100}}
	switch word {
	case sonicdb.MirrorSet:
		p.pending.set = true
	case sonicdb.MirrorReplace:
		p.pending.set, p.pending.del = true, true
	case sonicdb.MirrorDelete:
		p.pending.del = true
	case sonicdb.MirrorDeleteCheck:
		p.pending.del, p.pending.lookup = true, true
	}
	return p
}

// TestPublish checks that Publish writes, deletes or leaves each row and sets the outcome of each
// port, on one server and on two.
func TestPublish(t *testing.T) {
	foreign := map[string]string{"speed": "100000"}
	row, both := portRow("down", "up", "9100"), portRow("down", "up", "9100")
	both["speed"] = "100000"
	cases := []struct {
		name, word string
		appl       bool              // APPL_DB has the port
		before     map[string]string // the row in STATE_DB; nil: a string is in its place
		after      map[string]string
		outcome    Outcome
	}{
		{"Ethernet0", sonicdb.MirrorSet, true, foreign, both, OutcomeAccepted},
		{"Ethernet1", sonicdb.MirrorSet, false, foreign, foreign, OutcomeNotAccepted},
		{"Ethernet2", sonicdb.MirrorReplace, true, foreign, row, OutcomeAccepted},
		{"Ethernet3", sonicdb.MirrorReplace, false, foreign, nil, OutcomeNotAccepted},
		{"Ethernet4", sonicdb.MirrorDelete, true, foreign, nil, OutcomeNotAccepted},
		{"Ethernet5", sonicdb.MirrorDeleteCheck, true, foreign, nil, OutcomeAccepted},
		{"Ethernet6", sonicdb.MirrorDeleteCheck, false, foreign, nil, OutcomeNotAccepted},
		{"Ethernet7", sonicdb.MirrorSet, true, nil, nil, OutcomeRefused},
		{"Ethernet8", sonicdb.MirrorReplace, true, nil, row, OutcomeAccepted},
	}
	onServers(t, func(t *testing.T, s *stored) {
		var ports []*Port
		for _, c := range cases {
			if c.appl {
				s.do(lab.ApplDB, "HSET", "PORT_TABLE:"+c.name, "lanes", "0")
			}
			if c.before == nil {
				s.do(lab.StateDB, "SET", "PORT_TABLE|"+c.name, "no hash")
			}
			for field, value := range c.before {
				s.do(lab.StateDB, "HSET", "PORT_TABLE|"+c.name, field, value)
			}
			ports = append(ports, wanted(c.name, c.word))
		}
		if err := s.Publish(ports); !isServerError(err) {
			t.Errorf("error %v, want that of the row which is none", err)
		}
		for i, c := range cases {
			if got := ports[i].pending.result; got != c.outcome {
				t.Errorf("%s: outcome %d, want %d", c.name, got, c.outcome)
			}
			if c.outcome == OutcomeRefused {
				continue // no row to be read
			}
			if got := s.state.Hash(lab.StateDB, "PORT_TABLE|"+c.name); !maps.Equal(got, c.after) {
				t.Errorf("%s: the row is %v, want %v", c.name, got, c.after)
			}
		}
	})
}

// TestPublishRefused checks that rows refused for the moment stay in the backlog, and that a lost
// connection is another error, after which the loop reads no outcome.
func TestPublishRefused(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, which := range []string{"APPL_DB", "STATE_DB"} {
			onServers(t, func(t *testing.T, s *stored) {
				s.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet0", "lanes", "0")
				server, fault := s.appl, lab.Fault{Error: lab.OutOfMemory}
				if which == "STATE_DB" {
					server = s.state
				}
				if lost {
					fault = lab.Fault{CutAfter: 1}
				}
				server.SetFault(fault)
				for _, word := range []string{sonicdb.MirrorReplace, sonicdb.MirrorSet} {
					p := wanted("Ethernet0", word)
					p.Answer(OutcomeAccepted)
					err := s.Publish([]*Port{p})
					if err == nil || isServerError(err) == lost || !lost && p.pending.result != OutcomeFailed {
						t.Errorf("%s, lost %t: outcome %d, %v", which, lost, p.pending.result, err)
					}
				}
				if lost {
					return
				}
				server.SetFault(lab.Fault{})
				p := wanted("Ethernet0", sonicdb.MirrorSet)
				if err := s.Publish([]*Port{p}); err != nil || p.pending.result != OutcomeAccepted {
					t.Errorf("%s again: outcome %d, %v", which, p.pending.result, err)
				}
			})
		}
	}
}

// TestAuditAndCompare checks that a row that lacks a field or has another value differs, that a
// row of portsyncd without an interface is stale, and that rows of other daemons are left alone.
func TestAuditAndCompare(t *testing.T) {
	onServers(t, func(t *testing.T, s *stored) {
		rows := []struct {
			name   string
			fields []string
			equal  bool
		}{
			{"Ethernet0", []string{"state", "ok", "netdev_oper_status", "down", "admin_status", "up", "mtu", "9100"}, true},
			{"Ethernet1", []string{"netdev_oper_status", "down", "admin_status", "up", "mtu", "9100"}, false},
			{"Ethernet2", []string{"state", "ok", "netdev_oper_status", "up", "admin_status", "up", "mtu", "9100"}, false},
			{"Ethernet3", []string{"state", "ok", "netdev_oper_status", "down", "admin_status", "down", "mtu", "9100"}, false},
			{"Ethernet4", []string{"state", "ok", "netdev_oper_status", "down", "admin_status", "up", "mtu", "910"}, false},
		}
		var ports []*Port
		var differing []string
		for _, r := range rows {
			s.do(lab.StateDB, append([]string{"HSET", "PORT_TABLE|" + r.name}, r.fields...)...)
			s.do(lab.ApplDB, "HSET", "PORT_TABLE:"+r.name, "lanes", "0")
			ports = append(ports, wanted(r.name, sonicdb.MirrorSet))
			if !r.equal {
				differing = append(differing, r.name)
			}
		}
		s.do(lab.StateDB, "HSET", "PORT_TABLE|Ethernet9", "state", "ok", "netdev_oper_status", "up")
		s.do(lab.StateDB, "HSET", "PORT_TABLE|foreign", "state", "ok")
		s.do(lab.ApplDB, "HSET", "PORT_TABLE:PortConfigDone", "count", "7")
		res, err := s.Audit(ports, func(name string) bool { return name < "Ethernet9" })
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range res.Differing {
			names = append(names, p.Name)
		}
		if !slices.Equal(names, differing) || !slices.Equal(res.Stale, []string{"Ethernet9"}) || len(res.Rows) != len(rows)+2 || !res.Rows["foreign"] {
			t.Errorf("differing %q, stale %q, rows %v", names, res.Stale, res.Rows)
		}
		if want := (Counts{Markers: Markers{ConfigDone: true}, Announced: 7, Rows: len(rows)}); res.Counts != want {
			t.Errorf("counts %+v, want %+v", res.Counts, want)
		}

		unknown, gone := wanted("Ethernet8", sonicdb.MirrorSet), wanted("Ethernet0", sonicdb.MirrorReplace)
		if err := s.Compare(append(ports, unknown, gone)); err != nil {
			t.Fatal(err)
		}
		for i, r := range rows {
			if got, want := ports[i].pending.result, OutcomeFailed; (got == OutcomeAccepted) != r.equal || !r.equal && got != want {
				t.Errorf("%s compares as %d", r.name, got)
			}
		}
		if unknown.pending.result != OutcomeNotAccepted || gone.pending.result != OutcomeFailed {
			t.Errorf("without a row in APPL_DB: %d; to be deleted: %d", unknown.pending.result, gone.pending.result)
		}
	})
}

// TestHandover checks what Produce and ProduceInitDone write for orchagent, and what Facts and
// Markers read of it.
func TestHandover(t *testing.T) {
	onServers(t, func(t *testing.T, s *stored) {
		s.do(lab.ConfigDB, "HSET", "PORT|Ethernet0", "lanes@", "0,1")
		s.do(lab.ConfigDB, "HSET", "PORT|Ethernet4", "lanes", "4")
		s.do(lab.ConfigDB, "SET", "PORT|Ethernet8", "no hash")
		s.do(lab.ConfigDB, "HSET", "DEVICE_METADATA|localhost", "switch_type", "dpu")
		s.do(lab.StateDB, "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
		for _, admin := range []bool{false, true} {
			facts, err := s.Facts()
			if err != nil || len(facts.Ports) != 2 || len(facts.PortErrors) != 1 || facts.SwitchType != "dpu" || !facts.WarmEnabled || facts.InitDone {
				t.Fatalf("%+v, %v", facts, err)
			}
			slices.SortFunc(facts.Ports, func(a, b PortConfig) int { return compareNames(a.Name, b.Name) })
			if p := facts.Ports[0]; p.HasAdmin != admin || facts.Ports[1].HasAdmin || p.Fields[0].Field != "lanes" || p.Fields[0].Value != "0,1" {
				t.Errorf("%+v", facts.Ports)
			}
			s.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet0", "admin_status", "up")
		}
		ports, _, err := s.Ports()
		if err != nil {
			t.Fatal(err)
		}
		check := func(want Markers) {
			t.Helper()
			if got, err := s.Markers(); err != nil || got != want {
				t.Errorf("markers %+v, %v; want %+v", got, err, want)
			}
		}
		check(Markers{})
		if skipped, err := s.Produce(ports); skipped != nil || err != nil {
			t.Error(skipped, err)
		}
		check(Markers{ConfigDone: true})
		if err := s.ProduceInitDone(); err != nil {
			t.Error(err)
		}
		check(Markers{ConfigDone: true, InitDone: true})
		s.do(lab.ApplDB, "DEL", "PORT_TABLE_KEY_SET") // orchagent pops them
		check(Markers{})
		s.do(lab.ApplDB, "HSET", "PORT_TABLE:PortInitDone", "lanes", "0")
		check(Markers{InitDone: true})
		if facts, err := s.Facts(); err != nil || !facts.InitDone {
			t.Errorf("%+v, %v", facts, err)
		}
		if err := s.SetRestoreCount("5"); err != nil {
			t.Error(err)
		}
		if facts, err := s.Facts(); err != nil || facts.RestoreCount != "5" {
			t.Errorf("%+v, %v", facts, err)
		}
	})
}

// TestStoreErrors checks that each request returns an error if the server refuses or is gone, and
// that the two errors differ.
func TestStoreErrors(t *testing.T) {
	exists := func(string) bool { return false }
	for name, do := range map[string]func(s *stored) error{
		"Facts":           func(s *stored) error { _, err := s.Facts(); return err },
		"SetRestoreCount": func(s *stored) error { return s.SetRestoreCount("1") },
		"Ports":           func(s *stored) error { _, _, err := s.Ports(); return err },
		"Produce":         func(s *stored) error { _, err := s.Produce([]PortConfig{{Name: "Ethernet0"}}); return err },
		"ProduceInitDone": func(s *stored) error { return s.ProduceInitDone() },
		"Markers":         func(s *stored) error { _, err := s.Markers(); return err },
		"Count":           func(s *stored) error { _, err := s.Count(); return err },
		"Compare":         func(s *stored) error { return s.Compare([]*Port{wanted("Ethernet0", sonicdb.MirrorSet)}) },
		"Audit":           func(s *stored) error { _, err := s.Audit(nil, exists); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStored(t, 1)
			s.do(lab.ConfigDB, "HSET", "PORT|Ethernet0", "lanes", "0")
			s.appl.SetFault(lab.Fault{Error: lab.Loading})
			if err := do(s); !isServerError(err) || !sonicdb.Temporary(err) {
				t.Errorf("refused: %v", err)
			}
			s.appl.SetFault(lab.Fault{})
			if err := do(s); err != nil {
				t.Errorf("answered: %v", err)
			}
			s.appl.SetFault(lab.Fault{CutAfter: 1})
			if err := do(s); err == nil || isServerError(err) {
				t.Errorf("gone: %v", err)
			}
		})
	}
}

// TestStoreDenied checks that each request returns an error if the server denies one of its reads. A
// denied read says nothing about a row: a row must not count as absent or as wrong because of it.
func TestStoreDenied(t *testing.T) {
	gone := func(string) bool { return false }
	for _, c := range []struct {
		name     string
		do       func(s *stored) error
		commands []string
	}{
		{"Facts", func(s *stored) error { _, err := s.Facts(); return err }, []string{"hget", "keys", "exists", "hgetall", "hexists"}},
		{"Ports", func(s *stored) error { _, _, err := s.Ports(); return err }, []string{"keys", "hgetall", "exists", "hexists"}},
		{"Markers", func(s *stored) error { _, err := s.Markers(); return err }, []string{"exists", "sismember"}},
		{"Count", func(s *stored) error { _, err := s.Count(); return err }, []string{"hmget", "keys"}},
		{"Compare", func(s *stored) error { return s.Compare([]*Port{wanted("Ethernet0", sonicdb.MirrorSet)}) }, []string{"exists", "hmget"}},
		{"Audit", func(s *stored) error {
			_, err := s.Audit([]*Port{wanted("Ethernet0", sonicdb.MirrorSet)}, gone)
			return err
		}, []string{"hmget", "keys", "hexists"}},
		{"Produce", func(s *stored) error { _, err := s.Produce([]PortConfig{{Name: "Ethernet0"}}); return err }, []string{"eval"}},
	} {
		for _, command := range c.commands {
			t.Run(c.name+"/"+command, func(t *testing.T) {
				s := newStored(t, 1)
				s.do(lab.ConfigDB, "HSET", "PORT|Ethernet0", "lanes", "0")
				s.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet0", "admin_status", "up")
				s.do(lab.StateDB, "HSET", "PORT_TABLE|Ethernet0", fieldOper, "up")
				s.appl.SetFault(lab.Fault{Command: command, Error: "NOPERM this user has no permissions to run the command"})
				if err := c.do(s); !sonicdb.Denied(err) {
					t.Errorf("denied: %v", err)
				}
				s.appl.SetFault(lab.Fault{})
				if err := c.do(s); err != nil {
					t.Errorf("permitted: %v", err)
				}
			})
		}
	}
}
