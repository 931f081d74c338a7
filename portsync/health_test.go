package portsync

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
)

// kept is a Keeper with an answer for each question.
type kept struct {
	trouble  []string
	overdue  string
	restarts []warmrestart.Restart
}

// overdueAt is when what is overdue should have been written.
var overdueAt = time.Date(2026, 11, 24, 7, 31, 5, 0, time.UTC)

func (k *kept) Problems() []string { return k.trouble }
func (k *kept) Overdue(now time.Time) (string, time.Time, bool) {
	return k.overdue, overdueAt, k.overdue != ""
}
func (k *kept) Restarts() []warmrestart.Restart { return k.restarts }

// wellStatus is that of a loop that has been running for an hour, without fault.
func wellStatus() *Status {
	s := new(Status)
	s.begin(clock{base: time.Now().Add(-time.Hour)})
	s.maxStall.Store(int64(10 * time.Second))
	s.setMaxFailures(0.05)
	s.connect()
	for _, flag := range []interface{ Store(bool) }{&s.started, &s.ready, &s.synced, &s.initDone} {
		flag.Store(true)
	}
	return s
}

func newTestMonitor(s *Status, r RecorderStatus) (*HealthMonitor, *metrics.Set) {
	set := metrics.NewSet()
	return NewHealthMonitor(s, r, set), set
}

// setMaxFailures sets the limit of failsMoreThan.
func (s *Status) setMaxFailures(rate float64) { s.maxFailureRate.Store(int64(math.Float64bits(rate))) }

// refuse sets whether the databases refuse what is asked of them.
func (s *Status) refuse(words ...string) {
	if len(words) == 0 {
		s.refusal.Store(nil)
	} else {
		s.refusal.Store(&words[0])
	}
	s.poke()
}

// connect begins the connection.
func (s *Status) connect() {
	s.connected.Store(true)
	s.connection.Store(&connection{up: true, since: s.clock.now()})
}

// disconnect ends the connection.
func (s *Status) disconnect() {
	s.connected.Store(false)
	s.connection.Store(&connection{since: s.clock.now(), err: errServerGone.Error()})
}

// desync has the state out of step with the kernel since a time.
func (s *Status) desync(since int64) {
	s.synced.Store(false)
	s.unsynced.Store(since)
}

// exchanges notes so many, of which some failed.
func exchanges(s *Status, failed, all int) {
	for i := range all {
		s.rate.add(i < failed, s.clock.now())
	}
}

// advance lets time go by.
func (s *Status) advance(d time.Duration) { s.clock.base = s.clock.base.Add(-d) }

// situation is one in which health may have something to say.
type situation struct {
	name       string
	begin, end func(s *Status, k *kept)
	want       string // the code of the one reason, "" for none
	text       string // its text
}

