package health

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"portsyncd/internal/daemon"
	"portsyncd/internal/switchtest"
	"portsyncd/portsync"
)

// numberRule says what value a metric family must have.
type numberRule struct {
	// exact returns all series of the family and their values; for a histogram, its
	// count; for a family with bounded, the known values.
	exact func(o *observed) map[string]float64
	// why says why bounded is used in place of exact. It is "" if exact is used.
	why     string
	bounded func(o *observed, series string, value float64) bool
	// values returns all observations of a histogram, from which its sum and buckets follow.
	values func(o *observed) []float64
	// sum returns the bounds of the sum of a histogram whose observations are not known.
	sum func(o *observed) (least, most float64)
}

// problem returns how a family breaks the rule, or "".
func (r numberRule) problem(o *observed, f switchtest.Family) (wrong []string) {
	got := make(map[string]float64)
	for _, series := range f.Series {
		if f.Kind == "histogram" && !strings.HasPrefix(series, f.Name+"_count") {
			continue
		}
		got[series] = o.final.Metrics.Samples[series]
	}
	if f.Kind == "histogram" {
		wrong = append(wrong, histogramProblem(o.final.Metrics, f)...)
		wrong = append(wrong, r.sumProblem(o, f)...)
	}
	if r.bounded != nil {
		for _, series := range sortedKeys(got) {
			if !r.bounded(o, series, got[series]) {
				wrong = append(wrong, fmt.Sprintf("%s is %v, out of bounds", series, got[series]))
			}
		}
		return wrong
	}
	want := r.exact(o)
	for _, series := range sortedKeys(want) {
		if value, ok := got[series]; !ok || value != want[series] {
			wrong = append(wrong, fmt.Sprintf("%s is %v (exists: %v), want %v", series, value, ok, want[series]))
		}
	}
	for _, series := range sortedKeys(got) {
		if _, ok := want[series]; !ok && got[series] != 0 {
			wrong = append(wrong, fmt.Sprintf("%s is %v, want 0", series, got[series]))
		}
	}
	return wrong
}

// histogramProblem returns how the buckets of a histogram contradict its count, or "".
func histogramProblem(e switchtest.Exposition, f switchtest.Family) (wrong []string) {
	last, infinite := 0.0, math.NaN()
	for _, series := range f.Series {
		if !strings.HasPrefix(series, f.Name+"_bucket{") {
			continue
		}
		value := e.Samples[series]
		if value < last {
			wrong = append(wrong, fmt.Sprintf("%s is %v, the bucket before has %v", series, value, last))
		}
		last = value
		if strings.Contains(series, `le="+Inf"`) {
			infinite = value
		}
	}
	if n := e.Samples[f.Name+"_count"]; infinite != n {
		wrong = append(wrong, fmt.Sprintf("the last bucket has %v, the count is %v", infinite, n))
	}
	if sum := e.Samples[f.Name+"_sum"]; sum < 0 || last == 0 && sum != 0 {
		wrong = append(wrong, fmt.Sprintf("the sum of %v is %v", last, sum))
	}
	return wrong
}

// sumProblem returns how the sum and the buckets of a histogram contradict the observations.
func (r numberRule) sumProblem(o *observed, f switchtest.Family) (wrong []string) {
	samples := o.final.Metrics.Samples
	if r.values == nil {
		if r.sum == nil {
			return []string{"the rule has neither values nor sum"}
		}
		least, most := r.sum(o)
		if sum := samples[f.Name+"_sum"]; sum < least*(1-1e-9) || sum > most*(1+1e-9) {
			wrong = append(wrong, fmt.Sprintf("the sum is %v, want %v to %v", sum, least, most))
		}
		return wrong
	}
	want := make(map[string]float64)
	for _, v := range r.values(o) {
		want[f.Name+"_sum"] += v
		for _, series := range f.Series {
			if bound, ok := strings.CutPrefix(series, f.Name+`_bucket{le="`); ok {
				if limit, _ := strconv.ParseFloat(strings.TrimSuffix(bound, `"}`), 64); v <= limit {
					want[series]++
				}
			}
		}
	}
	for _, series := range f.Series {
		if series != f.Name+"_count" && samples[series] != want[series] {
			wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", series, samples[series], want[series]))
		}
	}
	return wrong
}

