package portsync

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
)

// fakeRecorder is a RecorderStatus with fixed answers.
type fakeRecorder struct {
	problems []string
	overdue  string
	restarts []warmrestart.Restart
}

// overdueAt is when the overdue file should have been written.
var overdueAt = time.Date(2026, 11, 24, 7, 31, 5, 0, time.UTC)

func (r *fakeRecorder) Problems() []string { return r.problems }
func (r *fakeRecorder) Overdue(now time.Time) (string, time.Time, bool) {
	return r.overdue, overdueAt, r.overdue != ""
}
func (r *fakeRecorder) Restarts() []warmrestart.Restart { return r.restarts }

// healthyStatus returns the status of a loop that has been healthy for an hour.
func healthyStatus() *Status {
	s := new(Status)
	s.begin(clock{base: time.Now().Add(-time.Hour)}, nil)
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

// setMaxFailures sets the limit for the failure rate.
func (s *Status) setMaxFailures(rate float64) { s.maxFailureRate.Store(int64(math.Float64bits(rate))) }

// refuse sets the error of a refused command, or with no argument clears it.
func (s *Status) refuse(words ...string) {
	if len(words) == 0 {
		s.refusal.Store(nil)
	} else {
		s.refusal.Store(&words[0])
	}
	s.wake()
}

// connect marks the databases as connected.
func (s *Status) connect() {
	s.connected.Store(true)
	s.connection.Store(&connection{up: true, since: s.clock.now()})
}

// disconnect marks the databases as disconnected.
func (s *Status) disconnect() {
	s.connected.Store(false)
	s.connection.Store(&connection{since: s.clock.now(), err: errServerGone.Error()})
}

// desync marks the state as not in sync with the kernel since a time.
func (s *Status) desync(since int64) {
	s.synced.Store(false)
	s.unsynced.Store(since)
	s.dumpFrom.Store(since)
}

// addRequests counts Redis requests, some of which failed.
func addRequests(s *Status, failed, all int) {
	for i := range all {
		s.rate.add(i < failed, s.clock.now())
	}
}

// advance moves the clock forward.
func (s *Status) advance(d time.Duration) { s.clock.base = s.clock.base.Add(-d) }

// healthCase is a fault, or something close to one, and the reason expected for it.
type healthCase struct {
	name       string
	begin, end func(s *Status, k *fakeRecorder)
	want       string // code of the only reason, "" for none
	text       string // of the reason
}

func healthCases() []healthCase {
	now := time.Now()
	starts := func(n int) (all []warmrestart.Restart) {
		for i := range n {
			at := now.Add(-time.Duration(i) * time.Minute)
			all = append(all, warmrestart.Restart{At: at, Kind: warmrestart.Warm, LastAlive: at.Add(-time.Second)})
		}
		return all
	}
	storm, _ := warmrestart.RestartStorm(starts(3), now)
	status := func(f func(s *Status)) func(*Status, *fakeRecorder) { return func(s *Status, _ *fakeRecorder) { f(s) } }
	recorder := func(f func(r *fakeRecorder)) func(*Status, *fakeRecorder) {
		return func(_ *Status, r *fakeRecorder) { f(r) }
	}
	nothing := func(*Status, *fakeRecorder) {}
	connect := status(func(s *Status) { s.connect() })
	accept := status(func(s *Status) { s.refuse() })
	return []healthCase{
		{"no fault", nothing, nil, "", ""},

		{"first connection attempt under way", status(func(s *Status) {
			s.connected.Store(false)
			s.connection.Store(&connection{})
		}), connect, "database_down", "not connected to the databases yet"},
		{"connection closed by Redis", status(func(s *Status) { s.disconnect() }), connect,
			"database_down", "no connection to the databases: the server closed the connection"},
		{"connection attempt failed", status(func(s *Status) {
			s.disconnect()
			s.setConnectError(errors.New("connect to APPL_DB: redis: LOADING Redis is loading the dataset in memory"))
		}), connect, "database_down", "no connection to the databases: connect to APPL_DB: redis: LOADING Redis is loading the dataset in memory"},
		{"long error with control characters", status(func(s *Status) {
			s.disconnect()
			s.setConnectError(errors.New("redis: \x1b[2J\n" + strings.Repeat("x", 5000)))
		}), connect, "database_down", `no connection to the databases: redis: \x1b[2J\n` + strings.Repeat("x", maxErrorText-12) + "..."},

		{"read refused", status(func(s *Status) {
			s.refuse("list the ports in CONFIG_DB: redis: NOPERM this user has no permissions to run the 'keys' command")
		}), accept, "database_refusing", "Redis refused a command: list the ports in CONFIG_DB: redis: " +
			"NOPERM this user has no permissions to run the 'keys' command"},
		{"write refused", status(func(s *Status) { s.refuse("write rows to STATE_DB: redis: OOM command not allowed") }), accept,
			"database_refusing", "Redis refused a command: write rows to STATE_DB: redis: OOM command not allowed"},
		{"long refusal with control characters", status(func(s *Status) { s.refuse("redis: \r" + strings.Repeat("\"", 5000)) }), accept,
			"database_refusing", `Redis refused a command: redis: \r` + strings.Repeat("\"", maxErrorText-8) + "..."},

		{"initial sync under way", status(func(s *Status) { s.ready.Store(false) }), status(func(s *Status) { s.ready.Store(true) }),
			"start_incomplete", "the initial sync is not complete"},

		{"dump requested just now", status(func(s *Status) { s.desync(s.clock.now() - int64(dumpTimeLimit)*9/10) }), nil, "", ""},
		{"dump incomplete for too long", status(func(s *Status) { s.desync(s.clock.now() - int64(2*dumpTimeLimit)) }),
			status(func(s *Status) { s.synced.Store(true) }),
			"dump_incomplete", "no complete list of links from the kernel for 2s"},
		{"no dump requested yet", status(func(s *Status) { s.synced.Store(false); s.started.Store(false) }), nil, "", ""},

		{"stalled for less than the limit", status(func(s *Status) { s.stalledSince.Store(s.clock.now() - int64(9900*time.Millisecond)) }), nil, "", ""},
		{"stalled for longer than the limit", status(func(s *Status) { s.stalledSince.Store(s.clock.now() - int64(20*time.Second)) }),
			status(func(s *Status) { s.stalledSince.Store(0) }),
			"stalled", "no reply from the databases for 20s while rows wait to be written"},
		{"stalled without a limit", status(func(s *Status) {
			s.maxStall.Store(0)
			s.stalledSince.Store(s.clock.now() - int64(20*time.Minute))
		}), nil, "", ""},

		{"two requests failed", status(func(s *Status) { addRequests(s, 2, 2) }), nil, "", ""},
		{"three requests failed", status(func(s *Status) { addRequests(s, 3, 3) }), status(func(s *Status) { s.advance(time.Minute + 6*time.Second) }),
			"failure_rate", "3 of 3 Redis requests failed in the last minute"},
		{"few requests failed", status(func(s *Status) { addRequests(s, 8, 100) }), nil, "", ""}, // 8%, with a lower bound of 4%
		{"many requests failed", status(func(s *Status) { addRequests(s, 20, 100) }), status(func(s *Status) { addRequests(s, 0, 2000) }),
			"failure_rate", "20 of 100 Redis requests failed in the last minute"},

		{"PortInitDone late, ports pending", status(func(s *Status) { s.initPending.Store(3); s.initLate.Store(true) }),
			status(func(s *Status) { s.initLate.Store(false) }), "port_init_late", "PortInitDone is late; pending ports: 3"},
		{"PortInitDone late, no port pending", status(func(s *Status) { s.initLate.Store(true) }),
			status(func(s *Status) { s.initLate.Store(false) }), "port_init_late", "PortInitDone is late; no port is pending any more"},

		{"one port missing", status(func(s *Status) { s.missing.Store(&missingPorts{gone: 1, goneNames: "Ethernet4"}) }),
			status(func(s *Status) { s.missing.Store(nil) }), "ports_missing", "a configured port has no interface: Ethernet4"},
		{"two ports missing", status(func(s *Status) { s.missing.Store(&missingPorts{gone: 2, goneNames: "Ethernet4, Ethernet8"}) }),
			status(func(s *Status) { s.missing.Store(nil) }), "ports_missing", "2 configured ports have no interface: Ethernet4, Ethernet8"},
		{"an ignored interface", status(func(s *Status) { s.missing.Store(&missingPorts{old: 1, oldNames: "Ethernet4"}) }),
			status(func(s *Status) { s.missing.Store(nil) }), "ports_missing",
			"a configured port has only an interface of an earlier run, which is ignored until it is created again: Ethernet4"},
		{"a missing port and ignored interfaces", status(func(s *Status) {
			s.missing.Store(&missingPorts{gone: 1, goneNames: "Ethernet0", old: 2, oldNames: "Ethernet4, Ethernet8"})
		}), status(func(s *Status) { s.missing.Store(nil) }), "ports_missing", "a configured port has no interface: Ethernet0; " +
			"2 configured ports have only interfaces of an earlier run, which are ignored until they are created again: Ethernet4, Ethernet8"},

		{"audit found wrong rows", status(func(s *Status) { s.mismatched.Store(2) }), status(func(s *Status) { s.mismatched.Store(0) }),
			"audit_mismatch", "the last audit found 2 wrong rows in STATE_DB"},

		{"messages dropped", status(func(s *Status) { s.overrunAt.Store(s.clock.now()) }), status(func(s *Status) { s.advance(overrunHold) }),
			"overrun", "the kernel dropped link messages in the last minute"},
		{"messages dropped a minute ago", status(func(s *Status) { s.overrunAt.Store(s.clock.now() - int64(overrunHold)) }), nil, "", ""},

		{"only CONFIG_DB disconnected", status(func(s *Status) { s.setConfigError(nil, errServerGone) }), status(func(s *Status) { s.setConfigError(nil, nil) }),
			"config_db_down", "no connection to CONFIG_DB; STATE_DB is still updated: the server closed the connection"},

		{"ports of CONFIG_DB not readable", status(func(s *Status) { denied := "redis: NOPERM"; s.portsUnread.Store(&denied) }),
			status(func(s *Status) { s.portsUnread.Store(nil) }),
			"config_db_down", "cannot read the ports in CONFIG_DB: redis: NOPERM"},

		{"unreadable link message", status(func(s *Status) { names := "Ethernet0"; s.unread.Store(&names) }),
			status(func(s *Status) { s.unread.Store(nil) }), "link_unreadable",
			"link messages are too large to read; the rows of these ports are not updated: Ethernet0"},

		{"HTTP listener down", status(func(s *Status) { s.SetListenersDown(":9101: no such device") }),
			status(func(s *Status) { s.SetListenersDown("") }), "listener_down",
			"HTTP listeners are down: :9101: no such device"},

		{"files cannot be written", recorder(func(r *fakeRecorder) { r.problems = []string{"full", "broken"} }), recorder(func(r *fakeRecorder) { r.problems = nil }),
			"disk", "full; broken"},
		{"no file with errors", recorder(func(r *fakeRecorder) { r.problems = []string{} }), nil, "", ""},
		{"file overdue", recorder(func(r *fakeRecorder) { r.overdue = "the history" }), recorder(func(r *fakeRecorder) { r.overdue = "" }),
			"snapshot_old", "the history should have been written at " + overdueAt.Format(time.RFC3339)},

		{"two starts", recorder(func(r *fakeRecorder) { r.restarts = starts(2) }), nil, "", ""},
		{"three starts", recorder(func(r *fakeRecorder) { r.restarts = starts(3) }), recorder(func(r *fakeRecorder) { r.restarts = nil }),
			"restart_storm", storm.Text},
	}
}

// TestConditions checks for each fault that health has exactly the expected reason with the
// expected text, that the reason is held for reasonHold after the fault ended, and that health
// is healthy again after that.
func TestConditions(t *testing.T) {
	seen := make(map[string]bool)
	for i, c := range healthCases() {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that no time passes meanwhile
				checkCondition(t, healthCases()[i], seen)
			})
		})
	}
	for _, code := range HealthCodes {
		if !seen[code.Code] {
			t.Errorf("no case leads to %s", code.Code)
		}
	}
}

