package portsync

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/metrics"
)

// TestMayDegrade checks in which conditions health is evaluated more often, because a reason may
// become active just because time passes.
func TestMayDegrade(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(s *Status)
		want bool
	}{
		"no fault":             {func(s *Status) {}, false},
		"a successful request": {func(s *Status) { addRequests(s, 0, 1) }, false},
		"a failed request":     {func(s *Status) { addRequests(s, 1, 1) }, true},
		"a stall":              {func(s *Status) { s.stalledSince.Store(1) }, true},
		"an incomplete dump":   {func(s *Status) { s.desync(1) }, true},
		"an incomplete dump before the first writes": {func(s *Status) { s.desync(1); s.started.Store(false) }, false},
	} {
		s := healthyStatus()
		c.set(s)
		if got := s.mayDegrade(); got != c.want {
			t.Errorf("%s: mayDegrade %t, want %t", name, got, c.want)
		}
	}
}

// TestLimitsOfHealth checks that reasons with a limit are inactive at the limit and active beyond it.
func TestLimitsOfHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			set  func(s *Status, over int64)
			code string
		}{
			"a dump":        {func(s *Status, over int64) { s.desync(s.clock.now() - int64(dumpTimeLimit) - over) }, "dump_incomplete"},
			"a stall":       {func(s *Status, over int64) { s.stalledSince.Store(s.clock.now() - int64(10*time.Second) - over) }, "stalled"},
			"an audit":      {func(s *Status, over int64) { s.mismatched.Store(over) }, "audit_mismatch"},
			"an overrun":    {func(s *Status, over int64) { s.overrunAt.Store(s.clock.now() - int64(overrunHold) + over) }, "overrun"},
			"failures":      {func(s *Status, over int64) { addRequests(s, minFailures-1+int(over), minFailures-1+int(over)) }, "failure_rate"},
			"no limit":      {func(s *Status, over int64) { s.maxStall.Store(0); s.stalledSince.Store(1) }, ""},
			"in the future": {func(s *Status, over int64) { s.stalledSince.Store(s.clock.now() + over) }, ""},
		} {
			for over := range int64(2) {
				s, want := healthyStatus(), ""
				c.set(s, over)
				if over == 1 {
					want = c.code
				}
				m, _ := newTestMonitor(s, nil)
				if h := m.Health(); h.Codes() != want {
					t.Errorf("%s, %d beyond the limit: reasons %q, want %q", name, over, h.Codes(), want)
				}
			}
		}
	})
}

// TestMismatchedNeedsAudits checks that wrong rows are not reported while audits are disabled, since no
// audit would find that they are right again.
func TestMismatchedNeedsAudits(t *testing.T) {
	for interval, want := range map[time.Duration]int64{0: 0, 1: 3, -1: 0} {
		l := newQuietLoop()
		l.AuditInterval, l.audits.wrong = interval, 3
		if got := l.audits.mismatched(); got != want {
			t.Errorf("audit interval %v: %d wrong rows, want %d", interval, got, want)
		}
	}
}

// TestDatabaseAddresses checks the form of database addresses, and that a change of the connection to
// CONFIG_DB wakes the health monitor.
func TestDatabaseAddresses(t *testing.T) {
	s := healthyStatus()
	for address, want := range map[string]string{"/run/redis.sock": "unix:/run/redis.sock", "10.0.0.1:6379": "10.0.0.1:6379"} {
		network := "tcp"
		if strings.HasPrefix(want, "unix") {
			network = "unix"
		}
		s.setAddresses(sonicdb.StaticMap(network, address))
		if got := s.databases().at[0]; got != want {
			t.Errorf("address of %s is %q", address, got)
		}
	}
	for _, step := range []struct {
		err  error
		wake bool
	}{{nil, false}, {errServerGone, true}, {errConfigDown, false}, {nil, true}, {nil, false}} {
		s.setConfigError(nil, step.err)
		select {
		case <-s.wakeups:
			if !step.wake {
				t.Errorf("error %v wakes the health monitor", step.err)
			}
		default:
			if step.wake {
				t.Errorf("error %v does not wake the health monitor", step.err)
			}
		}
	}
}

// TestProgressTimestamp checks that the timestamp is 0 before the first progress, not the start time.
func TestProgressTimestamp(t *testing.T) {
	s, set := healthyStatus(), metrics.NewSet()
	s.expose(set)
	s.clock.base = time.Unix(1000, 0)
	for at, want := range map[int64]string{0: "0", int64(5 * time.Second): "1005"} {
		s.progress.Store(at)
		if got := exposed(set, "portsyncd_last_progress_timestamp_seconds"); got != want {
			t.Errorf("progress at %d: timestamp %s, want %s", at, got, want)
		}
	}
}

// TestLogLinesExposed checks that portsyncd_log_lines_total has a series for each level.
func TestLogLinesExposed(t *testing.T) {
	set := metrics.NewSet()
	ExposeLog(set, syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice}))
	for _, level := range []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"} {
		if got := exposed(set, `portsyncd_log_lines_total{level="`+level+`"}`); got != "0" {
			t.Errorf("%s: %q lines", level, got)
		}
	}
}

// TestConfigSince checks that CONFIG_DB on its own server has the time of its own connection or
// disconnection, unless all databases were connected later.
func TestConfigSince(t *testing.T) {
	s := healthyStatus()
	since := func(what string, up bool, want int64) {
		t.Helper()
		all := s.View(time.Now()).Databases
		if got := all[2]; got.Up != up || !got.Since.Equal(s.clock.time(want)) {
			t.Errorf("%s: CONFIG_DB is up: %t, since %v, want %v", what, got.Up, got.Since, s.clock.time(want))
		}
	}
	connect := func(at int64) { s.connection.Store(&connection{up: true, since: at}) }
	s.setConfigError(nil, nil)
	begun := s.configLink.Load().since
	connect(begun + 5)
	since("connected", true, begun+5)
	s.advance(time.Minute)
	s.setConfigError(nil, errServerGone)
	lost := s.configLink.Load().since
	if lost-begun < int64(time.Minute) {
		t.Fatalf("lost %v after the start", time.Duration(lost-begun))
	}
	since("lost", false, lost)
	s.advance(time.Minute)
	s.setConfigError(nil, errConfigDown)
	since("lost, with another error", false, lost)
	s.setConfigError(nil, nil)
	back := s.configLink.Load().since
	if back-lost < int64(time.Minute) {
		t.Fatalf("back %v after the loss", time.Duration(back-lost))
	}
	since("back", true, back)
	connect(back + 5)
	since("all reconnected", true, back+5)
}
