package portsync

import (
	"context"
	"log/slog"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/ring"
	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
)

// eventLog logs the lines of the C++ daemon that tests and operators search for (PROTOCOL.md
// section 10, texts in eventlines.go), and rate-limited error messages.
//
// Each link message causes up to two lines. The loop copies the values into a ring. A separate
// goroutine (run) formats the lines and waits for the syslog daemon. It collects lines for
// journal.GatherFor, because waking it for each event costs more than the lines. The number of lines is
// limited, because rsyslog in SONiC's containers drops all lines of a process, including errors,
// after 20,000 lines in 300 s. The startup of a switch with 512 ports and a config reload stay
// within the limit. The number of dropped lines is logged.
type eventLog struct {
	log    *slog.Logger
	clock  clock
	budget syslog.Budget
	ring   *ring.Ring[logEntry]
	faults syslog.Limiters // rate limits for repeated errors

	overflow uint64 // lines dropped because the ring was full
	missing  int64  // when to log the number of dropped lines; never if none were dropped
}

const (
	// At most 10,000 + 300*20 lines in 300 s.
	eventLinesBurst     = 10_000
	eventLinesPerSecond = 20
	// logRingSize is the maximum number of queued lines.
	logRingSize = 2048
)

const (
	// logTimeout is the time allowed for writing one line.
	logTimeout = time.Second
	// logEndTimeout is the time allowed for writing the remaining lines on shutdown.
	logEndTimeout = 200 * time.Millisecond
)

func newEventLog(log *slog.Logger, c clock) eventLog {
	return eventLog{
		log:     log,
		clock:   c,
		budget:  syslog.Budget{Burst: eventLinesBurst, PerSecond: eventLinesPerSecond},
		ring:    ring.New[logEntry](logRingSize),
		faults:  syslog.Limiters{Every: complainEvery},
		missing: never,
	}
}

// entry returns an empty slot in the ring for one log line, or nil if the line must be dropped. The
// caller must fill the slot and then push it.
func (e *eventLog) entry(now int64) *logEntry {
	if !e.log.Enabled(context.Background(), syslog.LevelNotice) {
		return nil
	}
	if e.budget.Allow(e.clock.time(now), syslog.LevelNotice) {
		if slot := e.ring.Slot(); slot != nil {
			return slot
		}
		e.overflow++
	}
	if e.missing == never {
		e.missing = now + int64(time.Second)
	}
	return nil
}

// put queues a line. name is the port, or "" if the line is not about a port.
func (e *eventLog) put(kind lineKind, name string, count uint32, now int64) {
	slot := e.entry(now)
	if slot == nil {
		return
	}
	slot.kind, slot.count, slot.ev.At = kind, count, now
	slot.ev.nameLen = uint8(copy(slot.ev.name[:], name))
	e.ring.Push()
}

// message logs a link message, including ignored ones. It skips dump messages of an audit that
// report no change.
func (e *eventLog) message(ev *Event, actions []Action) {
	if ev.Kind > netlinkraw.DelLink || !watched(ev.Name()) ||
		len(actions) == 1 && actions[0].Kind == Ignore && actions[0].Ignored == IgnoredKnown {
		return
	}
	if slot := e.entry(ev.At); slot != nil {
		slot.kind, slot.ev = lineMessage, *ev
		e.ring.Push()
	}
}

// written logs the result of writing a row. It does not log refused writes, which are logged with
// their error elsewhere.
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

// flush wakes the goroutine that executes run.
func (e *eventLog) flush() { e.ring.Wake() }

// run writes queued lines until done is closed, and then writes the remaining lines.
func (e *eventLog) run(done <-chan struct{}) {
	w := newLineWriter(e.log, e.clock)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ended := false; !ended; {
		if e.ring.Sleep() {
			select {
			case <-e.ring.Filled():
				timer.Reset(journal.GatherFor)
				e.ring.Gather(timer, done)
			case <-done:
				e.ring.Awake()
			}
			select {
			case <-done:
				ended = true
				w.end = time.Now().Add(logEndTimeout)
			default:
			}
		}
		for entry := e.ring.Peek(); entry != nil; entry = e.ring.Peek() {
			w.write(entry)
			e.ring.Pop()
		}
	}
}

// ignored logs at debug level why a link message was ignored.
func (e *eventLog) ignored(ev *Event, r IgnoreReason) {
	if ev.Kind <= netlinkraw.DelLink && e.log.Enabled(context.Background(), syslog.LevelDebug) {
		e.log.Debug("link message ignored", "reason", r.String(), "port", string(ev.Name()),
			"ifindex", ev.Index, "kind", ev.Kind.String(), "master", ev.Master)
	}
}

// resync logs a resync, at most once a minute for each reason. The level is warning if the kernel
// lost messages or a dump. Links that change during a dump and reconnects are normal and logged at
// notice level.
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

// unreadable logs a link message that was too large to read, at most once a minute for each link.
func (e *eventLog) unreadable(ev *Event) {
	name := string(ev.Name())
	if ok, suppressed := e.faults.Allow("unreadable "+name, e.clock.time(ev.At)); ok {
		e.log.Warn("link message too large to read; row not updated", "port", name,
			"ifindex", ev.Index, "suppressed", suppressed)
	}
}

// fault logs an error, at most once a minute for each combination of message and error.
func (e *eventLog) fault(msg string, err error, now int64) {
	if ok, suppressed := e.faults.Allow(msg+": "+err.Error(), e.clock.time(now)); ok {
		e.log.Error(msg, "error", err, "suppressed", suppressed)
	}
}

// missed logs how many lines were dropped because of the rate limit or a full ring.
func (e *eventLog) missed(now int64) {
	if now < e.missing {
		return
	}
	e.missing = never
	n := e.budget.Missed(e.clock.time(now)) + e.overflow
	e.overflow = 0
	if n > 0 {
		e.log.Log(context.Background(), syslog.LevelNotice, "dropped log lines about link messages", "lines", n)
	}
}
