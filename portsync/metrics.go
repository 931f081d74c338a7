package portsync

import (
	"strings"

	"portsyncd/internal/syslog"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// Metrics are the families that the loop moves. What moves each one and what an
// operator does about it is said beside it and, in the same words, in
// README_DEPLOYMENT.md.
type Metrics struct {
	// events moves with each message of the kernel that was decided on.
	events *metrics.Vec[metrics.Counter]
	// ignored moves when a message led to nothing. "unknown" growing during
	// operation means interfaces of ports that APPL_DB does not have.
	ignored *metrics.Vec[metrics.Counter]
	// resyncs moves when the loop decides that it is out of step with the kernel;
	// an audit is none. "overrun" often: the machine is too slow for its link
	// events, or the receive buffer too small.
	resyncs *metrics.Vec[metrics.Counter]
	// resyncDuration has one observation for each resync that is over.
	resyncDuration *metrics.Histogram
	// repairs moves when the databases acknowledge the repair of a row: somebody
	// else writes or deletes portsyncd's fields, or Redis lost something.
	repairs *metrics.Vec[metrics.Counter]
	// audits counts completed comparisons, mismatches what they found.
	audits     *metrics.Counter
	mismatches *metrics.Vec[metrics.Counter]
	// latency is from the read of the datagram to the acknowledgement of its row.
	latency latencyRecord
	// writes counts acknowledged rows, batch the ports written in one batch.
	writes *metrics.Vec[metrics.Counter]
	batch  *metrics.Histogram
	// errors moves when the databases refuse or fail: "io" with reconnects is a
	// Redis that went away, "refused" one that is loading, full or read-only.
	errors     *metrics.Vec[metrics.Counter]
	reconnects *metrics.Counter

	ports *portColumns // nil when series for each port are not wanted
}

// Indexes of the label values.
const (
	writeSet = iota
	writeDelete
)
const (
	mendedRow = iota
	mendedStale
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

// latencyBounds reach from what one event takes on an idle machine to what a
// restart of Redis costs.
var latencyBounds = []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3,
	100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10}

var batchBounds = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}

// NewMetrics adds the loop's families to set. Those that only show what Status
// knows are read from it at each scrape.
func NewMetrics(set *metrics.Set, s *Status, perPort bool) *Metrics {
	m := &Metrics{
		events: set.NewCounterVec("portsyncd_events_total",
			"Messages of the kernel that were decided on.", "event",
			names(netlinkraw.NewLink, netlinkraw.DelLink, netlinkraw.DumpDone, netlinkraw.Overrun, netlinkraw.Unreadable)...),
		ignored: set.NewCounterVec("portsyncd_events_ignored_total",
			"Link messages that led to no write, by the test they did not pass.", "reason",
			names(IgnoredName, IgnoredTeam, IgnoredMaster, IgnoredOld, IgnoredUnknown, IgnoredKnown)...),
		resyncs: set.NewCounterVec("portsyncd_resyncs_total",
			"Resyncs with the kernel's links, by reason, the one of the start included. Audits are not resyncs: see portsyncd_audits_total.", "reason",
			names(ReasonStart, ReasonOverrun, ReasonInterrupted, ReasonFailed, ReasonSilent,
				ReasonReconnect, ReasonFlush)...),
		resyncDuration: set.NewHistogram("portsyncd_resync_duration_seconds",
			"From the decision to resync to the end of the dump that completed it. Each resync of portsyncd_resyncs_total is observed once, when it is over.", latencyBounds),
		repairs: set.NewCounterVec("portsyncd_repairs_total",
			"STATE_DB rows that a comparison found wrong and that were then written or deleted, by kind. Refused repairs do not count.", "kind", "row", "stale"),
		audits: set.NewCounter("portsyncd_audits_total",
			"Completed comparisons of STATE_DB with the kernel."),
		mismatches: set.NewCounterVec("portsyncd_audit_mismatches_total",
			"Differences that audits found, by where they were.", "database", "kernel", "STATE_DB", "APPL_DB"),
		latency: latencyRecord{histogram: set.NewHistogram("portsyncd_event_latency_seconds",
			"From the read of a link message, or the decision to repair a row, to the acknowledgement of the write. Observed once for each write of portsyncd_database_writes_total.", latencyBounds)},
		writes: set.NewCounterVec("portsyncd_database_writes_total",
			"Acknowledged writes of STATE_DB rows: HSET (set) and DEL (delete).", "op", "set", "delete"),
		batch: set.NewHistogram("portsyncd_batch_ports",
			"Ports whose STATE_DB row was written or deleted in one batch. A batch that wrote nothing is not observed.", batchBounds),
		errors: set.NewCounterVec("portsyncd_database_errors_total",
			"Failed exchanges with the databases, by kind.", "kind", "io", "refused", "protocol"),
		reconnects: set.NewCounter("portsyncd_database_reconnects_total",
			"Connections made again after a loss."),
	}
	s.metrics = m
	s.expose(set)
	if perPort {
		m.ports = newPortColumns(set)
	}
	return m
}