// with returns the rule with bounds of the sum.
func (r numberRule) with(sum func(o *observed) (least, most float64)) numberRule {
	r.sum = sum
	return r
}

// longestWrite returns the longest latency of a write in seconds, from /status.
func (o *observed) longestWrite() (seconds float64) {
	for _, minute := range o.final.Status.Hour {
		seconds = max(seconds, float64(minute.Max)/1e9)
	}
	return seconds
}

// labeled returns the series of a family with one label.
func labeled(name, label string, values map[string]float64) map[string]float64 {
	all := make(map[string]float64)
	for v, n := range values {
		all[fmt.Sprintf("%s{%s=%q}", name, label, v)] = n
	}
	return all
}

// always is the rule of families without labels that always have a value.
func always(name string, value float64) numberRule {
	return only(name, func(*observed) float64 { return value })
}

// only returns the rule of a family without labels.
func only(name string, value func(o *observed) float64) numberRule {
	return numberRule{exact: func(o *observed) map[string]float64 { return map[string]float64{name: value(o)} }}
}

// by returns the rule of a family with one label.
func by(name, label string, values func(o *observed) map[string]float64) numberRule {
	return numberRule{exact: func(o *observed) map[string]float64 { return labeled(name, label, values(o)) }}
}

// none is the rule of families that must not change.
var none = numberRule{exact: func(*observed) map[string]float64 { return nil }}

// perPort returns the rule of a family with a series for each port.
func perPort(name string, value func(p switchtest.ReportedPort) float64) numberRule {
	return by(name, "port", func(o *observed) map[string]float64 {
		all := make(map[string]float64)
		for n := range numberPorts {
			all[switchtest.PortName(n)] = value(o.facts[switchtest.PortName(n)])
		}
		return all
	})
}

// recent is the rule of a time between the start of the test and now.
func recent(why string) numberRule {
	return numberRule{why: why, bounded: func(o *observed, _ string, value float64) bool {
		return value >= float64(o.begun.UnixNano())/1e9-1 && value <= float64(time.Now().UnixNano())/1e9
	}}
}

// countMessages counts link messages.
func (o *observed) countMessages(cond func(linkMessage) bool) float64 { return count(o.news, cond) }

// isNotAccepted reports whether a name is that of the port that APPL_DB does not have.
func isNotAccepted(name string) bool { return name == switchtest.PortName(numberPorts) }

// countNameless counts messages about interfaces that are not ports by their name, and were not at
// the message before.
func (o *observed) countNameless() (n float64) {
	known := make(map[int32]bool)
	news, _ := o.news.From(0)
	for _, m := range news {
		if switchtest.IsPortName(m.name) {
			known[m.index] = !m.deleted || m.master
			continue
		}
		if !known[m.index] {
			n++
		}
		delete(known, m.index)
	}
	return n
}

// numberFiles are the names of the daemon's files by label.
var numberFiles = map[string]string{"state": "port_state.json", "metrics": "metrics/metrics.json", "history": "metrics/history.jsonl",
	"export_prometheus": "metrics/portsyncd.prom", "export_json": "metrics/metrics-export.json"}

// fileFacts is a file as the disk has it.
type fileFacts struct {
	saves float64 // how often it was replaced; of the history, its lines
	size  float64
	dated float64 // seconds since 1970
}

// readFiles returns the daemon's files as the disk has them.
func (o *observed) readFiles() map[string]fileFacts {
	all := make(map[string]fileFacts)
	for label, name := range numberFiles {
		path := o.Dir + "/numbers/" + name
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		f := fileFacts{size: float64(len(text)), saves: count(o.files, func(replaced string) bool { return replaced == filepath.Base(name) })}
		if label == "history" {
			f.saves = float64(strings.Count(string(text), "\n"))
		}
		if info, err := os.Stat(path); err == nil {
			f.dated = float64(info.ModTime().UnixNano()) / 1e9
		}
		all[label] = f
	}
	return all
}