// situations names all of them.
func situations() []situation {
	now := time.Now()
	starts := func(n int) (all []warmrestart.Restart) {
		for i := range n {
			at := now.Add(-time.Duration(i) * time.Minute)
			all = append(all, warmrestart.Restart{At: at, Kind: warmrestart.Warm, LastAlive: at.Add(-time.Second)})
		}
		return all
	}
	storm, _ := warmrestart.RestartStorm(starts(3), now)
	status := func(f func(s *Status)) func(*Status, *kept) { return func(s *Status, _ *kept) { f(s) } }
	keeper := func(f func(k *kept)) func(*Status, *kept) { return func(_ *Status, k *kept) { f(k) } }
	nothing := func(*Status, *kept) {}
	connect := status(func(s *Status) { s.connect() })
	accept := status(func(s *Status) { s.refuse() })
	return []situation{
		{"all is well", nothing, nil, "", ""},

		{"no try to connect has ended", status(func(s *Status) {
			s.connected.Store(false)
			s.connection.Store(&connection{})
		}), connect, "database_down", "no connection to the databases yet"},
		{"the server closed the connection", status(func(s *Status) { s.disconnect() }), connect,
			"database_down", "no connection to the databases: the server closed the connection"},
		{"a try to connect failed", status(func(s *Status) {
			s.disconnect()
			s.sought(errors.New("connect to APPL_DB: redis: LOADING Redis is loading the dataset in memory"))
		}), connect, "database_down", "no connection to the databases: connect to APPL_DB: redis: LOADING Redis is loading the dataset in memory"},
		{"the server's words are long and not for terminals", status(func(s *Status) {
			s.disconnect()
			s.sought(errors.New("redis: \x1b[2J\n" + strings.Repeat("x", 5000)))
		}), connect, "database_down", `no connection to the databases: redis: \x1b[2J\n` + strings.Repeat("x", mostOfError-12) + "..."},

		{"a read is refused", status(func(s *Status) {
			s.refuse("list the ports of CONFIG_DB: redis: NOPERM this user has no permissions to run the 'keys' command")
		}), accept, "database_refusing", "the databases refuse a command: list the ports of CONFIG_DB: redis: " +
			"NOPERM this user has no permissions to run the 'keys' command"},
		{"a write is refused", status(func(s *Status) { s.refuse("publish to STATE_DB: redis: OOM command not allowed") }), accept,
			"database_refusing", "the databases refuse a command: publish to STATE_DB: redis: OOM command not allowed"},
		{"a refusal is long and not for terminals", status(func(s *Status) { s.refuse("redis: \r" + strings.Repeat("\"", 5000)) }), accept,
			"database_refusing", `the databases refuse a command: redis: \r` + strings.Repeat("\"", mostOfError-8) + "..."},

		{"the initial sync is under way", status(func(s *Status) { s.ready.Store(false) }), status(func(s *Status) { s.ready.Store(true) }),
			"start_incomplete", "the initial sync is not complete"},

		{"a list of links was asked for just now", status(func(s *Status) { s.desync(s.clock.now() - int64(dumpGrace)*9/10) }), nil, "", ""},
		{"a list of links is not complete for long", status(func(s *Status) { s.desync(s.clock.now() - int64(2*dumpGrace)) }),
			status(func(s *Status) { s.synced.Store(true) }),
			"dump_incomplete", "the kernel's list of links has not been complete for 2s"},
		{"no list of links was asked for yet", status(func(s *Status) { s.synced.Store(false); s.started.Store(false) }), nil, "", ""},

		{"rows wait for a moment", status(func(s *Status) { s.stalledFrom.Store(s.clock.now() - int64(9900*time.Millisecond)) }), nil, "", ""},
		{"rows wait for long", status(func(s *Status) { s.stalledFrom.Store(s.clock.now() - int64(20*time.Second)) }),
			status(func(s *Status) { s.stalledFrom.Store(0) }),
			"stalled", "rows have been waiting for 20s without an answer of the databases"},
		{"rows may wait for ever", status(func(s *Status) {
			s.maxStall.Store(0)
			s.stalledFrom.Store(s.clock.now() - int64(20*time.Minute))
		}), nil, "", ""},

		{"two exchanges failed", status(func(s *Status) { exchanges(s, 2, 2) }), nil, "", ""},
		{"three exchanges failed", status(func(s *Status) { exchanges(s, 3, 3) }), status(func(s *Status) { s.advance(time.Minute + 6*time.Second) }),
			"failure_rate", "3 of 3 exchanges with the databases failed in the last minute"},
		{"few exchanges failed", status(func(s *Status) { exchanges(s, 8, 100) }), nil, "", ""}, // 8 %, but perhaps 4 %
		{"many exchanges failed", status(func(s *Status) { exchanges(s, 20, 100) }), status(func(s *Status) { exchanges(s, 0, 2000) }),
			"failure_rate", "20 of 100 exchanges with the databases failed in the last minute"},

		{"PortInitDone is late for ports", status(func(s *Status) { s.initPending.Store(3); s.initLate.Store(true) }),
			status(func(s *Status) { s.initLate.Store(false) }), "port_init_late", "ports that PortInitDone still waits for: 3"},
		{"PortInitDone is late and all ports have come", status(func(s *Status) { s.initLate.Store(true) }),
			status(func(s *Status) { s.initLate.Store(false) }), "port_init_late", "PortInitDone is late; it waits for no port any more"},

		{"one port is missing", status(func(s *Status) { s.missing.Store(&missingPorts{1, "Ethernet4"}) }),
			status(func(s *Status) { s.missing.Store(nil) }), "ports_missing", "a configured port has no interface: Ethernet4"},
		{"two ports are missing", status(func(s *Status) { s.missing.Store(&missingPorts{2, "Ethernet4, Ethernet8"}) }),
			status(func(s *Status) { s.missing.Store(nil) }), "ports_missing", "2 configured ports have no interface: Ethernet4, Ethernet8"},

		{"an audit found rows wrong", status(func(s *Status) { s.mismatched.Store(2) }), status(func(s *Status) { s.mismatched.Store(0) }),
			"audit_mismatch", "the last audit found 2 rows of STATE_DB wrong"},

		{"messages were dropped", status(func(s *Status) { s.overran.Store(s.clock.now()) }), status(func(s *Status) { s.advance(overrunFor) }),
			"overrun", "link messages were dropped in the last minute"},
		{"messages were dropped long ago", status(func(s *Status) { s.overran.Store(s.clock.now() - int64(overrunFor)) }), nil, "", ""},

		{"CONFIG_DB alone is away", status(func(s *Status) { s.lostConfig(errServerGone) }), status(func(s *Status) { s.lostConfig(nil) }),
			"config_db_down", "CONFIG_DB is not connected; STATE_DB is written: the server closed the connection"},

		{"a link message cannot be read", status(func(s *Status) { names := "Ethernet0"; s.unread.Store(&names) }),
			status(func(s *Status) { s.unread.Store(nil) }), "link_unreadable",
			"link messages too large to be read, so these rows stay as they are: Ethernet0"},

		{"an HTTP address is not served", status(func(s *Status) { s.SetListenersDown(":9101: no such device") }),
			status(func(s *Status) { s.SetListenersDown("") }), "listener_down",
			"HTTP addresses that are not served: :9101: no such device"},

		{"files cannot be written", keeper(func(k *kept) { k.trouble = []string{"full", "broken"} }), keeper(func(k *kept) { k.trouble = nil }),
			"disk", "full; broken"},
		{"no file is in trouble", keeper(func(k *kept) { k.trouble = []string{} }), nil, "", ""},
		{"a file is old", keeper(func(k *kept) { k.overdue = "the history" }), keeper(func(k *kept) { k.overdue = "" }),
			"snapshot_old", "the history should have been written at " + overdueAt.Format(time.RFC3339)},

		{"there were two starts", keeper(func(k *kept) { k.restarts = starts(2) }), nil, "", ""},
		{"there were three starts", keeper(func(k *kept) { k.restarts = starts(3) }), keeper(func(k *kept) { k.restarts = nil }),
			"restart_storm", storm.Text},
	}
}

