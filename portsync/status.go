package portsync

import (
	"math"
	"sync/atomic"
	"time"

	"portsyncd/internal/warmrestart/stats"
	"portsyncd/metrics"
)

// Status is what others may see of the loop's condition. Reading it never waits.
// Times are on the loop's clock, 0 for never. The zero value is that of a loop
// that has not begun.
type Status struct {
	clock    clock    // the loop's; set before anyone reads
	metrics  *Metrics // likewise
	disabled bool     // likewise: the loop is not to run
	// pokes has an element when the health may have changed; the zero Status has
	// no channel.
	pokes chan struct{}

	published
	configLost atomic.Pointer[string] // why CONFIG_DB alone is not connected; nil: it is as the others
	search     atomic.Pointer[search] // stored by the Connector alone
	// listeners are the HTTP addresses that are not served, and why; nil: none. The
	// HTTP server stores them.
	listeners atomic.Pointer[string]
	rate      failureRate // counts exchanges with the databases as they end
}

// published are the facts that Loop.publishStatus stores, and nobody else.
type published struct {
	maxStall       atomic.Int64 // nanoseconds; 0: no limit
	maxFailureRate atomic.Int64 // bits of a float64, 0 to 1

	decided    atomic.Pointer[Decision]   // nil before; never changed
	connection atomic.Pointer[connection] // to the databases
	connected  atomic.Bool                // the same in one word
	refusal    atomic.Pointer[string]     // what the databases refused last and with which words; nil: nothing since
	started    atomic.Bool                // the start's writes are acknowledged
	ready      atomic.Bool                // the initial sync is in the databases
	syncTook   atomic.Int64               // nanoseconds that the initial sync took
	synced     atomic.Bool                // the last dump asked for is complete
	unsynced   atomic.Int64               // since when it is not
	resynced   atomic.Int64               // when a resync last ended
	unread     atomic.Pointer[string]     // names of links whose messages cannot be read; nil: none
	overran    atomic.Int64               // when the kernel last dropped messages
	configDone atomic.Bool
	initDone   atomic.Bool
	failures   atomic.Int64 // exchanges that failed
	initLate   atomic.Bool  // PortInitDone has been waiting for ports for too long
	audited    atomic.Int64 // when an audit last ended
	mismatched atomic.Int64 // rows of STATE_DB that it found wrong

	waiting     atomic.Int64 // ports in the batch
	waitingFrom atomic.Int64 // since when the oldest of them waits
	stalledFrom atomic.Int64 // since when they have been waiting without an answer, and with nothing in their way
	queued      atomic.Int64 // events in the ring, as the loop last saw it
	progress    atomic.Int64 // when the databases last did what was asked of them
	wroteAt     atomic.Int64 // when they last acknowledged the write or deletion of a row

	configured  atomic.Int64                 // ports of CONFIG_DB
	initPending atomic.Int64                 // ports that PortInitDone waits for
	present     atomic.Int64                 // ports that are PortPresent
	missing     atomic.Pointer[missingPorts] // nil: none
	ports       publishedPorts

	announced atomic.Int64 // ports that PortConfigDone announces, as last read
	rows      atomic.Int64 // ports in APPL_DB, as last counted
}

// begin is for the loop, before anyone reads.
func (s *Status) begin(c clock) {
	s.clock = c
	s.pokes = make(chan struct{}, 1)
}

// Disable says that the loop is not to run. It is called before anyone reads.
func (s *Status) Disable() { s.disabled = true }

// SetListenersDown records the HTTP addresses that are not served at present and why,
// "" if there is none. It may be called from any goroutine.
func (s *Status) SetListenersDown(addresses string) {
	if addresses == "" {
		s.listeners.Store(nil)
	} else {
		s.listeners.Store(&addresses)
	}
	s.poke()
}

// poke has the health computed again.
func (s *Status) poke() {
	select {
	case s.pokes <- struct{}{}:
	default:
	}
}

// Ready reports whether the initial sync is complete.
func (s *Status) Ready() bool { return s.ready.Load() }

// stalledFor returns for how long work has been waiting without an answer and
// with nothing in its way.
func (s *Status) stalledFor(now int64) time.Duration { return since(s.stalledFrom.Load(), now) }

