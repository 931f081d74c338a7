package http

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/daemon"
	"portsyncd/internal/switchtest"
)

// How the faults of TestFamilies affect a series.
const (
	still  = "0"
	moved  = "above 0"
	either = "any number"
)

// operatorQuestions maps an operator's questions to the series that answer them.
var operatorQuestions = []struct {
	question string
	kind     string
	series   string
	value    string
}{
	{"are the databases connected?", "gauge", `portsyncd_component_up{component="database"}`, moved},
	{"has the kernel answered?", "gauge", `portsyncd_component_up{component="kernel"}`, moved},
	{"is the start complete?", "gauge", `portsyncd_component_up{component="start"}`, moved},
	{"when was something last done?", "gauge", "portsyncd_last_progress_timestamp_seconds", moved},
	{"was the initial sync done?", "gauge", "portsyncd_ready", moved},
	{"how often was STATE_DB compared?", "counter", "portsyncd_audits_total", moved},
	{"did the daemon miss a change?", "counter", `portsyncd_audit_mismatches_total{database="kernel"}`, still},
	{"was STATE_DB different?", "counter", `portsyncd_audit_mismatches_total{database="STATE_DB"}`, moved},
	{"was APPL_DB different?", "counter", `portsyncd_audit_mismatches_total{database="APPL_DB"}`, still},

	{"do links change?", "counter", `portsyncd_events_total{event="newlink"}`, moved},
	{"do links go?", "counter", `portsyncd_events_total{event="dellink"}`, moved},
	{"did dumps end?", "counter", `portsyncd_events_total{event="dumpdone"}`, moved},
	{"is APPL_DB without ports that exist?", "counter", `portsyncd_events_ignored_total{reason="unknown"}`, moved},
	{"how many interfaces are no ports?", "counter", `portsyncd_events_ignored_total{reason="name"}`, moved},
	{"are interfaces left over?", "counter", `portsyncd_events_ignored_total{reason="old"}`, still},

	{"were messages lost?", "counter", "portsyncd_netlink_overruns_total", moved},
	{"does the buffer of reads suffice?", "counter", "portsyncd_netlink_truncated_total", still},
	{"does somebody forge messages?", "counter", "portsyncd_netlink_forged_total", still},
	{"can all messages be read?", "counter", "portsyncd_netlink_malformed_total", still},
	{"how much can the kernel queue?", "gauge", "portsyncd_netlink_receive_buffer_bytes", moved},
	{"was all asked for again after a loss?", "counter", `portsyncd_resyncs_total{reason="overrun"}`, moved},
	{"and after Redis was gone?", "counter", `portsyncd_resyncs_total{reason="database_back"}`, moved},
	{"were dumps interrupted?", "counter", `portsyncd_resyncs_total{reason="dump_interrupted"}`, either},
	{"what was wrong afterwards?", "counter", `portsyncd_repairs_total{kind="row"}`, moved},
	{"which rows were too many?", "counter", `portsyncd_repairs_total{kind="stale"}`, moved},
	{"how long does it take to ask again?", "histogram", "portsyncd_resync_duration_seconds_count", moved},

	{"how late is STATE_DB?", "histogram", "portsyncd_event_latency_seconds_count", moved},
	{"from 50 µs up?", "histogram", `portsyncd_event_latency_seconds_bucket{le="5e-05"}`, either},
	{"are rows written?", "counter", `portsyncd_database_writes_total{op="set"}`, moved},
	{"are rows deleted?", "counter", `portsyncd_database_writes_total{op="delete"}`, moved},
	{"did connections fail?", "counter", `portsyncd_database_errors_total{kind="io"}`, moved},
	{"does Redis refuse?", "counter", `portsyncd_database_errors_total{kind="refused"}`, moved},
	{"does Redis talk nonsense?", "counter", `portsyncd_database_errors_total{kind="protocol"}`, still},
	{"did it come back?", "counter", "portsyncd_database_reconnects_total", moved},
	{"how much goes at once?", "histogram", "portsyncd_batch_ports_count", moved},
	{"which ports wait to be written?", "gauge", "portsyncd_backlog_ports", still},
	{"which messages wait?", "gauge", "portsyncd_backlog_events", still},

	{"how many ports should there be?", "gauge", "portsyncd_ports_configured", moved},
	{"how many are there?", "gauge", "portsyncd_ports_present", moved},
	{"how many hold PortInitDone up?", "gauge", "portsyncd_ports_pending", still},
	{"was PortInitDone produced?", "gauge", "portsyncd_port_init_done", moved},
	{"was PortConfigDone?", "gauge", "portsyncd_port_config_done", moved},
	{"would a warm restart fail: what was announced?", "gauge", "portsyncd_port_config_done_ports", moved},
	{"would a warm restart fail: what is there?", "gauge", "portsyncd_port_table_rows", moved},

	{"is the port up?", "gauge", `portsyncd_port_oper_up{port="Ethernet4"}`, moved},
	{"was it set up?", "gauge", `portsyncd_port_admin_up{port="Ethernet4"}`, moved},
	{"with which MTU?", "gauge", `portsyncd_port_mtu_bytes{port="Ethernet4"}`, moved},
	{"how often did its carrier come?", "counter", `portsyncd_port_carrier_up_changes_total{port="Ethernet4"}`, moved},
	{"how often did its carrier go?", "counter", `portsyncd_port_carrier_down_changes_total{port="Ethernet4"}`, moved},
	{"when did it change?", "gauge", `portsyncd_port_last_change_timestamp_seconds{port="Ethernet4"}`, moved},

	{"how old is what would survive?", "gauge", `portsyncd_snapshot_saved_timestamp_seconds{file="state"}`, moved},
	{"can it be written?", "counter", `portsyncd_snapshot_failures_total{file="state"}`, still},
	{"how much is it?", "gauge", `portsyncd_snapshot_size_bytes{file="state"}`, moved},
	{"is the disk bad?", "gauge", "portsyncd_disk_faulty", still},

	{"how much is logged?", "counter", `portsyncd_log_lines_total{level="notice"}`, moved},
	{"are there errors in the log?", "counter", `portsyncd_log_lines_total{level="error"}`, moved},
	{"are lines lost?", "counter", "portsyncd_log_lines_dropped_total", either},
	{"is something logged in a loop?", "counter", "portsyncd_log_lines_suppressed_total", either},
	{"who asks?", "counter", `portsyncd_http_requests_total{path="/metrics",code="200"}`, moved},
	{"who was turned away?", "counter", `portsyncd_http_rejected_total{reason="connections"}`, still},

	{"how much processor?", "counter", "process_cpu_seconds_total", moved},
	{"how much memory?", "gauge", "process_resident_memory_bytes", moved},
	{"how many files?", "gauge", "process_open_fds", moved},
	{"how many may there be?", "gauge", "process_max_fds", moved},
	{"since when does it run?", "gauge", "process_start_time_seconds", moved},
	{"how many goroutines?", "gauge", "go_goroutines", moved},
	{"how many threads?", "gauge", "go_threads", moved},
	{"how long did collections stop it?", "summary", "go_gc_duration_seconds_count", either},
	{"how much heap?", "gauge", "go_memstats_heap_alloc_bytes", moved},
	{"garbage?", "counter", "go_memstats_alloc_bytes_total", moved},

	{"warm restarts", "counter", "portsyncd_warm_restarts", still},
	{"cold starts", "counter", "portsyncd_cold_starts", moved},
	{"initial dumps", "counter", "portsyncd_eoiu_detected", moved},
	{"initial dumps that took too long", "counter", "portsyncd_eoiu_timeouts", still},
	{"files that a backup stood in for", "counter", "portsyncd_state_recoveries", still},
	{"corrupt files", "counter", "portsyncd_corruptions_detected", still},
	{"how long the initial sync took", "histogram", "portsyncd_sync_duration_seconds_count", moved},
}

