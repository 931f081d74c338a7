package portsync

import (
	"fmt"
	"strings"
	"time"
)

// Words for health.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"  // ports are served; something wants a look
	Unhealthy = "unhealthy" // STATE_DB may not be what the kernel says
	Disabled  = "disabled"  // daemon.enabled is false: nothing is synchronised, by intent
)

// Health is a verdict on the daemon.
type Health struct {
	Status  string         `json:"status"` // Healthy, Degraded, Unhealthy or Disabled
	Score   int            `json:"score"`  // 100 less the deductions, at least 0
	Since   time.Time      `json:"since"`  // of Status
	Reasons []HealthReason `json:"reasons"`
}

// HealthReason is one thing that is wrong.
type HealthReason struct {
	Code      string    `json:"code"`      // for machines: "database_down"
	Severity  string    `json:"severity"`  // Degraded or Unhealthy
	Deduction int       `json:"deduction"` // from the score
	Text      string    `json:"text"`      // for people
	Since     time.Time `json:"since"`
}

// String is a line with the code, the text and the deduction.
func (r *HealthReason) String() string {
	return fmt.Sprintf("%s: %s (-%d)", r.Code, r.Text, r.Deduction)
}

// Codes returns the codes of the reasons, separated by commas.
func (h *Health) Codes() string {
	codes := make([]string, len(h.Reasons))
	for i := range h.Reasons {
		codes[i] = h.Reasons[i].Code
	}
	return strings.Join(codes, ",")
}

// condition is something that can be wrong.
type condition uint8

const (
	databaseDown condition = iota
	databaseRefusing
	startIncomplete
	dumpIncomplete
	stalled
	failureRateHigh
	portInitLate
	portsMissing
	auditMismatch
	overrun
	linkUnreadable
	listenerDown
	configDown
	diskFaulty
	snapshotOld
	restartStorm
	numConditions
)

// HealthCode says what a reason of that code does.
type HealthCode struct {
	Code      string
	Severity  string
	Deduction int
}

// HealthCodes are all there are, the grave ones first. README_DEPLOYMENT.md says
// what each means and what to do.
var HealthCodes = [numConditions]HealthCode{
	databaseDown:     {"database_down", Unhealthy, 60},
	databaseRefusing: {"database_refusing", Unhealthy, 50},
	startIncomplete:  {"start_incomplete", Unhealthy, 40},
	dumpIncomplete:   {"dump_incomplete", Unhealthy, 40},
	stalled:          {"stalled", Unhealthy, 50},
	failureRateHigh:  {"failure_rate", Unhealthy, 30},
	portInitLate:     {"port_init_late", Degraded, 20},
	portsMissing:     {"ports_missing", Degraded, 15},
	auditMismatch:    {"audit_mismatch", Degraded, 20},
	overrun:          {"overrun", Degraded, 5},
	configDown:       {"config_db_down", Degraded, 20},
	linkUnreadable:   {"link_unreadable", Degraded, 10},
	listenerDown:     {"listener_down", Degraded, 10},
	diskFaulty:       {"disk", Degraded, 15},
	snapshotOld:      {"snapshot_old", Degraded, 10},
	restartStorm:     {"restart_storm", Degraded, 10},
}

// conditions is a set of them.
type conditions uint32

func (s conditions) has(c condition) bool { return s>>c&1 != 0 }

func (s *conditions) set(c condition, on bool) {
	if on {
		*s |= 1 << c
	}
}

// Limits of what is judged by its time.
const (
	// dumpGrace is how long a dump may take before that is worth a word; it takes
	// milliseconds.
	dumpGrace = time.Second
	// overrunFor is how long an overrun counts.
	overrunFor = time.Minute
)

// observation is what health is computed from. It is read once, so that a reason and
// its text cannot contradict each other.
type observation struct {
	now    int64 // on the loop's clock
	active conditions
	// persisting is what is not over yet although it would not begin now: the rate of
	// failures has to fall below half of what is too much.
	persisting conditions

	databases        databases
	refusal          *string
	unsyncedFor      time.Duration
	stalledFor       time.Duration
	failed, attempts int64
	initPending      int64
	missing          *missingPorts
	mismatched       int64
	unread           *string
	listeners        *string
	trouble          []string
	overdue          string // what is
	overdueSince     time.Time
	storm            *string
}