// waited returns for how long the oldest row has been waiting.
func (s *Status) waited(now int64) time.Duration { return since(s.waitingFrom.Load(), now) }

// since returns the time from a moment to another; 0 if the first is 0.
func since(from, now int64) time.Duration {
	if from == 0 {
		return 0
	}
	return max(time.Duration(now-from), 0)
}

// stalledTooLong reports whether d exceeds the limit for a stall.
func (s *Status) stalledTooLong(d time.Duration) bool {
	limit := time.Duration(s.maxStall.Load())
	return limit > 0 && d > limit
}

// maxFailures is the share of exchanges above which too many fail.
func (s *Status) maxFailures() float64 { return math.Float64frombits(uint64(s.maxFailureRate.Load())) }

// minFailures is the number of failures below which no failure rate is computed. One lost
// connection, which is a reason of its own, should not degrade an idle switch for a minute.
const minFailures = 3

// exceedsRate reports whether the failure rate is above limit, a share from 0 to 1. It compares
// the lower bound of the 95% confidence interval, because a few attempts say little.
func exceedsRate(failed, attempts int64, limit float64) bool {
	low, _ := stats.Wilson(uint64(failed), uint64(attempts))
	return failed >= minFailures && low > limit
}

// uneasy reports whether something may soon be wrong for the time it takes.
func (s *Status) uneasy() bool {
	failed, _ := s.rate.recent(s.clock.now())
	return failed > 0 || s.stalledFrom.Load() != 0 || s.started.Load() && !s.synced.Load()
}

// expose adds the gauges that show the status.
func (s *Status) expose(set *metrics.Set) {
	flag := func(name, help string, b *atomic.Bool, labels ...metrics.Label) {
		set.NewGaugeFunc(name, help, func() float64 { return float64(bit(b.Load())) }, labels...)
	}
	number := func(name, help string, n *atomic.Int64) {
		set.NewGaugeFunc(name, help, func() float64 { return float64(n.Load()) })
	}
	const up = "1 if the component works: database (connected), kernel (last dump complete), start (first writes acknowledged)."
	flag("portsyncd_component_up", up, &s.connected, metrics.Label{Name: "component", Value: "database"})
	flag("portsyncd_component_up", up, &s.synced, metrics.Label{Name: "component", Value: "kernel"})
	flag("portsyncd_component_up", up, &s.started, metrics.Label{Name: "component", Value: "start"})
	flag("portsyncd_ready", "1 after the initial sync was written to the databases.", &s.ready)
	flag("portsyncd_port_config_done", "1 after this process wrote PortConfigDone, which it does only at a cold start.", &s.configDone)
	flag("portsyncd_port_init_done", "1 after this process wrote PortInitDone.", &s.initDone)
	number("portsyncd_ports_configured", "Ports in CONFIG_DB, which are the rows of its table PORT.", &s.configured)
	number("portsyncd_ports_present", "Ports whose interface exists and whose row is in STATE_DB.", &s.present)
	number("portsyncd_ports_pending", "Ports that PortInitDone is waiting for.", &s.initPending)
	set.NewGaugeFunc("portsyncd_ports_missing",
		"Ports in CONFIG_DB whose interface does not exist after the allowed time.",
		func() float64 {
			if m := s.missing.Load(); m != nil {
				return float64(m.count)
			}
			return 0
		})
	number("portsyncd_backlog_ports", "Ports whose row is waiting to be written.", &s.waiting)
	number("portsyncd_backlog_events", "Link messages that were read and not processed yet.", &s.queued)
	number("portsyncd_port_config_done_ports", "Number of ports in PortConfigDone of APPL_DB, as last read.", &s.announced)
	number("portsyncd_port_table_rows", "Ports in PORT_TABLE of APPL_DB, as last counted. "+
		"If it differs from portsyncd_port_config_done_ports, orchagent cannot warm restart.", &s.rows)
	set.NewGaugeFunc("portsyncd_last_progress_timestamp_seconds",
		"Unix time at which the databases last answered a command, a read or a write, without an error.",
		func() float64 {
			at := s.progress.Load()
			if at == 0 {
				return 0
			}
			return s.clock.seconds(at)
		})
}