// TestConditions: in each situation there is the one reason with the right words, or
// none; it ends with its cause, says so for two seconds, and is gone then.
func TestConditions(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range situations() {
		t.Run(c.name, func(t *testing.T) {
			s, k := wellStatus(), new(kept)
			c.begin(s, k)
			m, _ := newTestMonitor(s, k)
			m.checkRestarts() // as Watch does
			h := m.Health()
			if c.want == "" {
				if h.Status != Healthy || h.Score != 100 || len(h.Reasons) != 0 {
					t.Errorf("unwell: %+v", h)
				}
				return
			}
			seen[c.want] = true
			i := slices.IndexFunc(HealthCodes[:], func(code HealthCode) bool { return code.Code == c.want })
			code := HealthCodes[i]
			if len(h.Reasons) != 1 || h.Reasons[0].Code != c.want || h.Reasons[0].Text != c.text {
				t.Fatalf("%+v, want one reason %s with %q", h, c.want, c.text)
			}
			if r := h.Reasons[0]; h.Status != code.Severity || r.Severity != code.Severity || h.Score != 100-code.Deduction {
				t.Errorf("%+v, want %+v", h, code)
			}
			if age := s.clock.now() - s.clock.reading(h.Reasons[0].Since); age < 0 || age > int64(time.Minute) {
				t.Errorf("since %v, which is %v ago", h.Reasons[0].Since, time.Duration(age))
			}
			before := s.clock.now()
			c.end(s, k)
			m.checkRestarts()
			// Nothing lingers from before the end of the initial sync.
			if s.clock.now()-before < int64(reasonHold) && c.want != "start_incomplete" {
				if h := m.Health(); len(h.Reasons) != 1 || h.Status != code.Severity || h.Reasons[0].Text != endedText {
					t.Errorf("right after its end: %+v, want %q", h, endedText)
				}
				s.advance(reasonHold)
			}
			if h := m.Health(); h.Status != Healthy || h.Score != 100 || len(h.Reasons) != 0 {
				t.Errorf("after its end: %+v", h)
			}
		})
	}
	for _, code := range HealthCodes {
		if !seen[code.Code] {
			t.Errorf("no situation leads to %s", code.Code)
		}
	}
}