// names spells enumeration values for labels.
func names[T interface{ String() string }](values ...T) []string {
	var out []string
	for _, v := range values {
		out = append(out, v.String())
	}
	return out
}

// event returns the counter of one kind of message.
func (m *Metrics) event(kind netlinkraw.MessageType) *metrics.Counter {
	return m.events.At(int(kind - netlinkraw.NewLink))
}

// countEvent counts one message of the kernel.
func (m *Metrics) countEvent(ev *Event) {
	m.event(ev.Kind).Inc()
	if ev.Kind <= netlinkraw.DelLink {
		m.latency.hour.event(ev.At)
	}
}

// wrote counts one acknowledged write, wanted since a time on the loop's clock
// and acknowledged at another.
func (m *Metrics) wrote(op int, since, at int64) {
	m.writes.At(op).Inc()
	m.latency.observe(at, at-since)
}

// counts are the totals since the process began.
func (m *Metrics) counts() (c CountsView) {
	c.Events = m.event(netlinkraw.NewLink).Load() + m.event(netlinkraw.DelLink).Load()
	c.Writes = m.writes.At(writeSet).Load() + m.writes.At(writeDelete).Load()
	c.Repairs = m.repairs.At(mendedRow).Load() + m.repairs.At(mendedStale).Load()
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

// ExposeNetlink adds the counters of a netlink socket.
func ExposeNetlink(set *metrics.Set, c *netlinkraw.Conn) {
	stats := c.Stats()
	set.NewCounterFunc("portsyncd_netlink_datagrams_total",
		"Datagrams read from the netlink socket.", stats.Datagrams.Load)
	set.NewCounterFunc("portsyncd_netlink_overruns_total",
		"Times the kernel dropped messages for want of buffer.", stats.Overruns.Load)
	set.NewCounterFunc("portsyncd_netlink_truncated_total",
		"Datagrams that did not fit the read buffer, which then grows.", stats.Truncated.Load)
	set.NewCounterFunc("portsyncd_netlink_forged_total",
		"Datagrams that did not come from the kernel, dropped.", stats.Forged.Load)
	set.NewCounterFunc("portsyncd_netlink_malformed_total",
		"Messages that could not be decoded, skipped.", stats.Malformed.Load)
	set.NewGaugeFunc("portsyncd_netlink_receive_buffer_bytes",
		"Receive buffer that the kernel granted.", func() float64 { return float64(c.ReceiveBuffer()) })
}

// ExposeLog adds the counters of the log.
func ExposeLog(set *metrics.Set, h *syslog.Handler) {
	for s := syslog.Emerg; s <= syslog.Debug; s++ {
		set.NewCounterFunc("portsyncd_log_lines_total", "Lines written to the log, by severity.",
			func() uint64 { return h.Lines(s) }, metrics.Label{Name: "level", Value: strings.ToLower(s.String())})
	}
	set.NewCounterFunc("portsyncd_log_lines_dropped_total",
		"Lines that nobody took in time, dropped.", h.Dropped)
	set.NewCounterFunc("portsyncd_log_lines_suppressed_total",
		"Log lines not written because the same message was logged 10 times in that second.", h.Suppressed)
}
