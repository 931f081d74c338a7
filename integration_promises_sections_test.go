package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/lab"
	"portsyncd/portsync"
)

// These tests hold each table of the configuration to changing what the daemon
// does. [warm_restart] is TestStartDecision's and TestHistoryMaxRestarts', the
// files of [metrics] those of integration_retention_test.go, its listeners those
// of integration_http_*_test.go, and the audit of [health] TestAudit's.

// checkDisabled looks at all places where a daemon says that it is disabled.
func checkDisabled(t *testing.T, c *cell, s *site) {
	t.Helper()
	if a := s.ask("GET", "/healthz"); a.code != 200 || a.body != "disabled\n"+disabledText+"\n" {
		t.Errorf("/healthz answers %d %q", a.code, a.body)
	}
	if a := s.ask("GET", "/readyz"); a.code != 200 || a.body != "disabled\n"+disabledText+"\n" {
		t.Errorf("/readyz answers %d %q", a.code, a.body)
	}
	var h portsync.Health
	a := s.ask("GET", "/healthz", "Accept: application/json")
	if err := json.Unmarshal([]byte(a.body), &h); err != nil || h.Status != portsync.Disabled || h.Reasons == nil || len(h.Reasons) > 0 {
		t.Errorf("/healthz answers %q, %v", a.body, err)
	}
	values := s.scrape()
	if v := values.value(t, "portsyncd_enabled"); v != 0 {
		t.Errorf("portsyncd_enabled is %v", v)
	}
	if v := values.value(t, "portsyncd_healthy"); v != 1 {
		t.Errorf("portsyncd_healthy is %v", v)
	}
	for _, family := range []string{"portsyncd_ready", "portsyncd_component_up", "portsyncd_last_progress_timestamp_seconds",
		"portsyncd_ports_configured", "portsyncd_audits_total"} { // alerts are on these
		for series := range values.samples {
			if series == family || strings.HasPrefix(series, family+"{") {
				t.Errorf("%s is exposed", series)
			}
		}
	}
	if page := s.ask("GET", "/").body; !strings.Contains(page, "<b>disabled</b> <span>"+disabledText+"</span>") || strings.Contains(page, "no connection") {
		t.Errorf("the page: %q", page)
	}
	if r := c.status(nil); r.code != exitOK || !strings.Contains(r.stdout, "disabled, "+disabledText) ||
		!strings.Contains(r.stdout, "pending    nothing") || strings.Contains(r.stdout, "down") {
		t.Errorf("portsyncd status: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestDaemonSection: enabled = false keeps a process that touches no database;
// log_level rules until CONFIG_DB's row is read, and is what a missing row gets.
func TestDaemonSection(t *testing.T) {
	alongside(t)
	t.Run("enabled", func(t *testing.T) {
		c := newCell(t)
		if c == nil {
			return
		}
		c.configure(1)
		seen, err := monitor(c.places["STATE_DB"].tcp())
		c.must("monitor", err)
		d := c.startWith("[daemon]\nenabled = false\n")
		c.addPort(portName(0))
		s := newSite(t, httpAddress)
		s.get("/metrics")
		checkDisabled(t, c, s)
		throughout(t, 300*time.Millisecond, func() string {
			if commands, _ := seen.from(0); len(commands) > 0 || !d.alive() {
				return fmt.Sprintf("alive %v, commands %v", d.alive(), commands)
			}
			return ""
		})
	})
	for level, severity := range map[string]int{"debug": 7, "error": 3} {
		t.Run("log_level_"+level, func(t *testing.T) {
			c := newCell(t)
			if c == nil {
				return
			}
			c.configure(1)
			d := c.startWith(fmt.Sprintf("[daemon]\nlog_level = %q\n", level))
			c.plug(1)
			if row := c.row("CONFIG_DB", "LOGGER|portsyncd"); row["LOGLEVEL"] != strings.ToUpper(level) {
				t.Errorf("the missing LOGGER row became %v", row)
			}
			d.diesBy(syscall.SIGTERM, "with log_level "+level)
			lines, _ := c.logs.from(0)
			most := 0
			for _, l := range lines {
				most = max(most, l.severity())
			}
			if most > severity || level == "debug" && most != severity {
				t.Errorf("the lines go up to severity %d, the level is %d", most, severity)
			}
		})
	}
}

// TestDatabaseSection: the map wins over the unix socket, and that over host and
// port. What does not win leads nowhere here.
func TestDatabaseSection(t *testing.T) {
	alongside(t)
	for _, way := range []struct{ name, settings, databaseMap string }{
		{"host_and_port", "config_file = \"\"\nredis_host = \"127.0.0.1\"\nredis_port = 6379\n", "{"},
		{"unix_socket", "config_file = \"\"\nredis_port = 1\nunix_socket = \"/var/run/redis/redis.sock\"\n", "{"},
		{"map", "redis_port = 1\nunix_socket = \"/var/run/redis/nobody.sock\"\n", usualMap},
		{"map_elsewhere", "config_file = \"/var/run/redis/cell/map.json\"\nredis_port = 1\n", "{"},
	} {
		t.Run(way.name, func(t *testing.T) {
			c := newCell(t)
			if c == nil {
				return
			}
			c.configure(1)
			c.must("write the map", os.WriteFile(mapFile, []byte(way.databaseMap), 0o644))
			writeFile(t, c.dir+"/map.json", usualMap)
			c.startWith("[database]\n" + way.settings)
			c.plug(1)
		})
	}
}

// TestHealthSection: max_stall_seconds is when waiting work becomes a reason to
// call the daemon unhealthy.
func TestHealthSection(t *testing.T) {
	c, db := newLabCell(t)
	if c == nil {
		return
	}
	c.configure(warmPorts)
	d := c.startWith("[health]\nmax_stall_seconds = 3600\n")
	c.plug(warmPorts)
	s := newSite(t, httpAddress)
	stalls := func(limit int, code int) {
		t.Helper()
		c.reload(d, fmt.Sprintf("[health]\nmax_stall_seconds = %d\n", limit))
		// Longer than the one limit, shorter than what an answer may take.
		db.SetFault(lab.Fault{Delay: 1500 * time.Millisecond})
		mtu := 1400 + limit%100
		c.must("set MTU", c.links.SetMTU(portName(0), mtu))
		worst := ""
		eventually(t, patience, func() string {
			if a := s.ask(http.MethodGet, "/healthz"); a.code != http.StatusOK {
				worst = a.body
			}
			row := db.Hash(c.places["STATE_DB"].number, "PORT_TABLE|"+portName(0))
			if v := s.scrape().value(t, "portsyncd_backlog_ports"); v > 0 || row["mtu"] != strconv.Itoa(mtu) {
				return "a port waits"
			}
			return ""
		})
		db.SetFault(lab.Fault{})
		if (worst != "") != (code != http.StatusOK) {
			t.Errorf("with a limit of %d s /healthz said %q at its worst, want status %d", limit, worst, code)
		}
		c.recovered(fmt.Sprintf("an answer of 1.5 s, the limit is %d s", limit))
	}
	stalls(3600, http.StatusOK)
	stalls(1, http.StatusServiceUnavailable)
	s.await("/healthz", http.StatusOK)
}
