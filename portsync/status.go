package portsync

import (
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
	// pokes has an element when there may be another verdict; the zero Status
	// pokes nobody.
	pokes chan struct{}

	maxStall       atomic.Int64  // nanoseconds; 0: no limit
	maxFailureRate atomic.Uint64 // bits of a float64, 0 to 1

	started    atomic.Bool  // the start's writes are acknowledged
	ready      atomic.Bool  // the initial sync is in the databases
	connected  atomic.Bool  // to the databases
	refusing   atomic.Bool  // they answer and do not do what is asked of them
	synced     atomic.Bool  // the last dump asked for is complete
	unsynced   atomic.Int64 // when it ceased to be, on the loop's clock; meant while synced is false
	configDone atomic.Bool
	initDone   atomic.Bool
	initLate   atomic.Bool  // PortInitDone has been waiting for ports for too long
	mismatched atomic.Int64 // rows of STATE_DB that the last audit found wrong
	overran    atomic.Int64 // when the kernel last dropped messages, on the loop's clock; 0: never

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

// begin is for the loop, before anyone reads.
func (s *Status) begin(c clock, o Settings) {
	s.clock = c
	s.pokes = make(chan struct{}, 1)
	s.databases.Store(&connection{since: c.base})
	s.limit(o)
}

// limit takes the limits of health.
func (s *Status) limit(o Settings) {
	s.maxStall.Store(int64(o.MaxStall))
	s.maxFailureRate.Store(math.Float64bits(o.MaxFailureRate))
	if o.AuditInterval == 0 {
		s.mismatched.Store(0) // no other audit will say that it is well
	}
	s.poke()
}

// poke has the verdict looked at.
func (s *Status) poke() {
	select {
	case s.pokes <- struct{}{}:
	default:
	}
}

// Ready reports whether the initial sync is complete.
func (s *Status) Ready() bool { return s.ready.Load() }

// lostStep notes that a dump is needed, at a time on the loop's clock.
func (s *Status) lostStep(now int64) {
	if s.synced.Load() {
		s.unsynced.Store(now)
		s.synced.Store(false)
		s.poke()
	}
}

// refuses notes whether the databases do what is asked of them.
func (s *Status) refuses(now bool) {
	if s.refusing.Load() != now {
		s.refusing.Store(now)
		s.poke()
	}
}

// failed notes that an exchange failed, at a time on the loop's clock.
func (s *Status) failed(now int64) {
	s.rate.add(true, now)
	s.poke()
}

// overrun notes that the kernel dropped messages, at a time on the loop's clock.
func (s *Status) overrun(now int64) {
	s.overran.Store(max(now, 1))
	s.poke()
}

// audit notes how many rows of STATE_DB an audit found wrong, at a time of day.
func (s *Status) audit(wrong int, day time.Time) {
	s.audited.Store(day.UnixNano())
	if s.mismatched.Swap(int64(wrong)) != int64(wrong) {
		s.poke()
	}
}

// late notes whether PortInitDone has been waiting for too long.
func (s *Status) late(is bool) {
	if s.initLate.Swap(is) != is {
		s.poke()
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

// stalls reports whether work waits for longer than it may, with nothing in its
// way.
func (s *Status) stalls(now int64) bool {
	most := time.Duration(s.maxStall.Load())
	return most > 0 && s.stalledFor(now) > most && s.connected.Load()
}

// maxFailures is the share of exchanges above which too many fail.
func (s *Status) maxFailures() float64 { return math.Float64frombits(s.maxFailureRate.Load()) }

// fewFailures are too few to be a rate: one lost connection, which has a reason of
// its own, is not to be held against a quiet switch for a minute.
const fewFailures = 2

// failsMoreThan reports whether more than that share of the last minute's
// exchanges failed, by what the share is at least: few tell little.
func (s *Status) failsMoreThan(rate float64, now int64) bool {
	failed, attempts := s.rate.recent(now)
	low, _ := stats.Wilson(uint64(failed), uint64(attempts))
	return failed > fewFailures && low > rate
}

// uneasy reports whether something may soon be wrong for the time it takes.
func (s *Status) uneasy() bool {
	failed, _ := s.rate.recent(s.clock.now())
	return failed > 0 || s.waitingSince.Load() != 0 || s.started.Load() && !s.synced.Load()
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
	number("portsyncd_ports_configured", "Ports in CONFIG_DB, rows of its table PORT.", &s.configured)
	number("portsyncd_ports_pending", "Ports that PortInitDone still waits for.", &s.awaited)
	number("portsyncd_backlog_ports", "Ports whose row waits to be written.", &s.waiting)
	number("portsyncd_backlog_events", "Link messages read and not yet decided on.", &s.queued)
	set.NewGaugeFunc("portsyncd_last_progress_timestamp_seconds",
		"When the databases last acknowledged something.",
		func() float64 { return float64(s.progress.Load()) / 1e9 })
}
