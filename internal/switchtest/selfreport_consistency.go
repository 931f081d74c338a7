package switchtest

import (
	"fmt"
	"html"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"portsyncd/portsync"
)

// unstableSeries matches series that change between two readings although no port changes.
var unstableSeries = regexp.MustCompile(`^(process_|go_|portsyncd_http_|portsyncd_snapshot_|portsyncd_log_|portsyncd_push_|portsyncd_build_info)`)

// Inconsistency describes contradictions between the documents of a report. It returns "" if there
// are none.
func (r *SelfReport) Inconsistency() string {
	var wrong []string
	differ := func(what string, got, want any) {
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			wrong = append(wrong, fmt.Sprintf("%s: %s and %s", what, g, w))
		}
	}
	m := r.Metrics.Samples
	differ("ports of /status and /ports", r.Status.Ports, r.ports)
	differ("health of /status and /healthz", fmt.Sprint(r.Status.Health.Status, r.Status.Health.Score, r.Status.Health.codes()),
		fmt.Sprint(r.Health.Status, r.Health.Score, r.Health.codes()))
	differ("ok of /healthz and its status", r.Health.OK, r.Health.Status != portsync.Unhealthy)
	differ("portsyncd_healthy and /healthz", m["portsyncd_healthy"], BoolToInt(r.Health.OK))
	score := 100
	for _, c := range portsync.HealthCodes {
		isReason := slices.Contains(r.Health.codes(), c.Code)
		if isReason {
			score -= c.Deduction
		}
		differ("portsyncd_health_reason of "+c.Code+" and /healthz", m[fmt.Sprintf("portsyncd_health_reason{code=%q}", c.Code)], BoolToInt(isReason))
	}
	differ("score and the deductions", r.Health.Score, max(score, 0))

	for series, value := range m {
		if other, ok := r.json[series]; ok && !unstableSeries.MatchString(series) {
			differ(series+" in JSON and text", other, value)
		}
	}
	s := &r.Status
	differ("backlog of /status and portsyncd_backlog_ports", s.Backlog.Ports, m["portsyncd_backlog_ports"])
	differ("backlog of /status and portsyncd_backlog_events", s.Backlog.Events, m["portsyncd_backlog_events"])
	differ("PortConfigDone of /status and the series", BoolToInt(s.Start.ConfigDone), m["portsyncd_port_config_done"])
	differ("PortInitDone of /status and the series", BoolToInt(s.Start.InitDone), m["portsyncd_port_init_done"])
	differ("ready of /status and the series", BoolToInt(s.Start.Ready), m["portsyncd_ready"])
	for _, db := range s.Databases {
		differ(db.Name+" of /status and the series", BoolToInt(db.Up), m[`portsyncd_component_up{component="database"}`])
	}
	differ("time of a sync of /status and that it is over", BoolToInt(s.Start.SyncNanos > 0), m["portsyncd_ready"])
	differ("last resync of /status and the series", s.Start.LastResync != nil, r.Metrics.Samples["portsyncd_resync_duration_seconds_count"] > 0)
	differ("last audit of /status and the series", s.Start.LastAudit != nil, m["portsyncd_audits_total"] > 0)
	differ("kind of start and that it is decided", s.Start.Kind != "", s.Start.Ready || s.Start.Kind != "")
	differ("a time of progress and that the daemon is ready", BoolToInt(m["portsyncd_last_progress_timestamp_seconds"] > 0), m["portsyncd_ready"])
	progress, _ := s.Counts["last_progress"].(string)
	differ("last progress of /status and the series", progress != "", m["portsyncd_last_progress_timestamp_seconds"] > 0)
	written, _ := s.Counts["last_write"].(string)
	differ("last write of /status and the series", written != "", r.Metrics.sum("portsyncd_database_writes_total") > 0)
	info := make(map[string]string) // series portsyncd_port_info by port
	for series := range m {
		if strings.HasPrefix(series, "portsyncd_port_info{") {
			info[portInSeries.FindString(series)+"}"] = series
		}
	}
	var begun time.Time // of the process
	for _, p := range s.Pending {
		if p.What == "PortInitDone" {
			begun = p.From
		}
	}
	for _, p := range s.Pending {
		awaited := slices.ContainsFunc(r.ports, func(port ReportedPort) bool { return port.Name == p.What && port.InitPending })
		if awaited && !p.From.After(begun) { // it became pending after the daemon had read CONFIG_DB
			wrong = append(wrong, fmt.Sprintf("%s is pending since %v, and the process was started at %v", p.What, p.From, begun))
		}
	}
	up := 0
	for _, p := range r.ports {
		if labels := fmt.Sprintf(`,speed=%q,lanes=%q,`, p.Speed, p.Lanes); !strings.Contains(info[portLabel(p.Name)], labels) {
			differ("the row in CONFIG_DB of "+p.Name+" in /ports and the series", labels, info[portLabel(p.Name)])
		}
		up += UpToInt(p.Oper)
		if changed := m["portsyncd_port_last_change_timestamp_seconds"+portLabel(p.Name)]; p.Index != 0 {
			shown := 0.0
			if !p.LastChange.IsZero() {
				shown = float64(p.LastChange.UnixNano()) / 1e9
			}
			if math.Abs(shown-changed) > 1e-3 {
				differ("last change of "+p.Name+" in /ports and the series", shown, changed)
			}
		}
	}
	counts := map[string]float64{
		"ports_configured": m["portsyncd_ports_configured"],
		"ports_present":    m["portsyncd_ports_present"],
		"ports_pending":    m["portsyncd_ports_pending"],
		"ports_up":         float64(up),
		"events":           m[`portsyncd_events_total{event="newlink"}`] + m[`portsyncd_events_total{event="dellink"}`],
		"writes":           r.Metrics.sum("portsyncd_database_writes_total"),
		"resyncs":          r.Metrics.sum("portsyncd_resyncs_total"),
		"repairs":          r.Metrics.sum("portsyncd_repairs_total"),
		"audit_mismatches": r.Metrics.sum("portsyncd_audit_mismatches_total"),
		"overruns":         m[`portsyncd_events_total{event="overrun"}`],
		"reconnects":       m["portsyncd_database_reconnects_total"],
	}
	for name, value := range counts {
		differ(name+" of /status and the series", s.Counts[name], value)
	}
	var events, writes float64
	longest := int64(0) // write latency
	for _, minute := range s.Hour {
		events, writes = events+minute.Events, writes+minute.Writes
		longest = max(longest, minute.Max)
		differ(fmt.Sprintf("latencies of a minute %+v and that they are in order", minute), minute.P50 <= minute.P99 && minute.P99 <= minute.Max, true)
	}
	if len(s.Hour) < 60 {
		lower, upper := r.Metrics.EventLatency().maxBounds()
		if at := float64(longest) / 1e9; writes > 0 && (at <= lower || at > upper) {
			differ("longest write of the last hour and the last bucket of portsyncd_event_latency_seconds", at, fmt.Sprintf("(%v, %v]", lower, upper))
		}
		differ("events of the last hour and in all", events, counts["events"])
		differ("writes of the last hour and in all", writes, counts["writes"])
	}
	wrong = append(wrong, r.pageInconsistency(counts)...)
	slices.Sort(wrong)
	return strings.Join(wrong, "\n")
}