// checkCondition is TestConditions for one fault. It adds the code of the reason to seen.
func checkCondition(t *testing.T, c healthCase, seen map[string]bool) {
	s, r := healthyStatus(), new(fakeRecorder)
	c.begin(s, r)
	m, _ := newTestMonitor(s, r)
	m.checkRestarts() // as Watch does
	h := m.Health()
	if c.want == "" {
		if h.Status != Healthy || h.Score != 100 || len(h.Reasons) != 0 {
			t.Errorf("got %+v, want no reason", h)
		}
		return
	}
	seen[c.want] = true
	i := slices.IndexFunc(HealthCodes[:], func(code HealthCode) bool { return code.Code == c.want })
	code := HealthCodes[i]
	if len(h.Reasons) != 1 || h.Reasons[0].Code != c.want || h.Reasons[0].Text != c.text {
		t.Fatalf("got %+v, want only the reason %s with text %q", h, c.want, c.text)
	}
	if r := h.Reasons[0]; h.Status != code.Severity || r.Severity != code.Severity || h.Score != 100-code.Deduction {
		t.Errorf("got %+v, want severity %s and deduction %d", h, code.Severity, code.Deduction)
	}
	if age := s.clock.now() - s.clock.reading(h.Reasons[0].Since); age < 0 || age > int64(time.Minute) {
		t.Errorf("reason since %v, %v ago, want less than a minute", h.Reasons[0].Since, time.Duration(age))
	}
	before := s.clock.now()
	c.end(s, r)
	m.checkRestarts()
	// Before the end of the initial sync no reason is held.
	if s.clock.now()-before < int64(reasonHold) && c.want != "start_incomplete" {
		if h := m.Health(); len(h.Reasons) != 1 || h.Status != code.Severity || h.Reasons[0].Text != endedText {
			t.Errorf("right after the fault ended: %+v, want text %q", h, endedText)
		}
		s.advance(reasonHold)
	}
	if h := m.Health(); h.Status != Healthy || h.Score != 100 || len(h.Reasons) != 0 {
		t.Errorf("after the hold time: %+v, want healthy", h)
	}
}

