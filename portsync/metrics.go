package portsync

import (
	"strings"

	"portsyncd/internal/syslog"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// Metrics holds the metric families that the loop updates. Their help texts are in NewMetrics;
// docs/METRICS.md explains how to use them.
type Metrics struct {
	events         *metrics.Vec[metrics.Counter] // by netlinkraw.MessageType
	ignored        *metrics.Vec[metrics.Counter] // by IgnoreReason
	resyncs        *metrics.Vec[metrics.Counter] // by Reason
	resyncDuration *metrics.Histogram
	repairs        *metrics.Vec[metrics.Counter] // by repairedRow, repairedStale
	audits         *metrics.Counter
	mismatches     *metrics.Vec[metrics.Counter] // by mismatchKernel and so on
	latency        latencyRecord                 // of acknowledged writes
	writes         *metrics.Vec[metrics.Counter] // by writeSet, writeDelete
	batch          *metrics.Histogram            // ports per batch
	errors         *metrics.Vec[metrics.Counter] // by errorIO and so on
	reconnects     *metrics.Counter

	ports *portColumns // nil if metrics.per_port is false
}

// Indexes of label values.
const (
	writeSet = iota
	writeDelete
)
const (
	repairedRow = iota
	repairedStale
)
const (
	mismatchKernel = iota
	mismatchState
	mismatchAppl
)
const (
	errorIO = iota
	errorRefused
	errorProtocol
)

// latencyBounds are the histogram bucket bounds in seconds. They range from the latency of a single
// event on an idle machine to the duration of a Redis restart.
var latencyBounds = []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
	100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10}

var batchBounds = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}

// NewMetrics adds the metric families of the loop to set. Gauges are read from s at each scrape. If
// perPort is set, NewMetrics also adds the families with one series per port.
func NewMetrics(set *metrics.Set, s *Status, perPort bool) *Metrics {
	m := &Metrics{
		events: set.NewCounterVec("portsyncd_events_total",
			"Total number of link messages, ends of dumps and receive buffer overruns processed, by event.", "event",
			names(netlinkraw.NewLink, netlinkraw.DelLink, netlinkraw.DumpDone, netlinkraw.Overrun, netlinkraw.Unreadable)...),
		ignored: set.NewCounterVec("portsyncd_events_ignored_total",
			"Total number of link messages ignored, by reason.", "reason",
			names(IgnoredName, IgnoredTeam, IgnoredMaster, IgnoredOld, IgnoredUnknown, IgnoredKnown)...),
		resyncs: set.NewCounterVec("portsyncd_resyncs_total",
			"Total number of resyncs, in which all links are read from the kernel again, by reason. Includes the initial dump at startup.", "reason",
			names(ReasonStart, ReasonOverrun, ReasonInterrupted, ReasonFailed, ReasonSilent,
				ReasonReconnect, ReasonFlush)...),
		resyncDuration: set.NewHistogram("portsyncd_resync_duration_seconds",
			"Duration of resyncs in seconds, including the time for repeated dumps.", latencyBounds),
		repairs: set.NewCounterVec("portsyncd_repairs_total",
			"Total number of incorrect STATE_DB rows that were repaired, by kind: row (rewritten) or stale (deleted).", "kind", "row", "stale"),
		audits: set.NewCounter("portsyncd_audits_total",
			"Total number of completed audits, which compare STATE_DB with the kernel."),
		mismatches: set.NewCounterVec("portsyncd_audit_mismatches_total",
			"Total number of mismatches found by audits, by affected database.", "database", "kernel", "STATE_DB", "APPL_DB"),
		latency: latencyRecord{histogram: set.NewHistogram("portsyncd_event_latency_seconds",
			"Latency in seconds of writes to STATE_DB, from reading the link message or starting the repair until Redis acknowledged the write.", latencyBounds)},
		writes: set.NewCounterVec("portsyncd_database_writes_total",
			"Total number of STATE_DB writes acknowledged by Redis, by operation.", "op", "set", "delete"),
		batch: set.NewHistogram("portsyncd_batch_ports",
			"Number of STATE_DB rows written or deleted per batch.", batchBounds),
		errors: set.NewCounterVec("portsyncd_database_errors_total",
			"Total number of failed Redis requests, by kind: connection failure (io), error reply (refused) or invalid reply (protocol).", "kind", "io", "refused", "protocol"),
		reconnects: set.NewCounter("portsyncd_database_reconnects_total",
			"Total number of reconnects to Redis after a lost connection."),
	}
	s.metrics = m
	s.expose(set)
	if perPort {
		m.ports = newPortColumns(set)
	}
	return m
}

