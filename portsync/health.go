package portsync

import (
	"fmt"
	"strings"
	"time"
)

// Health states.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"  // STATE_DB is kept up to date, but something needs attention
	Unhealthy = "unhealthy" // STATE_DB may differ from the kernel
	Disabled  = "disabled"  // daemon.enabled is false; ports are not synchronized
)

// Health is the health of the daemon at one moment.
type Health struct {
	Status  string         `json:"status"` // Healthy, Degraded, Unhealthy or Disabled
	Score   int            `json:"score"`  // 100 minus the deductions, at least 0
	Since   time.Time      `json:"since"`  // when Status last changed
	Reasons []HealthReason `json:"reasons"`
}

// HealthReason is one reason for a health score below 100.
type HealthReason struct {
	Code      string    `json:"code"`      // stable identifier, such as "database_down"
	Severity  string    `json:"severity"`  // Degraded or Unhealthy
	Deduction int       `json:"deduction"` // deducted from the score
	Text      string    `json:"text"`      // human-readable description
	Since     time.Time `json:"since"`
}

// String returns the code, the text and the deduction in one line.
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

// condition is an index into HealthCodes.
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
	configDown
	linkUnreadable
	listenerDown
	diskFaulty
	snapshotOld
	restartStorm
	numConditions
)

// HealthCode describes one possible reason for a lower health score.
type HealthCode struct {
	Code      string
	Severity  string // Degraded or Unhealthy
	Deduction int    // deducted from the score, 1 to 100

	// active reports whether the reason applies; text returns its description. Observations are
	// passed by value, because a pointer passed to a function variable would be allocated on the
	// heap.
	active func(o observation) bool
	text   func(o observation) string
}

// HealthCodes lists all possible reasons, unhealthy ones first. To add a reason, add a condition,
// an entry here, and the required fields to observation. CONTRIBUTING.md lists the other files.
var HealthCodes = [numConditions]HealthCode{
	databaseDown: {"database_down", Unhealthy, 60,
		func(o observation) bool { return !o.databases.up },
		func(o observation) string {
			if o.databases.err == "" {
				return "not connected to the databases yet"
			}
			return "no connection to the databases: " + printable(o.databases.err, maxErrorText)
		}},
	databaseRefusing: {"database_refusing", Unhealthy, 50,
		func(o observation) bool { return o.refusal != nil },
		func(o observation) string { return "Redis refused a command: " + printable(*o.refusal, maxErrorText) }},
	startIncomplete: {"start_incomplete", Unhealthy, 40,
		func(o observation) bool { return !o.ready },
		func(observation) string { return "the initial sync is not complete" }},
	dumpIncomplete: {"dump_incomplete", Unhealthy, 40,
		func(o observation) bool { return o.unsyncedFor > dumpTimeLimit },
		func(o observation) string {
			return fmt.Sprintf("no complete list of links from the kernel for %v", o.unsyncedFor.Truncate(time.Second))
		}},
	stalled: {"stalled", Unhealthy, 50,
		func(o observation) bool { return o.stalled },
		func(o observation) string {
			return fmt.Sprintf("no reply from the databases for %v while rows wait to be written", o.stalledFor.Truncate(time.Second))
		}},
	failureRateHigh: {"failure_rate", Unhealthy, 30,
		func(o observation) bool { return exceedsRate(o.failed, o.attempts, o.maxFailureRate) },
		func(o observation) string {
			return fmt.Sprintf("%d of %d Redis requests failed in the last minute", o.failed, o.attempts)
		}},
	portInitLate: {"port_init_late", Degraded, 20,
		func(o observation) bool { return o.initLate },
		func(o observation) string {
			if o.initPending == 0 {
				return "PortInitDone is late; no port is pending any more"
			}
			return fmt.Sprintf("PortInitDone is late; pending ports: %d", o.initPending)
		}},
	portsMissing: {"ports_missing", Degraded, 15,
		func(o observation) bool { return o.missing != nil },
		func(o observation) string { return o.missing.String() }},
	auditMismatch: {"audit_mismatch", Degraded, 20,
		func(o observation) bool { return o.mismatched > 0 },
		func(o observation) string {
			return "the last audit found " + plural(o.mismatched, "wrong row", "wrong rows") + " in STATE_DB"
		}},
	overrun: {"overrun", Degraded, 5,
		func(o observation) bool { return o.overrun },
		func(observation) string { return "the kernel dropped link messages in the last minute" }},
	configDown: {"config_db_down", Degraded, 20,
		func(o observation) bool { return o.databases.configErr != "" || o.databases.unread != "" },
		func(o observation) string {
			if o.databases.configErr == "" {
				return "cannot read the ports in CONFIG_DB: " + printable(o.databases.unread, maxErrorText)
			}
			return "no connection to CONFIG_DB; STATE_DB is still updated: " + printable(o.databases.configErr, maxErrorText)
		}},
	linkUnreadable: {"link_unreadable", Degraded, 10,
		func(o observation) bool { return o.unreadable != nil },
		func(o observation) string {
			return "link messages are too large to read; the rows of these ports are not updated: " + *o.unreadable
		}},
	listenerDown: {"listener_down", Degraded, 10,
		func(o observation) bool { return o.listeners != nil },
		func(o observation) string { return "HTTP listeners are down: " + *o.listeners }},
	diskFaulty: {"disk", Degraded, 15,
		func(o observation) bool { return len(o.problems) > 0 },
		func(o observation) string { return strings.Join(o.problems, "; ") }},
	snapshotOld: {"snapshot_old", Degraded, 10,
		func(o observation) bool { return o.isOverdue },
		func(o observation) string {
			return fmt.Sprintf("%s should have been written at %s", o.overdue, o.overdueSince.UTC().Format(time.RFC3339))
		}},
	restartStorm: {"restart_storm", Degraded, 10,
		func(o observation) bool { return o.storm != nil },
		func(o observation) string { return *o.storm }},
}

