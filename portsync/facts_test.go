package portsync

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/ring"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// TestUneasy: health is looked at often while it may change by the mere passing of time.
func TestUneasy(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(s *Status)
		want bool
	}{
		"all is well":                   {func(s *Status) {}, false},
		"an exchange":                   {func(s *Status) { addRequests(s, 0, 1) }, false},
		"a failed exchange":             {func(s *Status) { addRequests(s, 1, 1) }, true},
		"rows that wait":                {func(s *Status) { s.stalledSince.Store(1) }, true},
		"a dump under way":              {func(s *Status) { s.desync(1) }, true},
		"a dump under way at the start": {func(s *Status) { s.desync(1); s.started.Store(false) }, false},
	} {
		s := healthyStatus()
		c.set(s)
		if got := s.mayDegrade(); got != c.want {
			t.Errorf("%s: mayDegrade %t, want %t", name, got, c.want)
		}
	}
}

// TestLimitsOfHealth: what depends on time or on a number begins beyond its limit.
func TestLimitsOfHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			set  func(s *Status, over int64)
			code string
		}{
			"a dump":       {func(s *Status, over int64) { s.desync(s.clock.now() - int64(dumpTimeLimit) - over) }, "dump_incomplete"},
			"rows":         {func(s *Status, over int64) { s.stalledSince.Store(s.clock.now() - int64(10*time.Second) - over) }, "stalled"},
			"an audit":     {func(s *Status, over int64) { s.mismatched.Store(over) }, "audit_mismatch"},
			"an overrun":   {func(s *Status, over int64) { s.overrunAt.Store(s.clock.now() - int64(overrunHold) + over) }, "overrun"},
			"exchanges":    {func(s *Status, over int64) { addRequests(s, minFailures-1+int(over), minFailures-1+int(over)) }, "failure_rate"},
			"no stall":     {func(s *Status, over int64) { s.maxStall.Store(0); s.stalledSince.Store(1) }, ""},
			"in no future": {func(s *Status, over int64) { s.stalledSince.Store(s.clock.now() + over) }, ""},
		} {
			for over := range int64(2) {
				s, want := healthyStatus(), ""
				c.set(s, over)
				if over == 1 {
					want = c.code
				}
				m, _ := newTestMonitor(s, nil)
				if h := m.Health(); h.Codes() != want {
					t.Errorf("%s, %d beyond the limit: %q, want %q", name, over, h.Codes(), want)
				}
			}
		}
	})
}

// TestMismatchedNeedsAudits: what an audit found wrong is shown while audits are made.
func TestMismatchedNeedsAudits(t *testing.T) {
	for interval, want := range map[time.Duration]int64{0: 0, 1: 3, -1: 0} {
		l := newQuietLoop()
		l.AuditInterval, l.audits.wrong = interval, 3
		if got := l.audits.mismatched(); got != want {
			t.Errorf("with an audit each %v: %d wrong, want %d", interval, got, want)
		}
	}
}

// TestFindMissing: a port is missing at its time and no sooner, and only a change of the
// missing ports is reported.
func TestFindMissing(t *testing.T) {
	still(t, func(a *rig, now int64) {
		l := a.loop
		p := l.state.port([]byte("Ethernet0"))
		p.wasThere = true
		l.shown.absences = newAbsences(&l.base)
		l.shown.absences.find(now, l.initial.eoiu)
		l.shown.absences.update(p, lackInterface, now)
		steps := []struct {
			at      int64
			changed bool
			missing bool
		}{
			{now, false, false},
			{now + int64(missingAfter) - 1, false, false},
			{now + int64(missingAfter), true, true},
			{now + int64(missingAfter) + 1, false, true},
		}
		for _, s := range steps {
			if changed := l.shown.absences.find(s.at, l.initial.eoiu); changed != s.changed || (l.shown.absences.missing != nil) != s.missing {
				t.Errorf("after %v: changed %t, missing %v", time.Duration(s.at-now), changed, l.shown.absences.missing)
			}
		}
		if l.shown.absences.at != never {
			t.Errorf("looked at again at %d", l.shown.absences.at)
		}
		l.shown.absences.update(p, lackInterface, now+5) // as before
		if l.shown.absences.find(now+int64(time.Hour), l.initial.eoiu) || l.shown.absences.since[p] != now {
			t.Errorf("a fact that is known changes something: %+v", l.shown.absences)
		}
		l.shown.absences.changed = true
		if l.shown.absences.find(now+int64(time.Hour), l.initial.eoiu) {
			t.Error("the same ports are missing, and that counts as a change")
		}
		l.shown.absences.update(p, lackNothing, now)
		if !l.shown.absences.find(now+int64(time.Hour), l.initial.eoiu) || l.shown.absences.missing != nil {
			t.Errorf("the port is back: %+v", l.shown.absences)
		}
		l.shown.absences.changed = true
		if l.shown.absences.find(now+int64(time.Hour), l.initial.eoiu) {
			t.Error("no port is missing as before, and that counts as a change")
		}
	})
}

