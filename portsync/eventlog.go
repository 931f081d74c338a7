package portsync

import (
	"context"
	"log/slog"
	"time"

	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
)

// eventLog writes the lines of the C++ daemon, which tests and operators look for
// (PROTOCOL.md section 10; their texts are in eventlines.go), and lines about
// faults that repeat.
//
// One link message causes two lines. The loop only copies the facts into a ring; a
// goroutine of its own (run) makes the text and waits for the syslog daemon. A storm
// of messages is bounded by a budget: rsyslog in SONiC's containers drops a process
// beyond 20,000 lines in 300 s, errors included. The budget is larger than what the
// start of a switch with 512 ports or a config reload writes, so that a line is
// missing only in a storm, and then one line says how many are.
type eventLog struct {
	log    *slog.Logger
	clock  clock
	budget syslog.Budget
	ring   *ring[logEntry]
	faults syslog.Limiters // one limit for each thing that can be wrong

	overflow uint64 // lines for which the ring had no room
	missing  int64  // when to look for lines that were not logged; never if all were
}

const (
	// At most 10,000 + 300*20 lines in 300 s.
	eventLinesBurst     = 10_000
	eventLinesPerSecond = 20
	// logRingSize is how many lines wait for the syslog daemon.
	logRingSize = 4096
)

// How long a line waits for room in the syslog daemon's queue, and how long the
// lines that are left at the end of the process wait together.
const (
	logPatience    = time.Second
	logEndPatience = 200 * time.Millisecond
)

func newEventLog(log *slog.Logger, c clock) eventLog {
	return eventLog{
		log:     log,
		clock:   c,
		budget:  syslog.Budget{Burst: eventLinesBurst, PerSecond: eventLinesPerSecond},
		ring:    newRing[logEntry](logRingSize),
		faults:  syslog.Limiters{Every: complainEvery},
		missing: never,
	}
}

// entry returns a slot for one line, or nil if the line is not to be written. The
// caller fills it and pushes it.
func (e *eventLog) entry(now int64) *logEntry {
	if !e.log.Enabled(context.Background(), syslog.LevelNotice) {
		return nil
	}
	if e.budget.Allow(e.clock.time(now), syslog.LevelNotice) {
		if slot := e.ring.slot(); slot != nil {
			return slot
		}
		e.overflow++
	}
	if e.missing == never {
		e.missing = now + int64(time.Second)
	}
	return nil
}

// put queues a line about a port, or with an empty name one about none.
func (e *eventLog) put(kind lineKind, name string, count uint32, now int64) {
	slot := e.entry(now)
	if slot == nil {
		return
	}
	slot.kind, slot.count, slot.ev.At = kind, count, now
	slot.ev.nameLen = uint8(copy(slot.ev.name[:], name))
	e.ring.push()
}

// message logs a link message, whatever becomes of it. It leaves out one that only
// repeats, in the dump of an audit, what is known.
func (e *eventLog) message(ev *Event, actions []Action) {
	if ev.Kind > netlinkraw.DelLink || !watched(ev.Name()) ||
		len(actions) == 1 && actions[0].Kind == Ignore && actions[0].Ignored == IgnoredKnown {
		return
	}
	if slot := e.entry(ev.At); slot != nil {
		slot.kind, slot.ev = lineMessage, *ev
		e.ring.push()
	}
}

// written logs what became of a row. What the database refused has a line of its
// own, with the reason.
func (e *eventLog) written(p *Port, was pending, now int64) {
	if was.result == OutcomeRefused {
		return
	}
	if was.del {
		e.put(lineDelete, p.Name, 0, now)
	}
	switch {
	case !was.set || p.recheck && was.result == OutcomeNotAccepted:
	case was.result == OutcomeNotAccepted:
		e.put(lineUnknown, p.Name, 0, now)
	case p.Oper:
		e.put(lineUp, p.Name, 0, now)
	default:
		e.put(lineDown, p.Name, 0, now)
	}
}

// flush wakes the goroutine that writes.
func (e *eventLog) flush() { e.ring.wake() }

// run writes the queued lines until done is closed, and then those that are left.
func (e *eventLog) run(done <-chan struct{}) {
	w := newLineWriter(e.log, e.clock)
	for {
		switch entry := e.ring.peek(); {
		case entry != nil:
			w.write(entry)
			e.ring.pop()
		case e.ring.sleep():
			select {
			case <-e.ring.filled:
			case <-done:
				e.ring.awake()
				w.end = time.Now().Add(logEndPatience)
				for entry := e.ring.peek(); entry != nil; entry = e.ring.peek() {
					w.write(entry)
					e.ring.pop()
				}
				return
			}
		}
	}
}

// ignored is for who looks for the reason why a message led to nothing.
func (e *eventLog) ignored(ev *Event, r IgnoreReason) {
	if ev.Kind <= netlinkraw.DelLink && e.log.Enabled(context.Background(), syslog.LevelDebug) {
		e.log.Debug("link message ignored", "reason", r.String(), "name", string(ev.Name()),
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

// missed logs how many lines the budget or the ring kept back.
func (e *eventLog) missed(now int64) {
	if now < e.missing {
		return
	}
	e.missing = never
	n := e.budget.Missed(e.clock.time(now)) + e.overflow
	e.overflow = 0
	if n > 0 {
		e.log.Log(context.Background(), syslog.LevelNotice, "lines about link messages not written", "lines", n)
	}
}