// helpFile lists the type and the help of each family. A help text states what the number is, so a
// change of a text must be as deliberate as a change of the number.
const helpFile = "integration/http/testdata/help.txt"

// checkHelp compares the families of the daemon with helpFile.
func checkHelp(t *testing.T, families []switchtest.Family) {
	t.Helper()
	want := make(map[string]bool)
	for line := range strings.Lines(switchtest.ReadFile(t, helpFile)) {
		want[strings.TrimSuffix(line, "\n")] = true
	}
	for _, f := range families {
		if !strings.HasPrefix(f.Name, "portsyncd_") {
			continue
		}
		line := f.Name + " " + f.Kind + " " + f.Help
		if !want[line] {
			t.Errorf("%s has no line %q", helpFile, line)
		}
		delete(want, line)
	}
	for line := range want {
		t.Errorf("the daemon has no family as in the line %q of %s", line, helpFile)
	}
}

// TestFamilies causes each kind of fault and checks that the series about it exist and have
// changed, and that the others have not.
func TestFamilies(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith("[health]\naudit_interval_secs = 1\n")
	sw.AddInterfaces(switchtest.ManyPorts)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)

	sw.AddPort(switchtest.PortName(switchtest.ManyPorts)) // not in CONFIG_DB
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(switchtest.ManyPorts-1)))
	sw.AwaitInSync(switchtest.Timeout)
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(1), "mtu", "1")
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(99), "state", "ok", "netdev_oper_status", "up")
	sw.AwaitInSync(switchtest.Timeout)

	d.Signal(syscall.SIGSTOP)
	sw.Overrun(switchtest.ManyPorts - 1)
	d.Signal(syscall.SIGCONT)
	sw.AwaitInSync(switchtest.Timeout)

	sw.Do("STATE_DB", "CONFIG", "SET", "maxmemory", "1")
	sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(2), 1300))
	switchtest.Eventually(t, switchtest.Timeout, func() string { // another reason may come first
		if a := client.Request("GET", "/healthz"); a.Code != 503 || !strings.Contains(a.Body, "Redis refused a command") {
			return fmt.Sprintf("health with a full database: %d %q", a.Code, a.Body)
		}
		return ""
	})
	switchtest.Eventually(t, switchtest.Timeout, func() string { // writes after the overrun may also be refused
		if client.Scrape().Value(t, "portsyncd_backlog_ports") == 0 {
			return "no port is in the backlog of a full database"
		}
		return ""
	})
	sw.Do("STATE_DB", "CONFIG", "SET", "maxmemory", "0")
	sw.AwaitInSync(switchtest.Timeout)
	client.AwaitCode("/healthz", 200)
	sw.Do("APPL_DB", "SAVE")
	r.Stop()
	sw.CloseConns()
	client.AwaitCode("/healthz", 503)
	sw.NoError("restart", r.Restart())
	sw.AwaitInSync(switchtest.Timeout)

	client.AwaitValue("portsyncd_backlog_ports", 0)
	e := client.Scrape()
	kinds := make(map[string]string)
	for _, f := range e.Families {
		for _, series := range f.Series {
			kinds[series] = f.Kind
		}
		if !strings.HasSuffix(f.Help, ".") {
			t.Errorf("help of %s is not a sentence: %q", f.Name, f.Help)
		}
	}
	checkHelp(t, e.Families)
	switchtest.Eventually(t, switchtest.Timeout, func() string { // the dump after the restart may not be complete
		e := client.Scrape()
		var wrong []string
		for _, q := range operatorQuestions {
			value, ok := e.Samples[q.series]
			switch {
			case !ok:
				wrong = append(wrong, fmt.Sprintf("%s no series %s", q.question, q.series))
			case kinds[q.series] != q.kind:
				wrong = append(wrong, fmt.Sprintf("%s %s is a %s, want a %s", q.question, q.series, kinds[q.series], q.kind))
			case q.value == still && value != 0, q.value == moved && !(value > 0):
				wrong = append(wrong, fmt.Sprintf("%s %s is %v, want %s", q.question, q.series, value, q.value))
			}
		}
		return strings.Join(wrong, "\n")
	})
	info := false
	for series := range e.Samples {
		info = info || strings.HasPrefix(series, `portsyncd_build_info{version="`+daemon.Release+`",revision="`) &&
			strings.Contains(series, `",goversion="go1.`) && strings.HasSuffix(series, `"}`)
	}
	if !info {
		t.Error("no portsyncd_build_info with version, revision and goversion")
	}
}