// pageTile matches a figure of the page with its name.
var pageTile = regexp.MustCompile(`<dt>([^<]*)</dt><dd>(?:<b>)?([^<]*)(?:</b>)?(?: <span>([^<]*)</span>)?</dd>`)

// pageInconsistency returns the differences between the status page and the other documents.
func (r *SelfReport) pageInconsistency(counts map[string]float64) (wrong []string) {
	differ := func(what string, got, want any) {
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			wrong = append(wrong, fmt.Sprintf("%s on the page and in /status: %s and %s", what, g, w))
		}
	}
	tiles := make(map[string]string)
	for _, m := range pageTile.FindAllStringSubmatch(r.page, -1) {
		tiles[m[1]] = html.UnescapeString(m[2])
	}
	figure := func(text string) string {
		return strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' {
				return c
			}
			return -1
		}, text)
	}
	for tile, name := range map[string]string{"Link messages": "events", "Writes": "writes", "Resyncs": "resyncs", "Repairs": "repairs",
		"Audit mismatches": "audit_mismatches", "Overruns": "overruns", "Reconnects": "reconnects"} {
		differ(tile, figure(tiles[tile]), strconv.FormatFloat(counts[name], 'f', -1, 64))
	}
	differ("Pending", tiles["Pending"], len(r.Status.Pending))
	differ("Backlog", figure(tiles["Backlog"]), r.Status.Backlog.Ports)
	daemon, ports := "in sync", "none"
	switch {
	case r.Health.Status != "healthy":
		daemon = fmt.Sprintf("%s, score %d of 100", r.Health.Status, r.Health.Score)
	case r.Status.Backlog.Ports > 0:
		daemon = "writing "
	}
	if n := len(r.ports); n > 0 {
		ports = fmt.Sprintf("%v of %d up<", counts["ports_up"], n)
	}
	for _, want := range []string{"daemon: <b>" + daemon, "ports: <b>" + ports} {
		if !strings.Contains(r.page, want) {
			wrong = append(wrong, "the page has no "+want)
		}
	}
	if n := len(r.ports); n > 0 && !strings.Contains(r.page, fmt.Sprintf(">%d ports", n)) {
		wrong = append(wrong, fmt.Sprintf("the page does not show %d ports", n))
	}
	return wrong
}
