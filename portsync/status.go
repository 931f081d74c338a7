package portsync

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"portsyncd/metrics"
	"portsyncd/warmrestart/stats"
)

// Status is what others may see of the loop's condition: the loop writes,
// anyone reads, nobody waits. The zero value is that of a loop that has not
// begun.
type Status struct {
	clock   clock    // the loop's; set before anyone reads
	metrics *Metrics // likewise

	maxStall       atomic.Int64  // nanoseconds; 0: no limit
	maxFailureRate atomic.Uint64 // bits of a float64, 0 to 1

	started    atomic.Bool  // the start's writes are acknowledged
	ready      atomic.Bool  // the initial sync is in the databases
	connected  atomic.Bool  // to the databases
	refusing   atomic.Bool  // they answer and do not do what is asked of them
	synced     atomic.Bool  // the last dump asked for is complete
	unsynced   atomic.Int64 // nanoseconds since 1970 when it ceased to be; meant while synced is false
	configDone atomic.Bool
	initDone   atomic.Bool

	decided   atomic.Pointer[Decision] // nil before; never changed
	databases atomic.Pointer[connection]
	syncTook  atomic.Int64 // nanoseconds that the initial sync took
	resynced  atomic.Int64 // nanoseconds since 1970 of the end of the last resync
	audited   atomic.Int64 // likewise, of the last audit

	waiting      atomic.Int64 // ports in the batch
	waitingFrom  atomic.Int64 // since when there were any, on the loop's clock; 0: none waits
	waitingSince atomic.Int64 // the same, or since the last answer
	queued       atomic.Int64 // events in the ring, as the loop last saw it
	configured   atomic.Int64 // ports of CONFIG_DB
	awaited      atomic.Int64 // ports that PortInitDone waits for
	ports        portViews
	rate         failureRate
	progress     atomic.Int64 // nanoseconds since 1970 of the last acknowledgement of the databases
}

// Verdict is a verdict on the loop.
type Verdict struct {
	OK      bool
	Reasons []string
}

// dumpGrace is how long a dump may take before that is worth a word; it takes
// milliseconds.
const dumpGrace = time.Second

// Health says whether STATE_DB is, as far as the loop knows, what the kernel
// says.
func (s *Status) Health() Verdict {
	var h Verdict
	add := func(bad bool, reason string) {
		if bad {
			h.Reasons = append(h.Reasons, reason)
		}
	}
	started := s.started.Load()
	add(!s.connected.Load(), "no connection to the databases")
	add(s.refusing.Load(), "the databases refuse what is to be written")
	add(!started, "the start is not complete")
	add(started && !s.synced.Load() && time.Now().UnixNano()-s.unsynced.Load() > int64(dumpGrace),
		"a dump of the kernel's links does not end")
	now := s.clock.now()
	if stalled, most := s.stalledFor(now), time.Duration(s.maxStall.Load()); most > 0 && stalled > most && s.connected.Load() {
		h.Reasons = append(h.Reasons, fmt.Sprintf("work has been waiting for %v", stalled.Truncate(time.Second)))
	}
	if failed, attempts := s.rate.recent(now); surely(failed, attempts) > math.Float64frombits(s.maxFailureRate.Load()) {
		h.Reasons = append(h.Reasons, fmt.Sprintf("%d of %d exchanges with the databases failed in the last minute", failed, attempts))
	}
	h.OK = len(h.Reasons) == 0
	return h
}

// surely is the rate that this says there is at least: one failure of three is
// not yet a third.
func surely(failed, attempts int64) float64 {
	low, _ := stats.Wilson(uint64(failed), uint64(attempts))
	return low
}

// begin is for the loop, before anyone reads.
func (s *Status) begin(c clock, o Settings) {
	s.clock = c
	s.databases.Store(&connection{since: c.base})
	s.limit(o)
}

// limit takes the limits of health.
func (s *Status) limit(o Settings) {
	s.maxStall.Store(int64(o.MaxStall))
	s.maxFailureRate.Store(math.Float64bits(o.MaxFailureRate))
}

// Ready reports whether the initial sync is complete.
func (s *Status) Ready() bool { return s.ready.Load() }

// lostStep notes that a dump is needed, at a time of day.
func (s *Status) lostStep(day time.Time) {
	if s.synced.Swap(false) {
		s.unsynced.Store(day.UnixNano())
	}
}

// backlog notes how many ports wait for the databases.
func (s *Status) backlog(n int, now int64) {
	s.waiting.Store(int64(n))
	switch {
	case n == 0:
		s.waitingSince.Store(0)
		s.waitingFrom.Store(0)
	case s.waitingSince.Load() == 0:
		s.waitingSince.Store(now)
		s.waitingFrom.Store(now)
	}
}

// heard notes that the databases answered, at a time on the loop's clock: who
// is refused does not stand still.
func (s *Status) heard(now int64) {
	if s.waitingSince.Load() != 0 {
		s.waitingSince.Store(now)
	}
}

// progressed notes that the databases acknowledged something, at a time of day.
func (s *Status) progressed(day time.Time) { s.progress.Store(day.UnixNano()) }

// stalledFor returns for how long work has been waiting without an answer.
func (s *Status) stalledFor(now int64) time.Duration {
	since := s.waitingSince.Load()
	if since == 0 {
		return 0
	}
	return time.Duration(now - since)
}

// expose adds the gauges that show the status.
func (s *Status) expose(set *metrics.Set) {
	flag := func(name, help string, b *atomic.Bool, labels ...metrics.Label) {
		set.NewGaugeFunc(name, help, func() float64 { return float64(bit(b.Load())) }, labels...)
	}
	number := func(name, help string, n *atomic.Int64) {
		set.NewGaugeFunc(name, help, func() float64 { return float64(n.Load()) })
	}
	const up = "1 if the part works: database is connected, kernel has answered the last dump, start is complete."
	flag("portsyncd_component_up", up, &s.connected, metrics.Label{Name: "component", Value: "database"})
	flag("portsyncd_component_up", up, &s.synced, metrics.Label{Name: "component", Value: "kernel"})
	flag("portsyncd_component_up", up, &s.started, metrics.Label{Name: "component", Value: "start"})
	flag("portsyncd_ready", "1 once the initial sync is in the databases.", &s.ready)
	flag("portsyncd_port_config_done", "1 once PortConfigDone was produced by this process.", &s.configDone)
	flag("portsyncd_port_init_done", "1 once PortInitDone was produced by this process.", &s.initDone)
	number("portsyncd_ports_configured", "Ports in CONFIG_DB when they were last read.", &s.configured)
	number("portsyncd_ports_pending", "Ports that PortInitDone still waits for.", &s.awaited)
	number("portsyncd_backlog_ports", "Ports whose row waits to be written.", &s.waiting)
	number("portsyncd_backlog_events", "Link messages read and not yet decided on.", &s.queued)
	set.NewGaugeFunc("portsyncd_last_progress_timestamp_seconds",
		"When the databases last acknowledged something.",
		func() float64 { return float64(s.progress.Load()) / 1e9 })
}