// TestHealthCodes checks that codes are unique, that deductions are in range, and that unhealthy
// codes are listed before degraded ones.
func TestHealthCodes(t *testing.T) {
	seen, degraded := make(map[string]bool), false
	for _, c := range HealthCodes {
		if c.Code == "" || seen[c.Code] || c.Deduction <= 0 || c.Deduction > 100 {
			t.Errorf("empty or repeated code, or deduction out of range: %s, %d", c.Code, c.Deduction)
		}
		seen[c.Code] = true
		switch c.Severity {
		case Degraded:
			degraded = true
		case Unhealthy:
			if degraded {
				t.Errorf("unhealthy code %s is listed after degraded ones", c.Code)
			}
		default:
			t.Errorf("%s has severity %q", c.Code, c.Severity)
		}
	}
}

// TestHealthStrings checks HealthReason.String and Health.Codes.
func TestHealthStrings(t *testing.T) {
	var h Health
	if got, want := (&HealthReason{Code: "disk", Text: "full", Deduction: 15}).String(), "disk: full (-15)"; got != want {
		t.Errorf("HealthReason.String: %q, want %q", got, want)
	}
	h.Reasons = []HealthReason{{Code: "stalled"}, {Code: "disk"}}
	if got := h.Codes(); got != "stalled,disk" {
		t.Errorf("Health.Codes: %q", got)
	}
}