// observe reads the observation at a time on the loop's clock. It allocates nothing,
// unless the disk does not answer.
func (m *HealthMonitor) observe(now int64) (o observation) {
	s := m.status
	o.now = now
	o.databases = s.databases()
	o.active.set(databaseDown, !o.databases.up)
	o.refusal = s.refusal.Load()
	o.active.set(databaseRefusing, o.refusal != nil)
	o.active.set(startIncomplete, !s.ready.Load())
	if s.started.Load() && !s.synced.Load() {
		o.unsyncedFor = since(s.unsynced.Load(), now)
	}
	o.active.set(dumpIncomplete, o.unsyncedFor > dumpGrace)
	o.stalledFor = s.stalledFor(now)
	o.active.set(stalled, s.tooLong(o.stalledFor))
	o.failed, o.attempts = s.rate.recent(now)
	o.active.set(failureRateHigh, tooMany(o.failed, o.attempts, s.maxFailures()))
	o.persisting.set(failureRateHigh, tooMany(o.failed, o.attempts, s.maxFailures()/2))
	o.initPending = s.initPending.Load()
	o.active.set(portInitLate, s.initLate.Load())
	o.missing = s.missing.Load()
	o.active.set(portsMissing, o.missing != nil)
	o.mismatched = s.mismatched.Load()
	o.active.set(auditMismatch, o.mismatched > 0)
	last := s.overran.Load()
	o.active.set(overrun, last != 0 && now-last < int64(overrunFor))
	o.active.set(configDown, o.databases.configErr != "")
	o.unread = s.unread.Load()
	o.active.set(linkUnreadable, o.unread != nil)
	o.listeners = s.listeners.Load()
	o.active.set(listenerDown, o.listeners != nil)
	if m.recorder != nil {
		var overdue bool
		o.overdue, o.overdueSince, overdue = m.recorder.Overdue(s.clock.time(now))
		o.active.set(snapshotOld, overdue)
		o.trouble = m.recorder.Problems()
		o.active.set(diskFaulty, len(o.trouble) > 0)
	}
	o.storm = m.storm.Load()
	o.active.set(restartStorm, o.storm != nil)
	return o
}

// mostOfError is how much of an error is quoted.
const mostOfError = 200

// text says in words what is wrong. It is asked only about what is.
func (o *observation) text(c condition) string {
	switch c {
	case databaseDown:
		if o.databases.err == "" {
			return "no connection to the databases yet"
		}
		return "no connection to the databases: " + printable(o.databases.err, mostOfError)
	case databaseRefusing:
		return "the databases refuse a command: " + printable(*o.refusal, mostOfError)
	case startIncomplete:
		return "the initial sync is not complete"
	case dumpIncomplete:
		return fmt.Sprintf("the kernel's list of links has not been complete for %v", o.unsyncedFor.Truncate(time.Second))
	case stalled:
		return fmt.Sprintf("rows have been waiting for %v without an answer of the databases", o.stalledFor.Truncate(time.Second))
	case failureRateHigh:
		return fmt.Sprintf("%d of %d exchanges with the databases failed in the last minute", o.failed, o.attempts)
	case portInitLate:
		if o.initPending == 0 {
			return "PortInitDone is late; it waits for no port any more"
		}
		return fmt.Sprintf("ports that PortInitDone still waits for: %d", o.initPending)
	case portsMissing:
		return o.missing.String()
	case auditMismatch:
		return fmt.Sprintf("the last audit found %s of STATE_DB wrong", many(o.mismatched, "row", "rows"))
	case overrun:
		return "link messages were dropped in the last minute"
	case configDown:
		return "CONFIG_DB is not connected; STATE_DB is written: " + printable(o.databases.configErr, mostOfError)
	case linkUnreadable:
		return "link messages too large to be read, so these rows stay as they are: " + *o.unread
	case listenerDown:
		return "HTTP addresses that are not served: " + *o.listeners
	case diskFaulty:
		return strings.Join(o.trouble, "; ")
	case snapshotOld:
		return fmt.Sprintf("%s should have been written at %s", o.overdue, o.overdueSince.UTC().Format(time.RFC3339))
	case restartStorm:
		return *o.storm
	}
	return ""
}