// TestMissingFrom: from when on a port counts as missing.
func TestMissingFrom(t *testing.T) {
	const since, expected = int64(100), int64(time.Hour)
	for name, c := range map[string]struct {
		eoiu, wasThere, initDone bool
		expectedBy               int64
		want                     int64
	}{
		"before the first list":               {false, true, true, 0, never},
		"it was there":                        {true, true, false, 0, since + int64(missingAfter)},
		"it was there and is expected":        {true, true, true, expected, expected},
		"never there, before PortInitDone":    {true, false, false, 0, never},
		"never there, after PortInitDone":     {true, false, true, 0, since + int64(lateAfter)},
		"never there, and expected for later": {true, false, true, expected, expected},
	} {
		l := newQuietLoop()
		l.shown.absences.synced, l.shown.absences.initDone = c.eoiu, c.initDone
		if got := l.shown.absences.missingFrom(&Port{wasThere: c.wasThere, expectedBy: c.expectedBy}, since); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestSwept: what is known of rows after STATE_DB has been listed.
func TestSwept(t *testing.T) {
	old, known := row{unknown: true}, row{there: true, mtu: 1500}
	for name, c := range map[string]struct {
		is         row
		index      int32
		configured bool
		there      bool
		want       row
	}{
		"a row that is gone":                        {known, 3, true, false, row{}},
		"a row that stays":                          {known, 3, true, true, known},
		"an old row with an interface":              {old, 3, true, true, row{unknown: true, there: true}},
		"an old row of a port that CONFIG_DB lacks": {old, 3, false, true, old},
		"an old row without an interface":           {old, 0, true, true, row{}},
		"no old row":                                {old, 3, true, false, row{}},
		"a row whose interface went, to be deleted": {known, 0, true, true, known},
	} {
		s := NewState(nil)
		s.unswept = true
		p := s.port([]byte("Ethernet0"))
		p.row, p.Index, p.Configured = c.is, c.index, c.configured
		s.Swept(map[string]bool{"Ethernet0": c.there})
		if p.row != c.want || s.unswept || p.touched != (c.is != c.want) {
			t.Errorf("%s: %+v, want %+v; to be published: %t", name, p.row, c.want, p.touched)
		}
	}
}

// TestBegin: once the start's writes are acknowledged PortInitDone has LateAfter to come,
// and interfaces of an earlier run are set down unless they are kept.
func TestBegin(t *testing.T) {
	for _, keep := range []bool{false, true} {
		still(t, func(a *rig, now int64) {
			l := a.loop
			var down []int32
			l.SetDown = func(indexes []int32) []error { down = indexes; return []error{errors.New("no such device")} }
			l.Existing = []OldLink{{Index: 7, Name: "Ethernet0"}, {Index: 9, Name: "Ethernet4"}}
			log := a.listen()
			l.initial.started, l.initial.decision, l.handover.lateAt = false, &Decision{KeepLinks: keep}, never
			l.begin()
			if !l.initial.started || l.handover.lateAt != now+int64(lateAfter) {
				t.Errorf("started %t, late at %d", l.initial.started, l.handover.lateAt)
			}
			if kept := len(down) == 0 && len(l.state.old) == 0 && !strings.Contains(log.String(), "no such device"); kept != keep {
				t.Errorf("kept %t, want %t: set down %v, ignored %v", kept, keep, down, l.state.old)
			}
			l.Existing, down = nil, nil
			l.initial.setOldDown()
			if len(down) != 0 {
				t.Errorf("none exists, %v are set down", down)
			}
		})
	}
}

// TestReaderWaitsForRoom: a full ring takes no message, and gives up at the end.
func TestReaderWaitsForRoom(t *testing.T) {
	done := make(chan struct{})
	r := reader{ring: ring.New[Event](2), now: func() int64 { return 0 }, done: done}
	close(done)
	m := netlinkraw.Message{Type: netlinkraw.Overrun}
	for n, want := range []bool{true, true, false} {
		if got := r.put(&m, 5); got != want || r.ring.Len() != min(n+1, 2) {
			t.Errorf("message %d: taken %t, %d in the ring", n+1, got, r.ring.Len())
		}
	}
	if ev := r.ring.Peek(); ev.Kind != netlinkraw.Overrun || ev.At != 5 {
		t.Errorf("%+v", ev)
	}
}

// TestLinesNotWritten: lines for which there is no room are counted, and told of a second
// after the first.
func TestLinesNotWritten(t *testing.T) {
	still(t, func(a *rig, now int64) {
		e, log := &a.loop.logger, a.listen()
		for e.entry(now) != nil {
			e.ring.Push()
		}
		if e.missing != now+int64(time.Second) {
			t.Errorf("told at %d", e.missing)
		}
		e.entry(now + 5)
		if e.missing != now+int64(time.Second) || e.overflow != 2 {
			t.Errorf("told at %d of %d", e.missing, e.overflow)
		}
		e.missed(e.missing)
		if !strings.Contains(log.String(), "log lines about link messages dropped\" lines=2") {
			t.Errorf("log: %s", log)
		}
		e.missing = now
		e.missed(now)
		if strings.Count(log.String(), "\n") != 1 {
			t.Errorf("all lines were written, and the log says: %s", log)
		}
	})
}

// TestDatabaseAddresses: an address says that it is a socket, and a lost CONFIG_DB has the
// health looked at.
func TestDatabaseAddresses(t *testing.T) {
	s := healthyStatus()
	for address, want := range map[string]string{"/run/redis.sock": "unix:/run/redis.sock", "10.0.0.1:6379": "10.0.0.1:6379"} {
		network := "tcp"
		if strings.HasPrefix(want, "unix") {
			network = "unix"
		}
		s.located(sonicdb.StaticMap(network, address))
		if got := s.databases().at[0]; got != want {
			t.Errorf("%s is shown as %q", address, got)
		}
	}
	for _, step := range []struct {
		err  error
		poke bool
	}{{nil, false}, {errServerGone, true}, {errConfigAway, false}, {nil, true}, {nil, false}} {
		s.lostConfig(step.err)
		select {
		case <-s.wakeups:
			if !step.poke {
				t.Errorf("%v has the health looked at", step.err)
			}
		default:
			if step.poke {
				t.Errorf("%v has nobody look at the health", step.err)
			}
		}
	}
}

// TestProgressTimestamp: 0 stands for never.
func TestProgressTimestamp(t *testing.T) {
	s, set := healthyStatus(), metrics.NewSet()
	s.expose(set)
	s.clock.base = time.Unix(1000, 0)
	for at, want := range map[int64]string{0: "0", int64(5 * time.Second): "1005"} {
		s.progress.Store(at)
		if got := exposed(set, "portsyncd_last_progress_timestamp_seconds"); got != want {
			t.Errorf("at %d it is %s, want %s", at, got, want)
		}
	}
}

// TestLogLinesExposed: each severity has its count of lines.
func TestLogLinesExposed(t *testing.T) {
	set := metrics.NewSet()
	ExposeLog(set, syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice}))
	for _, level := range []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"} {
		if got := exposed(set, `portsyncd_log_lines_total{level="`+level+`"}`); got != "0" {
			t.Errorf("%s: %q lines", level, got)
		}
	}
}