// TestConditionsBegin: what depends on time begins at its limit and not before.
func TestConditionsBegin(t *testing.T) {
	for _, c := range []struct {
		code  string
		begin func(s *Status)
		limit time.Duration
	}{
		{"dump_incomplete", func(s *Status) { s.desync(s.clock.now()) }, dumpGrace},
		{"stalled", func(s *Status) { s.stalledFrom.Store(s.clock.now()) }, 10 * time.Second},
	} {
		t.Run(c.code, func(t *testing.T) {
			s := wellStatus()
			m, _ := newTestMonitor(s, nil)
			c.begin(s)
			s.advance(c.limit * 9 / 10)
			if h := m.Health(); h.Codes() != "" {
				t.Errorf("before its time: %+v", h)
			}
			s.advance(c.limit / 10)
			if h := m.Health(); h.Codes() != c.code {
				t.Errorf("after %v: %+v", c.limit, h)
			}
		})
	}
}

// TestHealthCodes: each is a word, grave or not, and costs something; the grave
// ones come first, as whoever reads from the top expects.
func TestHealthCodes(t *testing.T) {
	seen, degraded := make(map[string]bool), false
	for _, c := range HealthCodes {
		if c.Code == "" || seen[c.Code] || c.Deduction <= 0 || c.Deduction > 100 {
			t.Errorf("%+v", c)
		}
		seen[c.Code] = true
		switch c.Severity {
		case Degraded:
			degraded = true
		case Unhealthy:
			if degraded {
				t.Errorf("%s is grave and comes late", c.Code)
			}
		default:
			t.Errorf("%+v", c)
		}
	}
}

// TestHealthWords: the forms of a reason for people.
func TestHealthWords(t *testing.T) {
	var h Health
	if got, want := (&HealthReason{Code: "disk", Text: "full", Deduction: 15}).String(), "disk: full (-15)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	h.Reasons = []HealthReason{{Code: "stalled"}, {Code: "disk"}}
	if got := h.Codes(); got != "stalled,disk" {
		t.Errorf("codes: %q", got)
	}
}

// TestHealthDisabled: a daemon that is not to synchronise anything is neither well
// nor unwell, and waits for nothing.
func TestHealthDisabled(t *testing.T) {
	s := new(Status)
	s.Disable()
	s.begin(clock{base: time.Now()})
	m, set := newTestMonitor(s, new(kept))
	if h := m.Health(); h.Status != Disabled || h.Score != 100 || h.Reasons == nil || len(h.Reasons) != 0 {
		t.Errorf("%+v", h)
	}
	if text := string(set.AppendText(nil)); !strings.Contains(text, "\nportsyncd_healthy 1\n") || strings.Contains(text, "} 1\n") {
		t.Errorf("a scrape shows %s", text)
	}
	v := s.View(time.Now())
	if v.Pending == nil || len(v.Pending) != 0 || v.Databases == nil || len(v.Databases) != 0 || !strings.Contains(v.Start.Reason, "daemon.enabled is false") {
		t.Errorf("the view: %+v", v)
	}
}

// TestHealthGauges: what a scrape shows.
func TestHealthGauges(t *testing.T) {
	s, k := wellStatus(), new(kept)
	_, set := newTestMonitor(s, k)
	check := func(healthy string, codes ...string) {
		t.Helper()
		text := "\n" + string(set.AppendText(nil))
		if !strings.Contains(text, "\nportsyncd_healthy "+healthy+"\n") {
			t.Errorf("want portsyncd_healthy %s in %s", healthy, text)
		}
		for _, c := range HealthCodes {
			want := "0"
			if slices.Contains(codes, c.Code) {
				want = "1"
			}
			if series := `portsyncd_health_reason{code="` + c.Code + `"} ` + want; !strings.Contains(text, "\n"+series+"\n") {
				t.Errorf("want %s in %s", series, text)
			}
		}
	}
	check("1")
	k.trouble = []string{"full"}
	check("1", "disk")
	s.refuse("OOM")
	check("0", "disk", "database_refusing")
}

// TestHealthAllocatesNothing: neither while all is well nor while it is not.
func TestHealthAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations cannot be counted under the race detector")
	}
	s, k := wellStatus(), new(kept)
	m, set := newTestMonitor(s, k)
	var b []byte
	check := func() {
		t.Helper()
		b = set.AppendText(b[:0])
		if n := testing.AllocsPerRun(200, func() { b = set.AppendText(b[:0]); m.evaluate() }); n != 0 {
			t.Errorf("%v allocations per scrape, %+v", n, m.Health())
		}
	}
	check()
	exchanges(s, 20, 100)
	s.overran.Store(s.clock.now())
	k.trouble, k.overdue = []string{"full"}, "the history"
	check()
}