const (
	// dumpTimeLimit is the time allowed for a dump of all links, which normally takes milliseconds.
	dumpTimeLimit = time.Second
	// overrunHold is how long the reason "overrun" stays active after an overrun.
	overrunHold = time.Minute
	// maxErrorText is the maximum length in bytes of a quoted error.
	maxErrorText = 200
)

// conditions is a set of conditions.
type conditions uint32

func (s conditions) has(c condition) bool { return s>>c&1 != 0 }

func (s *conditions) set(c condition, on bool) {
	if on {
		*s |= 1 << c
	}
}

// observation holds the facts that the health state is computed from. They are read once, so a
// reason and its text are consistent.
type observation struct {
	now int64 // on the loop's clock

	databases      databases
	refusal        *string
	ready          bool
	unsyncedFor    time.Duration
	stalledFor     time.Duration
	stalled        bool
	failed         int64 // Redis requests in the last minute
	attempts       int64
	maxFailureRate float64
	initLate       bool
	initPending    int64
	missing        *missingPorts
	mismatched     int64
	overrun        bool
	unreadable     *string
	listeners      *string
	problems       []string
	overdue        string // name of the file that is overdue
	overdueSince   time.Time
	isOverdue      bool
	storm          *string
}

// observe reads the facts at the given time on the loop's clock. It allocates only if files cannot
// be written.
func (m *HealthMonitor) observe(now int64) observation {
	s := m.status
	o := observation{
		now:            now,
		databases:      s.databases(),
		refusal:        s.refusal.Load(),
		ready:          s.ready.Load(),
		stalledFor:     s.stalledFor(now),
		maxFailureRate: s.maxFailures(),
		initLate:       s.initLate.Load(),
		initPending:    s.initPending.Load(),
		missing:        s.missing.Load(),
		mismatched:     s.mismatched.Load(),
		unreadable:     s.unread.Load(),
		listeners:      s.listeners.Load(),
		storm:          m.storm.Load(),
	}
	o.unsyncedFor = s.unsyncedFor(now)
	o.stalled = s.stalledTooLong(o.stalledFor)
	o.failed, o.attempts = s.rate.recent(now)
	last := s.overrunAt.Load()
	o.overrun = last != 0 && now-last < int64(overrunHold)
	if m.recorder != nil {
		o.overdue, o.overdueSince, o.isOverdue = m.recorder.Overdue(s.clock.time(now))
		o.problems = m.recorder.Problems()
	}
	return o
}

// active returns the conditions that apply.
func (o observation) active() (active conditions) {
	for c := range numConditions {
		active.set(c, HealthCodes[c].active(o))
	}
	return active
}

// persisting returns the conditions that keep a health reason active but do not activate it. For
// example, the reason for a high failure rate stays active until the rate falls below half of the
// limit.
func (o observation) persisting() (persisting conditions) {
	persisting.set(failureRateHigh, exceedsRate(o.failed, o.attempts, o.maxFailureRate/2))
	return persisting
}