// TestLoggerRow: the LOGGER row is made when the first session begins, and sets the log
// when it changes.
func TestLoggerRow(t *testing.T) {
	db, socket := serveLab(t)
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice})
	c := Connector{
		Map:  func() (*sonicdb.Map, error) { return sonicdb.StaticMap("unix", socket), nil },
		Logs: logs, Level: syslog.LevelNotice, Log: slog.New(logs), status: new(Status),
	}
	s, err := c.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	if row := db.Hash(lab.ConfigDB, "LOGGER|portsyncd"); row["LOGLEVEL"] != "NOTICE" || row["LOGOUTPUT"] != "SYSLOG" {
		t.Errorf("the row is %v", row)
	}
	for _, step := range []struct {
		level string
		want  slog.Level
	}{{"DEBUG", syslog.LevelDebug}, {"nonsense", syslog.LevelNotice}, {"ERROR", syslog.LevelError}} {
		if _, err := db.Do(lab.ConfigDB, "HSET", "LOGGER|portsyncd", "LOGLEVEL", step.level); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); logs.Level() != step.want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("after %q the level is %v, want %v", step.level, logs.Level(), step.want)
			}
		}
	}
	var out strings.Builder
	l := *s.watches[0].logger
	l.log = slog.New(slog.NewTextHandler(&out, nil))
	if l.apply(); out.Len() != 0 {
		t.Errorf("a row that can be read: %s", out.String())
	}
	db.SetFault(lab.Fault{Error: lab.Loading})
	if err := l.applyFrom(s.store.config, false); !isServerError(err) {
		t.Errorf("a row that cannot be read: %v", err)
	}
	if l.apply(); !strings.Contains(out.String(), "cannot read the LOGGER row") {
		t.Errorf("a row that cannot be read: %q", out.String())
	}
}

