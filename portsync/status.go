package portsync

import (
	"math"
	"sync/atomic"
	"time"

	"portsyncd/internal/warmrestart/stats"
	"portsyncd/metrics"
)

// Status is the state of the loop that other goroutines can read without blocking. Times are on the
// loop's clock; 0 means never. The zero value is the status of a loop that has not started.
type Status struct {
	clock    clock         // the loop's clock; set before the first read
	metrics  *Metrics      // set before the first read
	disabled bool          // daemon.enabled is false; set before the first read
	wakeups  chan struct{} // holds a value if health may have changed; nil in the zero Status
	messages func() int    // number of link messages in the ring; nil in the zero Status

	published
	configLink atomic.Pointer[configConnection] // nil before the first session
	search     atomic.Pointer[search]           // written only by the Connector
	listeners  atomic.Pointer[string]           // HTTP listeners that are down, with errors; nil if there are none
	rate       failureRate                      // failure rate of Redis requests
}

// published holds the fields of Status that are written only by Loop.publishStatus.
type published struct {
	maxStall       atomic.Int64 // nanoseconds; 0 if there is no limit
	maxFailureRate atomic.Int64 // bits of a float64, 0 to 1

	decided    atomic.Pointer[Decision]   // the start decision; nil if not decided yet
	connection atomic.Pointer[connection] // connection to the databases
	connected  atomic.Bool                // connection.up
	refusal    atomic.Pointer[string]     // error of the last refused command; nil after a success
	started    atomic.Bool                // the first writes are acknowledged
	ready      atomic.Bool                // the initial sync was written to the databases
	syncTook   atomic.Int64               // duration of the initial sync in nanoseconds
	synced     atomic.Bool                // the last requested dump is complete
	unsynced   atomic.Int64               // when the incomplete dump was first requested
	dumpFrom   atomic.Int64               // see dumper.slowSince
	dumpHeld   atomic.Int64               // likewise
	resynced   atomic.Int64               // when a resync last ended
	unread     atomic.Pointer[string]     // names of links whose messages cannot be read; nil if there are none
	overrunAt  atomic.Int64               // when the kernel last dropped messages
	configDone atomic.Bool
	initDone   atomic.Bool
	initLate   atomic.Bool  // PortInitDone is late
	audited    atomic.Int64 // when an audit last ended
	mismatched atomic.Int64 // wrong rows of STATE_DB found by the last audit

	backlog      atomic.Int64 // number of ports in the batch
	backlogSince atomic.Int64 // when the message of the oldest pending operation was read
	stalledSince atomic.Int64 // when the stall began; see Loop.stalledFrom
	progress     atomic.Int64 // time of the last successful database command
	wroteAt      atomic.Int64 // time of the last acknowledged write or deletion of a row

	configured  atomic.Int64                 // number of ports in CONFIG_DB
	initPending atomic.Int64                 // number of ports that PortInitDone waits for
	present     atomic.Int64                 // number of ports that are PortPresent
	portsUnread atomic.Pointer[string]       // why the table PORT of CONFIG_DB cannot be read; nil if it can
	missing     atomic.Pointer[missingPorts] // nil if there are none
	ports       publishedPorts

	announced atomic.Int64 // number of ports in PortConfigDone, as last read
	rows      atomic.Int64 // number of ports in APPL_DB, as last read
}

// begin sets the clock of s and the function that returns the number of link messages in the ring.
// The loop calls it once, before any other goroutine reads s.
func (s *Status) begin(c clock, messages func() int) {
	s.clock, s.messages = c, messages
	s.wakeups = make(chan struct{}, 1)
}

// Disable marks the daemon as disabled. It must be called before any other goroutine reads s.
func (s *Status) Disable() { s.disabled = true }

// SetListenersDown sets the description of the HTTP listeners that are down, including their
// errors, or "" if all are up. It may be called from any goroutine.
func (s *Status) SetListenersDown(addresses string) {
	if addresses == "" {
		s.listeners.Store(nil)
	} else {
		s.listeners.Store(&addresses)
	}
	s.wake()
}

// wake makes HealthMonitor.Watch evaluate health.
func (s *Status) wake() {
	select {
	case s.wakeups <- struct{}{}:
	default:
	}
}

// Ready reports whether the initial sync is complete.
func (s *Status) Ready() bool { return s.ready.Load() }

// queued returns the number of link messages in the ring. It reads the ring, because the loop
// publishes nothing while it waits for a reply of Redis, and messages arrive meanwhile.
func (s *Status) queued() int64 {
	if s.messages == nil {
		return 0
	}
	return int64(max(s.messages(), 0)) // negative if the loop took messages during the read
}

// stalledFor returns for how long the loop has been stalled at now, or 0 if it is not stalled.
func (s *Status) stalledFor(now int64) time.Duration { return since(s.stalledSince.Load(), now) }