// names returns the label values of an enumeration.
func names[T interface{ String() string }](values ...T) []string {
	var out []string
	for _, v := range values {
		out = append(out, v.String())
	}
	return out
}

// event returns the counter for one message type.
func (m *Metrics) event(kind netlinkraw.MessageType) *metrics.Counter {
	return m.events.At(int(kind - netlinkraw.NewLink))
}

// countEvent counts one kernel message.
func (m *Metrics) countEvent(ev *Event) {
	m.event(ev.Kind).Inc()
	if ev.Kind <= netlinkraw.DelLink {
		m.latency.hour.event(ev.At)
	}
}

// wrote counts one write to STATE_DB, which was queued at time since and acknowledged at time at on
// the loop's clock.
func (m *Metrics) wrote(op int, since, at int64) {
	m.writes.At(op).Inc()
	m.latency.observe(at, at-since)
}

// counts returns the totals since the process started.
func (m *Metrics) counts() (c CountsView) {
	c.Events = m.event(netlinkraw.NewLink).Load() + m.event(netlinkraw.DelLink).Load()
	c.Writes = m.writes.At(writeSet).Load() + m.writes.At(writeDelete).Load()
	c.Repairs = m.repairs.At(repairedRow).Load() + m.repairs.At(repairedStale).Load()
	c.Overruns = m.event(netlinkraw.Overrun).Load()
	c.Reconnects = m.reconnects.Load()
	for r := range numReasons {
		c.Resyncs += m.resyncs.At(int(r)).Load()
	}
	for _, where := range [...]int{mismatchKernel, mismatchState, mismatchAppl} {
		c.Mismatches += m.mismatches.At(where).Load()
	}
	return c
}

// ExposeNetlink adds the counters of a netlink socket to set.
func ExposeNetlink(set *metrics.Set, c *netlinkraw.Conn) {
	stats := c.Stats()
	set.NewCounterFunc("portsyncd_netlink_datagrams_total",
		"Total number of datagrams read from the netlink socket.", stats.Datagrams.Load)
	set.NewCounterFunc("portsyncd_netlink_overruns_total",
		"Total number of times the kernel dropped netlink messages because the receive buffer was full.", stats.Overruns.Load)
	set.NewCounterFunc("portsyncd_netlink_truncated_total",
		"Total number of netlink datagrams truncated because they were larger than the read buffer.", stats.Truncated.Load)
	set.NewCounterFunc("portsyncd_netlink_forged_total",
		"Total number of netlink datagrams discarded because they did not come from the kernel.", stats.Forged.Load)
	set.NewCounterFunc("portsyncd_netlink_malformed_total",
		"Total number of netlink messages skipped because they could not be decoded.", stats.Malformed.Load)
	set.NewGaugeFunc("portsyncd_netlink_receive_buffer_bytes",
		"Size of the netlink socket's receive buffer in bytes.", func() float64 { return float64(c.ReceiveBuffer()) })
}

// ExposeLog adds the counters of the log handler to set.
func ExposeLog(set *metrics.Set, h *syslog.Handler) {
	for s := syslog.Emerg; s <= syslog.Debug; s++ {
		set.NewCounterFunc("portsyncd_log_lines_total", "Total number of lines written to the log, by severity level.",
			func() uint64 { return h.Lines(s) }, metrics.Label{Name: "level", Value: strings.ToLower(s.String())})
	}
	set.NewCounterFunc("portsyncd_log_lines_dropped_total",
		"Total number of log lines dropped because the syslog daemon did not accept them in time.", h.Dropped)
	set.NewCounterFunc("portsyncd_log_lines_suppressed_total",
		"Total number of log lines suppressed because the same message was logged more than 10 times in one second.", h.Suppressed)
}