// TestWaitingForRedis: Redis may take connectGrace to start; then it is a fault.
func TestWaitingForRedis(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0:                              "level=INFO+2 msg=\"waiting for Redis\"",
		connectGrace + connectPauseMax: "level=ERROR msg=\"cannot connect to Redis; retrying\"",
	} {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			c := Connector{Map: func() (*sonicdb.Map, error) { return nil, errors.New("no map") }, status: new(Status),
				Log: slog.New(slog.NewTextHandler(&out, nil))}
			ended := make(chan struct{})
			go func() { defer close(ended); c.connect(t.Context(), true) }()
			time.Sleep(after)
			synctest.Wait()
			if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); !strings.Contains(lines[len(lines)-1], want) ||
				strings.Contains(out.String(), "notify") || after == 0 && strings.Contains(out.String(), "ERROR") {
				t.Errorf("after %v: %s", after, out.String())
			}
		})
	}
}

// TestSessionOfTwoServers: each server has a watch of its own, and one that cannot be
// watched is an error.
func TestSessionOfTwoServers(t *testing.T) {
	first, one := serveLab(t)
	second, two := serveLab(t)
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice})
	c := Connector{
		Map:  func() (*sonicdb.Map, error) { return labMap(t, one, two), nil },
		Logs: logs, Level: syslog.LevelNotice, Log: slog.New(logs), status: new(Status),
	}
	s, err := c.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if len(s.watches) != 2 || s.watches[0].logger == nil || s.watches[1].logger != nil {
		t.Errorf("%d watches", len(s.watches))
	}
	for name, db := range map[string]*lab.DB{"the first server": first, "the second server": second} {
		db.Disconnect()
		for n := (note{kind: noteFlushed}); n.kind != noteLost; {
			select {
			case n = <-s.notes:
			case <-time.After(20 * time.Second):
				t.Fatalf("nobody says that %s has gone", name)
			}
		}
	}
	second.Close()
	if s, err := c.open(t.Context(), true); err == nil {
		s.close()
		t.Error("a session without STATE_DB's server")
	}
}
