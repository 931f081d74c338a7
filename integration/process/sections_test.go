package process

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

	"portsyncd/internal/daemon"
	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
	"portsyncd/portsync"
)

// These tests check that each table of the configuration has its effect. TestStartDecision and
// TestHistoryMaxRestarts cover [warm_restart], package storage the files of [metrics], package
// http its listeners, and TestAudit the audit of [health].

// checkDisabled checks every output of a disabled daemon.
func checkDisabled(t *testing.T, sw *switchtest.Switch, client *switchtest.Client) {
	t.Helper()
	if a := client.Request("GET", "/healthz"); a.Code != 200 || a.Body != "disabled\n"+disabledText+"\n" {
		t.Errorf("/healthz answers %d %q", a.Code, a.Body)
	}
	if a := client.Request("GET", "/readyz"); a.Code != 200 || a.Body != "disabled\n"+disabledText+"\n" {
		t.Errorf("/readyz answers %d %q", a.Code, a.Body)
	}
	var h portsync.Health
	a := client.Request("GET", "/healthz", "Accept: application/json")
	if err := json.Unmarshal([]byte(a.Body), &h); err != nil || h.Status != portsync.Disabled || h.Reasons == nil || len(h.Reasons) > 0 {
		t.Errorf("/healthz answers %q, %v", a.Body, err)
	}
	values := client.Scrape()
	if v := values.Value(t, "portsyncd_enabled"); v != 0 {
		t.Errorf("portsyncd_enabled is %v", v)
	}
	if v := values.Value(t, "portsyncd_healthy"); v != 1 {
		t.Errorf("portsyncd_healthy is %v", v)
	}
	for _, family := range []string{"portsyncd_ready", "portsyncd_component_up", "portsyncd_last_progress_timestamp_seconds",
		"portsyncd_ports_configured", "portsyncd_audits_total"} { // alerts use these
		for series := range values.Samples {
			if series == family || strings.HasPrefix(series, family+"{") {
				t.Errorf("%s is exposed", series)
			}
		}
	}
	if page := client.Request("GET", "/").Body; !strings.Contains(page, "<b>disabled</b> <span>"+disabledText+"</span>") || strings.Contains(page, "no connection") {
		t.Errorf("the page: %q", page)
	}
	host, _ := os.Hostname()
	if r := sw.RunStatus(nil); r.Code != daemon.ExitOK || !strings.Contains(r.Stdout, "disabled, "+disabledText) ||
		!strings.Contains(r.Stdout, "pending    nothing") || strings.Contains(strings.ReplaceAll(r.Stdout, host, ""), "down") {
		t.Errorf("portsyncd status: %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// disabledText is the daemon's text about daemon.enabled = false.
const disabledText = "daemon.enabled is false: ports are not synchronized"

// TestDaemonSection checks the [daemon] settings: with enabled = false the process uses no
// database, and log_level applies until CONFIG_DB's row is read and when there is no row.
func TestDaemonSection(t *testing.T) {
	switchtest.Parallel(t)
	t.Run("enabled", func(t *testing.T) {
		sw := switchtest.New(t)
		if sw == nil {
			return
		}
		sw.ConfigurePorts(1)
		seen, err := switchtest.Monitor(sw.Databases["STATE_DB"].TCPAddress())
		sw.NoError("monitor", err)
		d := sw.StartWith("[daemon]\nenabled = false\n")
		sw.AddPort(switchtest.PortName(0))
		client := switchtest.NewClient(t, switchtest.HTTPAddress)
		client.Get("/metrics")
		checkDisabled(t, sw, client)
		switchtest.Consistently(t, 300*time.Millisecond, func() string {
			if commands, _ := seen.From(0); len(commands) > 0 || !d.Alive() {
				return fmt.Sprintf("alive %v, commands %v", d.Alive(), commands)
			}
			return ""
		})
	})
	for level, severity := range map[string]int{"debug": 7, "error": 3} {
		t.Run("log_level_"+level, func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			sw.ConfigurePorts(1)
			d := sw.StartWith(fmt.Sprintf("[daemon]\nlog_level = %q\n", level))
			sw.AddInterfaces(1)
			if row := sw.Row("CONFIG_DB", "LOGGER|portsyncd"); row["LOGLEVEL"] != strings.ToUpper(level) {
				t.Errorf("the missing LOGGER row became %v", row)
			}
			d.EndBySignal(syscall.SIGTERM, "with log_level "+level)
			lines, _ := sw.Logs.From(0)
			most := 0
			for _, l := range lines {
				most = max(most, l.Severity())
			}
			if most > severity || level == "debug" && most != severity {
				t.Errorf("the lines go up to severity %d, the level is %d", most, severity)
			}
		})
	}
}

// TestDatabaseSection checks that the database map takes precedence over the unix socket, and that
// over host and port.
func TestDatabaseSection(t *testing.T) {
	switchtest.Parallel(t)
	for _, way := range []struct{ name, settings, databaseMap string }{
		{"host_and_port", "config_file = \"\"\nredis_host = \"127.0.0.1\"\nredis_port = 6379\n", "{"},
		{"unix_socket", "config_file = \"\"\nredis_port = 1\nunix_socket = \"/var/run/redis/redis.sock\"\n", "{"},
		{"map", "redis_port = 1\nunix_socket = \"/var/run/redis/nobody.sock\"\n", switchtest.DefaultMap},
		{"map_elsewhere", "config_file = \"/var/run/redis/test/map.json\"\nredis_port = 1\n", "{"},
	} {
		t.Run(way.name, func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			sw.ConfigurePorts(1)
			sw.NoError("write the map", os.WriteFile(switchtest.MapPath, []byte(way.databaseMap), 0o644))
			switchtest.WriteFile(t, sw.Dir+"/map.json", switchtest.DefaultMap)
			sw.StartWith("[database]\n" + way.settings)
			sw.AddInterfaces(1)
		})
	}
}

// TestHealthSection checks that the daemon becomes unhealthy when work is pending for
// max_stall_seconds.
func TestHealthSection(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.FewPorts)
	d := sw.StartWith("[health]\nmax_stall_seconds = 3600\n")
	sw.AddInterfaces(switchtest.FewPorts)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	mtu := 1400
	// stalls delays a write and returns whether /healthz reported it as stalled meanwhile.
	stalls := func(limit int) (stalled bool) {
		t.Helper()
		sw.ReloadWith(d, fmt.Sprintf("[health]\nmax_stall_seconds = %d\n", limit))
		// Longer than max_stall_seconds, shorter than the timeout of a reply.
		const delay = 1500 * time.Millisecond
		db.SetFault(lab.Fault{Delay: delay})
		begin := time.Now()
		mtu++
		sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), mtu))
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if a := client.Request(http.MethodGet, "/healthz"); strings.Contains(a.Body, "\n- stalled: ") {
				stalled = true
				if a.Code != http.StatusServiceUnavailable {
					t.Errorf("/healthz answers %d %q", a.Code, a.Body)
				}
			}
			if time.Since(begin) > delay { // later replies are not delayed
				db.SetFault(lab.Fault{})
			}
			row := db.Hash(sw.Databases["STATE_DB"].Number, "PORT_TABLE|"+switchtest.PortName(0))
			if v := client.Scrape().Value(t, "portsyncd_backlog_ports"); v > 0 || row["mtu"] != strconv.Itoa(mtu) {
				return "a port is pending"
			}
			return ""
		})
		db.SetFault(lab.Fault{})
		sw.AwaitRecovery(fmt.Sprintf("a reply after 1.5 s, the limit is %d s", limit))
		return stalled
	}
	if stalls(3600) {
		t.Error("with max_stall_seconds = 3600, a reply after 1.5 s counts as a stall")
	}
	switchtest.Eventually(t, 3*switchtest.Timeout, func() string { // the stall may be over between two requests
		if !stalls(1) {
			return "with max_stall_seconds = 1, a reply after 1.5 s does not count as a stall"
		}
		return ""
	})
	sw.CheckSelfReport(d)
}