// TestHealthDisabled checks that a disabled daemon has the status disabled, a full score, no
// reasons and nothing pending.
func TestHealthDisabled(t *testing.T) {
	s := new(Status)
	s.Disable()
	s.begin(clock{base: time.Now()}, nil)
	m, set := newTestMonitor(s, new(fakeRecorder))
	if h := m.Health(); h.Status != Disabled || h.Score != 100 || h.Reasons == nil || len(h.Reasons) != 0 {
		t.Errorf("health of a disabled daemon: %+v", h)
	}
	if text := string(set.AppendText(nil)); !strings.Contains(text, "\nportsyncd_healthy 1\n") || strings.Contains(text, "} 1\n") {
		t.Errorf("scrape of a disabled daemon:\n%s", text)
	}
	v := s.View(time.Now())
	if v.Pending == nil || len(v.Pending) != 0 || v.Databases == nil || len(v.Databases) != 0 || !strings.Contains(v.Start.Reason, "daemon.enabled is false") {
		t.Errorf("view of a disabled daemon: %+v", v)
	}
}

// TestHealthGauges checks portsyncd_healthy and portsyncd_health_reason with and without reasons.
func TestHealthGauges(t *testing.T) {
	s, r := healthyStatus(), new(fakeRecorder)
	_, set := newTestMonitor(s, r)
	check := func(healthy string, codes ...string) {
		t.Helper()
		text := "\n" + string(set.AppendText(nil))
		if !strings.Contains(text, "\nportsyncd_healthy "+healthy+"\n") {
			t.Errorf("portsyncd_healthy is not %s in\n%s", healthy, text)
		}
		for _, c := range HealthCodes {
			want := "0"
			if slices.Contains(codes, c.Code) {
				want = "1"
			}
			if series := `portsyncd_health_reason{code="` + c.Code + `"} ` + want; !strings.Contains(text, "\n"+series+"\n") {
				t.Errorf("no %s in\n%s", series, text)
			}
		}
	}
	check("1")
	r.problems = []string{"full"}
	check("1", "disk")
	s.refuse("OOM")
	check("0", "disk", "database_refusing")
}

// TestHealthAllocatesNothing checks that an evaluation allocates nothing, with or without reasons.
func TestHealthAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations cannot be counted under the race detector")
	}
	s, r := healthyStatus(), new(fakeRecorder)
	m, set := newTestMonitor(s, r)
	var b []byte
	check := func() {
		t.Helper()
		b = set.AppendText(b[:0])
		if n := testing.AllocsPerRun(200, func() { b = set.AppendText(b[:0]); m.evaluate() }); n != 0 {
			t.Errorf("%v allocations per scrape with health %+v, want 0", n, m.Health())
		}
	}
	check()
	addRequests(s, 20, 100)
	s.overrunAt.Store(s.clock.now())
	r.problems, r.overdue = []string{"full"}, "the history"
	check()
}
