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

func (s *conditions) add(c condition, there bool) {
	if there {
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

// evidence is what health is computed from. It is read once, so that a reason and
// its text cannot contradict each other.
type evidence struct {
	now   int64 // on the loop's clock
	wrong conditions
	// lasting is what is not over yet although it would not begin now: the rate of
	// failures has to fall below half of what is too much.
	lasting conditions

	databases        databases
	refusal          *string
	unsyncedFor      time.Duration
	stalledFor       time.Duration
	failed, attempts int64
	awaited          int64
	missing          *missingPorts
	mismatched       int64
	unread           *string
	listeners        *string
	trouble          []string
	overdue          string // what is
	overdueSince     time.Time
	storm            *string
}

// gather reads the evidence at a time on the loop's clock. It allocates nothing,
// unless the disk does not answer.
func (j *Judge) gather(now int64) (e evidence) {
	s := j.status
	e.now = now
	e.databases = s.databases()
	e.wrong.add(databaseDown, !e.databases.up)
	e.refusal = s.refusal.Load()
	e.wrong.add(databaseRefusing, e.refusal != nil)
	e.wrong.add(startIncomplete, !s.ready.Load())
	if s.started.Load() && !s.synced.Load() {
		e.unsyncedFor = since(s.unsynced.Load(), now)
	}
	e.wrong.add(dumpIncomplete, e.unsyncedFor > dumpGrace)
	e.stalledFor = s.stalledFor(now)
	e.wrong.add(stalled, s.tooLong(e.stalledFor))
	e.failed, e.attempts = s.rate.recent(now)
	e.wrong.add(failureRateHigh, tooMany(e.failed, e.attempts, s.maxFailures()))
	e.lasting.add(failureRateHigh, tooMany(e.failed, e.attempts, s.maxFailures()/2))
	e.awaited = s.awaited.Load()
	e.wrong.add(portInitLate, s.initLate.Load())
	e.missing = s.missing.Load()
	e.wrong.add(portsMissing, e.missing != nil)
	e.mismatched = s.mismatched.Load()
	e.wrong.add(auditMismatch, e.mismatched > 0)
	last := s.overran.Load()
	e.wrong.add(overrun, last != 0 && now-last < int64(overrunFor))
	e.wrong.add(configDown, e.databases.configErr != "")
	e.unread = s.unread.Load()
	e.wrong.add(linkUnreadable, e.unread != nil)
	e.listeners = s.listeners.Load()
	e.wrong.add(listenerDown, e.listeners != nil)
	if j.keeper != nil {
		var overdue bool
		e.overdue, e.overdueSince, overdue = j.keeper.Overdue(s.clock.time(now))
		e.wrong.add(snapshotOld, overdue)
		e.trouble = j.keeper.Trouble()
		e.wrong.add(diskFaulty, len(e.trouble) > 0)
	}
	e.storm = j.storm.Load()
	e.wrong.add(restartStorm, e.storm != nil)
	return e
}

// mostOfError is how much of an error is quoted.
const mostOfError = 200

// text says in words what is wrong. It is asked only about what is.
func (e *evidence) text(c condition) string {
	switch c {
	case databaseDown:
		if e.databases.err == "" {
			return "no connection to the databases yet"
		}
		return "no connection to the databases: " + printable(e.databases.err, mostOfError)
	case databaseRefusing:
		return "the databases refuse a command: " + printable(*e.refusal, mostOfError)
	case startIncomplete:
		return "the initial sync is not complete"
	case dumpIncomplete:
		return fmt.Sprintf("the kernel's list of links has not been complete for %v", e.unsyncedFor.Truncate(time.Second))
	case stalled:
		return fmt.Sprintf("rows have been waiting for %v without an answer of the databases", e.stalledFor.Truncate(time.Second))
	case failureRateHigh:
		return fmt.Sprintf("%d of %d exchanges with the databases failed in the last minute", e.failed, e.attempts)
	case portInitLate:
		if e.awaited == 0 {
			return "PortInitDone is late; it waits for no port any more"
		}
		return fmt.Sprintf("ports that PortInitDone still waits for: %d", e.awaited)
	case portsMissing:
		return e.missing.String()
	case auditMismatch:
		return fmt.Sprintf("the last audit found %s of STATE_DB wrong", many(e.mismatched, "row", "rows"))
	case overrun:
		return "link messages were dropped in the last minute"
	case configDown:
		return "CONFIG_DB is not connected; STATE_DB is written: " + printable(e.databases.configErr, mostOfError)
	case linkUnreadable:
		return "link messages too large to be read, so these rows stay as they are: " + *e.unread
	case listenerDown:
		return "HTTP addresses that are not served: " + *e.listeners
	case diskFaulty:
		return strings.Join(e.trouble, "; ")
	case snapshotOld:
		return fmt.Sprintf("%s should have been written at %s", e.overdue, e.overdueSince.UTC().Format(time.RFC3339))
	case restartStorm:
		return *e.storm
	}
	return ""
}