// fileValues returns one property of each file.
func (o *observed) fileValues(fact func(fileFacts) float64) map[string]float64 {
	all := make(map[string]float64)
	for label, f := range o.fileFacts {
		all[label] = fact(f)
	}
	return all
}

// numberRules has a rule for each family of the exposition after the storm.
var numberRules = map[string]numberRule{
	"portsyncd_events_total": by("portsyncd_events_total", "event", func(o *observed) map[string]float64 {
		return map[string]float64{
			"newlink":  o.countMessages(func(m linkMessage) bool { return !m.deleted }) + o.dumped.links + o.audits()*o.countLinks().links,
			"dellink":  o.countMessages(func(m linkMessage) bool { return m.deleted }),
			"dumpdone": o.dumps + o.audits(),
			"overrun":  0,
		}
	}),
	"portsyncd_events_ignored_total": by("portsyncd_events_ignored_total", "reason", func(o *observed) map[string]float64 {
		return map[string]float64{
			"name":    o.countNameless() + o.dumped.nameless + o.audits()*o.countLinks().nameless,
			"master":  o.countMessages(func(m linkMessage) bool { return m.deleted && m.master && switchtest.IsPortName(m.name) }),
			"unknown": o.countMessages(func(m linkMessage) bool { return isNotAccepted(m.name) && !m.deleted }) + o.dumped.unserved,
			"known":   o.audits() * float64(len(o.facts)),
		}
	}),
	"portsyncd_resyncs_total": by("portsyncd_resyncs_total", "reason", func(o *observed) map[string]float64 { return o.resyncs }),
	"portsyncd_resync_duration_seconds": only("portsyncd_resync_duration_seconds_count", func(o *observed) (n float64) {
		for _, count := range o.resyncs {
			n += count
		}
		return n
	}).with(func(o *observed) (least, most float64) { return 0, o.read.Sub(o.begun).Seconds() }), // one at a time
	"portsyncd_repairs_total": by("portsyncd_repairs_total", "kind", func(*observed) map[string]float64 {
		return map[string]float64{"row": 2, "stale": 1}
	}),
	"portsyncd_audits_total": only("portsyncd_audits_total", (*observed).audits),
	"portsyncd_audit_mismatches_total": by("portsyncd_audit_mismatches_total", "database", func(*observed) map[string]float64 {
		return map[string]float64{"STATE_DB": 3}
	}),
	"portsyncd_event_latency_seconds": only("portsyncd_event_latency_seconds_count", func(o *observed) float64 {
		return o.writes.sets + o.writes.deletes
	}).with(func(o *observed) (least, most float64) {
		return o.longestWrite(), o.longestWrite() * (o.writes.sets + o.writes.deletes)
	}),
	"portsyncd_database_writes_total": by("portsyncd_database_writes_total", "op", func(o *observed) map[string]float64 {
		return map[string]float64{"set": o.writes.sets, "delete": o.writes.deletes}
	}),
	"portsyncd_batch_ports": {
		exact: func(o *observed) map[string]float64 {
			return map[string]float64{"portsyncd_batch_ports_count": float64(len(o.writes.batchPorts))}
		},
		values: func(o *observed) []float64 { return o.writes.batchPorts },
	},
	"portsyncd_database_errors_total": by("portsyncd_database_errors_total", "kind", func(o *observed) map[string]float64 {
		return map[string]float64{"io": o.resyncs["database_back"], "refused": o.writes.refusals}
	}),
	"portsyncd_database_reconnects_total": only("portsyncd_database_reconnects_total", func(o *observed) float64 {
		return o.resyncs["database_back"]
	}),
	"portsyncd_port_config_done_ports": always("portsyncd_port_config_done_ports", numberPorts),
	"portsyncd_port_table_rows":        always("portsyncd_port_table_rows", numberPorts),
	"portsyncd_ports_present":          always("portsyncd_ports_present", numberPorts),
	"portsyncd_ports_configured":       always("portsyncd_ports_configured", numberPorts),
	"portsyncd_ports_pending":          always("portsyncd_ports_pending", 0),
	"portsyncd_ports_missing":          always("portsyncd_ports_missing", 0),
	"portsyncd_backlog_ports":          always("portsyncd_backlog_ports", 0),
	"portsyncd_backlog_events":         always("portsyncd_backlog_events", 0),
	"portsyncd_enabled":                always("portsyncd_enabled", 1),
	"portsyncd_ready":                  always("portsyncd_ready", 1),
	"portsyncd_port_config_done":       always("portsyncd_port_config_done", 1),
	"portsyncd_port_init_done":         always("portsyncd_port_init_done", 1),
	"portsyncd_healthy":                always("portsyncd_healthy", 1),
	"portsyncd_health_reason": by("portsyncd_health_reason", "code", func(*observed) map[string]float64 {
		all := make(map[string]float64)
		for _, c := range portsync.HealthCodes {
			all[c.Code] = 0
		}
		return all
	}),
	"portsyncd_component_up": by("portsyncd_component_up", "component", func(*observed) map[string]float64 {
		return map[string]float64{"database": 1, "kernel": 1, "start": 1}
	}),
	"portsyncd_last_progress_timestamp_seconds": recent("nobody but the daemon reads the clock when an answer arrives"),

	"portsyncd_port_admin_up":  perPort("portsyncd_port_admin_up", func(p switchtest.ReportedPort) float64 { return float64(switchtest.UpToInt(p.Admin)) }),
	"portsyncd_port_oper_up":   perPort("portsyncd_port_oper_up", func(p switchtest.ReportedPort) float64 { return float64(switchtest.UpToInt(p.Oper)) }),
	"portsyncd_port_mtu_bytes": perPort("portsyncd_port_mtu_bytes", func(p switchtest.ReportedPort) float64 { return float64(p.MTU) }),
	"portsyncd_port_present":   perPort("portsyncd_port_present", func(switchtest.ReportedPort) float64 { return 1 }),
	"portsyncd_port_written":   perPort("portsyncd_port_written", func(switchtest.ReportedPort) float64 { return 1 }),
	"portsyncd_port_carrier_up_changes_total": perPort("portsyncd_port_carrier_up_changes_total",
		func(p switchtest.ReportedPort) float64 { return float64(p.CarrierUp) }),
	"portsyncd_port_carrier_down_changes_total": perPort("portsyncd_port_carrier_down_changes_total",
		func(p switchtest.ReportedPort) float64 { return float64(p.CarrierDown) }),
	"portsyncd_port_changes_total": by("portsyncd_port_changes_total", "port", func(o *observed) map[string]float64 {
		return o.writes.changes
	}),
	"portsyncd_port_info": {exact: func(*observed) map[string]float64 { // as Switch.ConfigurePorts writes the rows
		all := make(map[string]float64)
		for n := range numberPorts {
			all[fmt.Sprintf(`portsyncd_port_info{port=%q,alias="etp%d",description="",speed="100000",lanes="%d",index=""}`,
				switchtest.PortName(n), n, n)] = 1
		}
		return all
	}},
	"portsyncd_port_last_change_timestamp_seconds": recent("nobody but the daemon reads the clock when a message arrives"),

	"portsyncd_netlink_datagrams_total": {why: "how many messages of a dump share a datagram is the kernel's choice",
		bounded: func(o *observed, _ string, value float64) bool {
			news, _ := o.news.From(0)
			own := float64(news[len(news)-1].datagram)
			return value >= own+o.dumps && value <= own+2*o.dumps+o.dumped.links+o.audits()*(2+o.countLinks().links)
		}},
	"portsyncd_netlink_overruns_total":  none,
	"portsyncd_netlink_truncated_total": none,
	"portsyncd_netlink_forged_total":    none,
	"portsyncd_netlink_malformed_total": none,
	"portsyncd_netlink_receive_buffer_bytes": only("portsyncd_netlink_receive_buffer_bytes", func(o *observed) float64 {
		return receiveBufferOf(o.Switch, o.d.Cmd.Process.Pid)
	}),

	"portsyncd_warm_restarts":               none,
	"portsyncd_cold_starts":                 always("portsyncd_cold_starts", 1),
	"portsyncd_eoiu_detected":               always("portsyncd_eoiu_detected", 1),
	"portsyncd_eoiu_timeouts":               none,
	"portsyncd_state_recoveries":            none,
	"portsyncd_corruptions_detected":        none,
	"portsyncd_corruptions_recovered_total": none,
	"portsyncd_state_losses_total":          none,
	"portsyncd_sync_duration_seconds": always("portsyncd_sync_duration_seconds_count", 1).with(func(o *observed) (least, most float64) {
		took := float64(o.final.Status.Start.SyncNanos) / 1e9
		return took, took
	}),
	"portsyncd_disk_faulty": none,

	"portsyncd_snapshot_failures_total": none,
	"portsyncd_snapshot_saves_total": by("portsyncd_snapshot_saves_total", "file", func(o *observed) map[string]float64 {
		return o.fileValues(func(f fileFacts) float64 { return f.saves })
	}),
	"portsyncd_snapshot_size_bytes": by("portsyncd_snapshot_size_bytes", "file", func(o *observed) map[string]float64 {
		return o.fileValues(func(f fileFacts) float64 { return f.size })
	}),
	"portsyncd_snapshot_saved_timestamp_seconds": {why: "the daemon reads the clock after the kernel has dated the file",
		bounded: func(o *observed, series string, value float64) bool {
			_, rest, _ := strings.Cut(series, `file="`)
			return value > o.fileFacts[strings.TrimSuffix(rest, `"}`)].dated-0.5 && value <= float64(o.read.UnixNano())/1e9
		}},

	"portsyncd_log_lines_total": by("portsyncd_log_lines_total", "level", func(o *observed) map[string]float64 {
		all := make(map[string]float64)
		const tag = "portsyncd"
		for severity, level := range []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"} {
			for _, l := range o.lines() {
				all[level] += float64(switchtest.BoolToInt(l.Tag == tag && l.Severity() == severity))
			}
		}
		return all
	}),
	"portsyncd_log_lines_dropped_total": none,
	// The number of suppressed lines is in the next line of the same message, if there is one.
	"portsyncd_log_lines_suppressed_total": {why: "nobody but the daemon knows of lines after the last one of their message",
		bounded: func(o *observed, _ string, value float64) bool {
			told, lines := 0.0, 0.0
			for _, l := range o.lines() {
				lines++
				if _, n, ok := strings.Cut(l.Text, " suppressed="); ok {
					suppressed, _ := strconv.ParseFloat(n, 64)
					told += suppressed
				}
			}
			return value >= told && value+lines <= told+lines+10*float64(o.news.Len())
		}},
	"portsyncd_http_requests_total": {exact: func(o *observed) map[string]float64 {
		all := make(map[string]float64)
		for pathAndCode, n := range o.answered {
			path, code, _ := strings.Cut(pathAndCode, " ")
			all[fmt.Sprintf("portsyncd_http_requests_total{path=%q,code=%q}", path, code)] = n
		}
		return all
	}},
	"portsyncd_http_rejected_total": none,
	"portsyncd_build_info": {why: "the build says it", bounded: func(_ *observed, series string, value float64) bool {
		return value == 1 && strings.Contains(series, `version="`+daemon.Release+`"`)
	}},
	"portsyncd_push_requests_total":                 none,
	"portsyncd_push_failures_total":                 none,
	"portsyncd_push_samples_total":                  none,
	"portsyncd_push_dropped_batches_total":          none,
	"portsyncd_push_queue_batches":                  none,
	"portsyncd_push_last_success_timestamp_seconds": none,
}
