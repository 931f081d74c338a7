package portsync

import (
	"context"
	"log/slog"
	"time"

	"portsyncd/syslog"
)

// eventLog writes the lines that operators of the C++ daemon look for, one for
// each link message and one for what was made of it. They are bounded: rsyslog
// in SONiC's containers drops a process beyond 20,000 lines in 300 s, errors
// included.
type eventLog struct {
	log    *slog.Logger
	clock  clock
	budget syslog.Budget

	faults syslog.Limiters // one limit for each thing that can be wrong

	missing int64 // when to look for lines that were not logged; never if all were
}

// At most 1000 + 300*30 lines in 300 s, half of what rsyslog lets pass.
const (
	eventLinesBurst     = 1000
	eventLinesPerSecond = 30
)

func newEventLog(log *slog.Logger, c clock) eventLog {
	return eventLog{
		log:     log,
		clock:   c,
		budget:  syslog.Budget{Burst: eventLinesBurst, PerSecond: eventLinesPerSecond},
		faults:  syslog.Limiters{Every: complainEvery},
		missing: never,
	}
}

// allow asks for a line of the budget.
func (e *eventLog) allow(now int64) bool {
	if !e.log.Enabled(context.Background(), syslog.LevelNotice) {
		return false
	}
	if e.budget.Allow(e.clock.time(now), syslog.LevelNotice) {
		return true
	}
	if e.missing == never {
		e.missing = now + int64(time.Second)
	}
	return false
}

// link is the line for a message that concerns p. A deletion has no values that
// matter; it also stands for one that a dump or a rename gave away.
func (e *eventLog) link(p *Port, ev *Event, deleted bool) {
	switch {
	case !e.allow(ev.At):
	case deleted:
		e.log.LogAttrs(context.Background(), syslog.LevelNotice, "RTM_DELLINK",
			slog.String("port", p.Name), slog.Int("ifindex", int(ev.Index)))
	default:
		e.log.LogAttrs(context.Background(), syslog.LevelNotice, "RTM_NEWLINK",
			slog.String("port", p.Name), slog.Int("ifindex", int(ev.Index)),
			slog.String("admin", status(p.Admin)), slog.String("oper", status(p.Oper)),
			slog.Uint64("mtu", uint64(p.MTU)))
	}
}

// written is the line for what became of a row. What the database refused has
// its own, with the reason.
func (e *eventLog) written(p *Port, was pending, now int64) {
	if was.result == OutcomeRefused {
		return
	}
	if was.del && e.allow(now) {
		e.log.LogAttrs(context.Background(), syslog.LevelNotice, p.lines.deleted)
	}
	switch {
	case !was.set || p.revive && was.result == OutcomeUnserved || !e.allow(now):
	case was.result == OutcomeServed && p.Oper:
		e.log.LogAttrs(context.Background(), syslog.LevelNotice, p.lines.up)
	case was.result == OutcomeServed:
		e.log.LogAttrs(context.Background(), syslog.LevelNotice, p.lines.down)
	default:
		e.log.LogAttrs(context.Background(), syslog.LevelNotice, p.lines.unknown)
	}
}

// lines are the log lines of a port, made once so that an event makes none.
type lines struct{ up, down, deleted, unknown string }

func newLines(name string) lines {
	return lines{
		up:      "Publish " + name + "(ok:up) to state db",
		down:    "Publish " + name + "(ok:down) to state db",
		deleted: "Delete " + name + "(ok) from state db",
		unknown: "Cannot find " + name + " in port table",
	}
}

// ignored is for who looks for the reason why a message led to nothing.
func (e *eventLog) ignored(ev *Event, t Test) {
	if ev.Kind <= DelLink && e.log.Enabled(context.Background(), syslog.LevelDebug) {
		e.log.Debug("link message ignored", "test", t.String(), "name", string(ev.Name()),
			"ifindex", ev.Index, "kind", ev.Kind.String(), "master", ev.Master)
	}
}

// resync logs why all links are requested again: at once, and then at most once a
// minute for each reason. Only what the kernel lost or refused is a warning; links
// that change during a dump and databases that come back are part of normal
// operation.
func (e *eventLog) resync(reason Reason, now int64) {
	level := syslog.LevelNotice
	switch reason {
	case ReasonOverrun, ReasonFailed, ReasonSilent:
		level = syslog.LevelWarn
	}
	if ok, suppressed := e.faults.Allow(reason.String(), e.clock.time(now)); ok {
		e.log.Log(context.Background(), level, "requesting all links from the kernel", "reason", reason.String(),
			"suppressed", suppressed)
	}
}

// unreadable logs that the message of a link could not be read, at most once a
// minute for each link.
func (e *eventLog) unreadable(ev *Event) {
	name := string(ev.Name())
	if ok, suppressed := e.faults.Allow("unreadable "+name, e.clock.time(ev.At)); ok {
		e.log.Warn("link message too large to be read; the row stays as it is", "port", name,
			"ifindex", ev.Index, "suppressed", suppressed)
	}
}

// fault logs an error that can repeat, at most once a minute for each message and
// error.
func (e *eventLog) fault(msg string, err error, now int64) {
	if ok, suppressed := e.faults.Allow(msg+": "+err.Error(), e.clock.time(now)); ok {
		e.log.Error(msg, "error", err, "suppressed", suppressed)
	}
}

// missed says how many lines the budget kept back.
func (e *eventLog) missed(now int64) {
	if now < e.missing {
		return
	}
	e.missing = never
	if n := e.budget.Missed(e.clock.time(now)); n > 0 {
		e.log.Log(context.Background(), syslog.LevelNotice, "link messages not logged", "lines", n)
	}
}