// unsyncedFor returns for how long the kernel has not completed the requested dump, or 0 if it has. Time
// during which the loop waits for the databases does not count.
func (s *Status) unsyncedFor(now int64) time.Duration {
	if !s.started.Load() || s.synced.Load() {
		return 0
	}
	if held := s.dumpHeld.Load(); held != 0 {
		now = held
	}
	return since(s.dumpFrom.Load(), now)
}

// backlogAge returns how long the oldest row has been in the backlog, or 0 if the backlog is empty.
func (s *Status) backlogAge(now int64) time.Duration { return since(s.backlogSince.Load(), now) }

// since returns the duration from from to now. It returns 0 if from is 0 or later than now.
func since(from, now int64) time.Duration {
	if from == 0 {
		return 0
	}
	return max(time.Duration(now-from), 0)
}

// stalledTooLong reports whether a stall of duration d exceeds the configured limit.
func (s *Status) stalledTooLong(d time.Duration) bool {
	limit := time.Duration(s.maxStall.Load())
	return limit > 0 && d > limit
}

// maxFailures returns the limit for the failure rate, 0 to 1.
func (s *Status) maxFailures() float64 { return math.Float64frombits(uint64(s.maxFailureRate.Load())) }

// minFailures is the number of failures below which the failure rate is ignored. A single lost
// connection has its own reason and should not degrade an idle switch for a minute.
const minFailures = 3

// exceedsRate reports whether the failure rate is above limit, a share from 0 to 1. It compares the
// lower bound of the 95% confidence interval, because a few attempts are not significant.
func exceedsRate(failed, attempts int64, limit float64) bool {
	low, _ := stats.Wilson(uint64(failed), uint64(attempts))
	return failed >= minFailures && low > limit
}

// mayDegrade reports whether a health reason may become active without a further event, only
// because time passes.
func (s *Status) mayDegrade() bool {
	failed, _ := s.rate.recent(s.clock.now())
	return failed > 0 || s.stalledSince.Load() != 0 || s.started.Load() && !s.synced.Load()
}

// expose adds to set the gauges whose values are read from s.
func (s *Status) expose(set *metrics.Set) {
	flag := func(name, help string, b *atomic.Bool, labels ...metrics.Label) {
		set.NewGaugeFunc(name, help, func() float64 { return float64(bit(b.Load())) }, labels...)
	}
	number := func(name, help string, n *atomic.Int64) {
		set.NewGaugeFunc(name, help, func() float64 { return float64(n.Load()) })
	}
	const up = "Whether the component is operational (1) or not (0): database (connected), kernel (last dump completed), start (initial sync completed)."
	flag("portsyncd_component_up", up, &s.connected, metrics.Label{Name: "component", Value: "database"})
	flag("portsyncd_component_up", up, &s.synced, metrics.Label{Name: "component", Value: "kernel"})
	flag("portsyncd_component_up", up, &s.started, metrics.Label{Name: "component", Value: "start"})
	flag("portsyncd_ready", "Whether the initial sync has been written to the databases (1) or not (0).", &s.ready)
	flag("portsyncd_port_config_done", "Whether this process has written PortConfigDone (1) or not (0). Always 0 after a warm restart that SONiC requested.", &s.configDone)
	flag("portsyncd_port_init_done", "Whether this process has written PortInitDone (1) or not (0).", &s.initDone)
	number("portsyncd_ports_configured", "Number of ports in the CONFIG_DB table PORT.", &s.configured)
	number("portsyncd_ports_present", "Number of ports that have an interface and a row in STATE_DB.", &s.present)
	number("portsyncd_ports_pending", "Number of ports that PortInitDone waits for: they have no interface, or no row in APPL_DB.", &s.initPending)
	set.NewGaugeFunc("portsyncd_ports_missing",
		"Number of ports in the CONFIG_DB table PORT whose interface was deleted more than 2 s ago, or was not created within 60 s.",
		func() float64 {
			if m := s.missing.Load(); m != nil {
				return float64(m.count())
			}
			return 0
		})
	number("portsyncd_backlog_ports", "Number of ports with a pending write to STATE_DB.", &s.backlog)
	set.NewGaugeFunc("portsyncd_backlog_events", "Number of received link messages that have not been processed yet.",
		func() float64 { return float64(s.queued()) })
	number("portsyncd_port_config_done_ports", "Number of ports announced by PortConfigDone in APPL_DB, as last read.", &s.announced)
	number("portsyncd_port_table_rows",
		"Number of ports in the APPL_DB table PORT_TABLE, as last read. A warm restart requires it to equal portsyncd_port_config_done_ports.", &s.rows)
	set.NewGaugeFunc("portsyncd_last_progress_timestamp_seconds",
		"Unix timestamp of the last successful Redis request.",
		func() float64 {
			at := s.progress.Load()
			if at == 0 {
				return 0
			}
			return s.clock.seconds(at)
		})
}
