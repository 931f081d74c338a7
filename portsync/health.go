package portsync

import (
	"fmt"
	"strings"
	"time"

	"portsyncd/warmrestart"
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
	auditMismatch
	overrun
	linkUnreadable
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
	auditMismatch:    {"audit_mismatch", Degraded, 20},
	overrun:          {"overrun", Degraded, 5},
	linkUnreadable:   {"link_unreadable", Degraded, 10},
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

// conditions returns what is wrong at a time on the loop's clock. It allocates
// nothing, unless the disk does not answer.
func (j *Judge) conditions(now int64) (all conditions) {
	s := j.status
	ready, synced := s.ready.Load(), s.synced.Load()
	all.add(databaseDown, !s.connected.Load())
	all.add(databaseRefusing, s.refusal.Load() != nil)
	all.add(startIncomplete, !ready)
	all.add(dumpIncomplete, !synced && s.started.Load() && now-s.unsynced.Load() > int64(dumpGrace))
	all.add(stalled, s.stalls(now))
	all.add(failureRateHigh, s.failsMoreThan(s.maxFailures(), now))
	all.add(portInitLate, s.initLate.Load())
	all.add(auditMismatch, s.mismatched.Load() > 0)
	last := s.overran.Load()
	all.add(overrun, last != 0 && now-last < int64(overrunFor))
	all.add(linkUnreadable, s.unread.Load() != nil)
	if j.keeper != nil {
		_, _, overdue := j.keeper.Overdue(s.clock.time(now))
		all.add(diskFaulty, len(j.keeper.Trouble()) > 0)
		all.add(snapshotOld, overdue)
	}
	all.add(restartStorm, j.storming.Load())
	return all
}

// lasting returns what is not over yet although it would not begin now: the rate
// of failures has to fall below half of what is too much.
func (j *Judge) lasting(now int64) (all conditions) {
	all.add(failureRateHigh, j.status.failsMoreThan(j.status.maxFailures()/2, now))
	return all
}

// text says in words what is wrong, at a time on the loop's clock.
func (j *Judge) text(c condition, now int64) string {
	s := j.status
	switch c {
	case databaseDown:
		if why := s.databases().err; why != "" {
			return "no connection to the databases: " + why
		}
		return "no connection to the databases"
	case databaseRefusing:
		return "the databases refuse what is to be written"
	case startIncomplete:
		return "the initial sync is not complete"
	case dumpIncomplete:
		return "a dump of the kernel's links does not end"
	case stalled:
		return fmt.Sprintf("work has been waiting for %v", s.stalledFor(now).Truncate(time.Second))
	case failureRateHigh:
		failed, attempts := s.rate.recent(now)
		return fmt.Sprintf("%d of %d exchanges with the databases failed in the last minute", failed, attempts)
	case portInitLate:
		return fmt.Sprintf("ports that PortInitDone still waits for: %d", s.awaited.Load())
	case auditMismatch:
		return fmt.Sprintf("the last audit found %d rows of STATE_DB wrong", s.mismatched.Load())
	case overrun:
		return "link messages were dropped in the last minute"
	case linkUnreadable:
		if names := s.unread.Load(); names != nil {
			return "link messages too large to be read, so these rows stay as they are: " + *names
		}
		return ""
	case diskFaulty:
		return strings.Join(j.keeper.Trouble(), "; ")
	case snapshotOld:
		what, since, _ := j.keeper.Overdue(s.clock.time(now))
		return fmt.Sprintf("%s should have been written at %s", what, since.UTC().Format(time.RFC3339))
	case restartStorm:
		storm, _ := warmrestart.RestartStorm(j.keeper.Restarts(), s.clock.time(now))
		return storm.Text
	}
	return ""
}
