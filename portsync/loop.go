package portsync

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Loop is the one owner of port state: it takes events from the ring, asks
// State what they mean, and writes what follows to the databases.
type Loop struct {
	Options
	running atomic.Bool
	clock   clock
	ring    *ring
	state   *State
	batch   Batch
	actions []Action             // scratch
	settled func(*Port, pending) // settle, made once
	found   func(*Port, pending) // served, for a row that needed no write, made once

	sessions chan *session
	reloads  chan Settings
	session  *session // nil while there is no connection
	openedAt int64
	reopen   backoff
	notes    chan note
	timer    *time.Timer
	ctx      context.Context
	helpers  sync.WaitGroup

	decision *Decision
	ports    []PortConfig // as last read from CONFIG_DB, to be produced

	configured []string      // all ports that CONFIG_DB has now, sorted
	started    bool          // the start's writes are acknowledged
	begun      chan struct{} // closed then
	ready      chan struct{} // closed when the initial sync is over
	initial    initialSync
	gated      bool // a warm start holds its writes back until it can compare
	gateDue    bool // the gate is to be opened as soon as there is a connection

	owes      debts
	markersAt int64 // not before this is the debt of markers paid
	fillBy    int64 // from then on CONFIG_DB is believed to be complete
	retry     backoff
	ackAt     int64 // when the databases last answered
	retryAt   int64 // not before this are failed writes tried again
	dump      dumper
	sweep     sweepReason // why STATE_DB is compared once the dump is complete
	compare   bool        // the dump is complete
	missed    uint64      // what the dump of an audit brought and no message had
	suspects  uint64      // changes found by audits that an overrun may yet explain
	suspectAt int64       // when it no longer can; never if there are none
	reviveAt  int64
	revive    backoff
	auditAt   int64
	feedAt    int64
	lateAt    int64
	countAt   int64 // when APPL_DB is first counted
	recordAt  int64 // when the ports are handed to the recorder; never if they have not changed
	recorded  int64 // when they were last
	logger    eventLog
}

// debts are effects that have been decided and not acknowledged.
type debts struct {
	markers  bool // to find out what has to be produced again
	produce  bool // the configuration and PortConfigDone
	initDone bool // PortInitDone
}

// sweepReason says why STATE_DB is to be compared with the kernel once a dump
// is complete.
type sweepReason string

const (
	sweepNone  sweepReason = ""
	sweepStart sweepReason = "start"
	sweepBack  sweepReason = "database back"
	sweepAudit sweepReason = "audit"
)

// ringSize holds what a burst brings while the loop waits for one answer of
// Redis; beyond it the kernel's buffer of some thousand messages is the queue.
const ringSize = 8192

// consumeMost bounds how many events one turn of the loop takes, so that
// timers, signals and writes get their turn under any load.
const consumeMost = 2048

// Pauses of the loop.
const (
	retryMin, retryMax   = 20 * time.Millisecond, 500 * time.Millisecond
	reviveMin, reviveMax = 50 * time.Millisecond, 500 * time.Millisecond
	drainFor             = time.Second // for what is queued when the process is to end
	lateAfter            = 60 * time.Second
	countAfter           = 30 * time.Second
)

// NewLoop makes a loop; Run runs it.
func NewLoop(o Options) *Loop {
	l := &Loop{
		Options:  o,
		clock:    newClock(),
		ring:     newRing(ringSize),
		state:    NewState(nil),
		sessions: make(chan *session),
		reloads:  make(chan Settings, 1),
		begun:    make(chan struct{}),
		ready:    make(chan struct{}),
		timer:    time.NewTimer(time.Hour),
		reopen:   backoff{min: sessionPauseMin, max: sessionPauseMax},
		retry:    backoff{min: retryMin, max: retryMax},
		revive:   backoff{min: reviveMin, max: reviveMax},
		reviveAt: never, auditAt: never, feedAt: never, lateAt: never, countAt: never, suspectAt: never, recordAt: never,
		initial:  initialSync{eoiuAt: never},
		recorded: -int64(recordEvery), // the first change does not wait for it
	}
	if l.LateAfter <= 0 {
		l.LateAfter = lateAfter
	}
	o.Status.begin(l.clock, o.Settings)
	o.Open.status = o.Status
	l.settled, l.found = l.settle, l.served
	l.dump = newDumper()
	l.logger = newEventLog(o.Log, l.clock)
	return l
}

// Started is closed once the start's writes are acknowledged: orchagent has the
// configuration, or had it all along.
func (l *Loop) Started() <-chan struct{} { return l.begun }

// Ready is closed once the initial sync is in the databases.
func (l *Loop) Ready() <-chan struct{} { return l.ready }

// Summary says in a few words how the daemon started. It may be called once
// Ready is closed.
func (l *Loop) Summary() string {
	return fmt.Sprintf("%s start, %d ports configured", l.decision.Kind, l.Status.configured.Load())
}

// Reload hands new settings over; the loop takes them at its next turn.
func (l *Loop) Reload(s Settings) {
	select {
	case <-l.reloads: // one that was not taken yet is out of date
	default:
	}
	l.reloads <- s
}

// Run is the loop. It returns when ctx ends, after what was queued has been
// written or a second has passed; an error means that it could not run at all.
func (l *Loop) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return ErrConcurrentUse
	}
	defer l.running.Store(false)

	inner, cancel := context.WithCancel(ctx)
	l.ctx = inner
	r := reader{links: l.Links, ring: l.ring, now: l.clock.now, done: inner.Done(), log: l.Log}
	l.helpers.Go(r.run)
	l.reconnect(0)
	l.feed(l.clock.now())

	for ctx.Err() == nil {
		l.turn()
	}
	l.drain()
	if l.recordAt != never {
		l.recordPorts(l.clock.now())
	}
	cancel()
	if l.session != nil {
		l.session.close()
	}
	err := l.Links.Close()
	l.helpers.Wait()
	return err
}

// turn is one round: events in, effects out, timers, then sleep if there is
// nothing to do.
func (l *Loop) turn() {
	l.begin()
	busy := l.started && l.consume() > 0
	l.openGate()
	l.flush()
	l.reconcile()
	l.finishInitial()
	l.due(l.clock.now())
	l.wait(!busy)
}

// consume decides on what is in the ring and reports how much that was.
func (l *Loop) consume() int {
	n := 0
	for ; n < consumeMost; n++ {
		ev := l.ring.peek()
		if ev == nil {
			break
		}
		l.decide(ev, nil)
		l.ring.pop()
	}
	if n > 0 {
		l.Status.backlog(l.batch.Len(), l.clock.now())
		l.Status.queued.Store(int64(l.ring.len()))
	}
	return n
}

// decide carries out what State makes of one event.
func (l *Loop) decide(ev *Event, port *Port) {
	actions, err := l.state.Step(ev, port, l.actions[:0])
	l.actions = actions
	if err != nil {
		panic(err) // the loop's own fault: two goroutines inside
	}
	l.Metrics.event(ev)
	if ev.Kind == DumpDone {
		l.dump.done(l.clock.now())
	}
	for _, a := range actions {
		switch a.Kind {
		case Publish, Delete:
			l.batch.Add(a, ev.At)
			if l.state.quiet && (ev.Dump || ev.Kind == DumpDone) {
				l.missed++
			}
			l.logger.link(a.Port, ev, a.Kind == Delete)
		case Ignore:
			l.Metrics.ignored.At(int(a.Test)).Inc()
			l.logger.ignored(ev, a.Test)
		case Settle:
			l.settleLink(a.Port)
		case Redump:
			l.resync(a.Reason)
		case Synced:
			l.synced()
		case InitDone:
			l.owes.initDone = true
		case Flapped:
			l.Status.ports.flaps.of(a.Port.Name).add(uint64(a.Downs), ev.At)
		case Unread:
			l.logger.unreadable(ev)
		}
	}
}

// wait sleeps until there is something to do; with block false it only looks.
func (l *Loop) wait(block bool) {
	if block && l.started {
		block = l.ring.sleep()
		defer l.ring.awake()
	}
	if !block {
		select {
		case s := <-l.sessions:
			l.opened(s)
		case n := <-l.notes:
			l.noted(n)
		case s := <-l.reloads:
			l.apply(s)
		default:
		}
		return
	}
	pause := time.Duration(l.deadline() - l.clock.now())
	l.timer.Reset(max(pause, 0))
	select {
	case <-l.ring.filled:
	case <-l.timer.C:
	case s := <-l.sessions:
		l.opened(s)
	case n := <-l.notes:
		l.noted(n)
	case s := <-l.reloads:
		l.apply(s)
	case <-l.ctx.Done():
	}
}

func (l *Loop) apply(s Settings) {
	l.Settings = s
	l.Status.limit(s)
	l.scheduleAudit(l.clock.now())
}

// drain writes what is queued, for at most drainFor.
func (l *Loop) drain() {
	end := l.clock.now() + int64(drainFor)
	for l.started && l.session != nil && l.clock.now() < end {
		n := l.consume()
		l.flush()
		if n == 0 && l.batch.Len() == 0 && !l.owes.initDone {
			return
		}
		if n == 0 {
			time.Sleep(time.Millisecond) // a pause after a refusal; nothing else can come
		}
	}
	if n := l.batch.Len() + l.ring.len(); n > 0 && l.started {
		l.Log.Warn("ended before all was written", "ports", l.batch.Len(), "events", l.ring.len())
	}
}
