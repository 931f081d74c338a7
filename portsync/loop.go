package portsync

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"portsyncd/internal/ring"
	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
)

// Loop owns the state of all ports. It takes link messages from the ring, lets State
// decide what each one means, and writes the resulting rows to the databases.
//
// It consists of parts. Each part owns its fields: only the part's own methods write them.
// Loop has what concerns several parts: the order of a turn, and what each part does after
// a connection, a loss, the end of a dump, and the answers of the databases.
type Loop struct {
	base
	running atomic.Bool
	timer   *time.Timer
	helpers sync.WaitGroup
	reloads chan Settings
	begun   chan struct{} // closed once the writes of the start are acknowledged
	ready   chan struct{} // closed when the initial sync is complete
	ring    *ring.Ring[Event]
	actions []Action // scratch

	db       databaseLink // connection to the databases
	initial  initialSync  // start decision, first dump, writes held back by a warm start
	handover handover     // configuration handed to orchagent, PortConfigDone, PortInitDone
	dumps    dumper       // dumps of all links, and the resyncs that they complete
	audits   audits       // comparisons of STATE_DB with the kernel
	writes   writer       // the backlog of rows and its acknowledgement
	recheck  rechecker    // ports to look up again in APPL_DB
	records  recorder     // ports handed to the Recorder
	watchdog watchdog
	feed     journalFeed // states of ports for the journal
	shown    publisher   // what Status shows
}

// base is what all parts of a Loop use. NewLoop and Run set it. Afterwards only Settings
// change, between two turns.
type base struct {
	Options
	clock  clock
	ctx    context.Context
	logger eventLog
	state  *State
}

// ringSize is the number of messages that a burst can bring while the loop waits for one
// answer of Redis. Beyond it the kernel's buffer of some thousand messages is the queue.
const ringSize = 8192

// consumeMost is the largest number of messages that one turn takes, so that timers,
// signals and writes are served under any load.
const consumeMost = 2048

// drainFor is the time for writing the backlog when the process is to end.
const drainFor = time.Second

// NewLoop returns a loop that Run runs.
func NewLoop(o Options) *Loop {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With(syslog.ComponentKey, "loop")
	o.LateAfter = cmp.Or(max(o.LateAfter, 0), lateAfter)
	o.MissingAfter = cmp.Or(max(o.MissingAfter, 0), missingAfter)
	l := &Loop{
		base:    base{Options: o, clock: newClock(o.Journal), state: NewState(nil)},
		timer:   time.NewTimer(time.Hour),
		reloads: make(chan Settings, 1),
		begun:   make(chan struct{}),
		ready:   make(chan struct{}),
		ring:    ring.New[Event](ringSize),
	}
	b := &l.base
	l.logger = newEventLog(o.Log, l.clock)
	l.db = newDatabaseLink(b, &l.helpers, l.publishStatus)
	l.initial = newInitialSync(b)
	l.handover = newHandover(b, &l.db)
	l.dumps = newDumper(b)
	l.audits = newAudits(b)
	l.writes = newWriter(b, l.acknowledged, l.answered)
	l.recheck = newRechecker()
	l.records = newRecorder(b)
	l.watchdog = watchdog{base: b, at: never}
	l.feed = newJournalFeed(b)
	l.shown = newPublisher(b)
	o.Open.reportTo(o.Status)
	o.Status.begin(l.clock)
	l.publishStatus()
	return l
}

// Started returns a channel that is closed once the writes of the start are acknowledged:
// orchagent has the configuration.
func (l *Loop) Started() <-chan struct{} { return l.begun }

// Ready returns a channel that is closed once the initial sync is in the databases.
func (l *Loop) Ready() <-chan struct{} { return l.ready }

// Summary describes how the daemon started. It may be called once Ready is closed. The
// service manager shows it until health changes, so it contains nothing that can change
// before.
func (l *Loop) Summary() string {
	return l.initial.decision.Kind.String() + " start, initial sync complete"
}

// Reload passes new settings to the loop, which applies them in its next turn.
func (l *Loop) Reload(s Settings) {
	select {
	case <-l.reloads: // settings that were not applied yet are out of date
	default:
	}
	l.reloads <- s
}

// Run runs the loop until ctx ends and the backlog is written or a second has passed. It
// returns an error if it cannot run at all.
func (l *Loop) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return ErrConcurrentUse
	}
	defer l.running.Store(false)

	inner, cancel := context.WithCancel(ctx)
	l.ctx = inner
	// An exchange that is under way when the process is to end is cut off in time.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainFor, cancel) })()
	r := reader{links: l.Links, ring: l.ring, now: l.clock.now, done: inner.Done(),
		log: l.Log.With(syslog.ComponentKey, "netlink")}
	l.helpers.Go(r.run)
	l.helpers.Go(func() { l.logger.run(inner.Done()) })
	l.db.connect(0)
	l.watchdog.feed(l.clock.now(), l.stalledFrom())

	for ctx.Err() == nil {
		l.turn()
	}
	l.drain()
	l.feed.flush()
	l.publishStatus()
	l.records.finish(l.clock.now())
	cancel()
	l.db.close()
	err := l.Links.Close()
	l.helpers.Wait()
	return err
}

// turn is one round of the loop: it decides on messages, writes what follows, runs timers,
// and sleeps if there is nothing left to do.
func (l *Loop) turn() {
	busy := l.initial.started && l.consume() > 0
	l.publishStatus()
	l.begin()
	l.openGate()
	l.flush()
	l.reconcile()
	l.finishInitial()
	l.due(l.clock.now())
	l.publishStatus()
	l.announce()
	l.logger.flush()
	l.feed.flush()
	l.wait(!busy)
}

// announce closes the channels of Started and Ready once Status shows the same.
func (l *Loop) announce() {
	if l.initial.started {
		closeOnce(l.begun)
	}
	if l.initial.done {
		closeOnce(l.ready)
	}
}

// closeOnce closes c unless it is closed.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// consume decides on the messages in the ring and returns their number.
func (l *Loop) consume() int {
	n := 0
	for ; n < consumeMost; n++ {
		ev := l.ring.Peek()
		if ev == nil {
			break
		}
		l.decide(ev)
		l.ring.Pop()
	}
	return n
}

// decide carries out the actions that State derives from one message.
func (l *Loop) decide(ev *Event) {
	actions, err := l.state.Step(ev, l.actions[:0])
	l.actions = actions
	if err != nil {
		panic(err) // a fault of the loop: two goroutines use the state
	}
	l.Metrics.countEvent(ev)
	if ev.Kind == netlinkraw.DumpDone {
		l.dumps.done(l.clock.now())
	}
	l.logger.message(ev, actions)
	l.feed.event(ev, actions)
	for _, a := range actions {
		switch a.Kind {
		case Publish, Delete:
			l.writes.add(a, ev.At)
			if a.Kind == Publish {
				a.Port.pending.messages++
			}
			if l.state.quiet && (ev.Dump || ev.Kind == netlinkraw.DumpDone) {
				l.audits.changeFound()
			}
		case Ignore:
			l.Metrics.ignored.At(int(a.Ignored)).Inc()
			l.logger.ignored(ev, a.Ignored)
		case Settle:
			l.requestLink(a.Port)
		case Redump:
			l.resync(a.Reason)
		case Synced:
			l.synced()
		case InitDone:
			l.handover.requestInitDone()
		case Flapped:
			l.Status.ports.flaps.of(a.Port.Name).add(uint64(a.Downs), ev.At)
		case Unread:
			l.logger.unreadable(ev)
		}
	}
}

// wait sleeps until there is something to do. With block false it takes one message from
// the channels, if there is one, and does not sleep.
func (l *Loop) wait(block bool) {
	if block && l.initial.started {
		block = l.ring.Sleep()
		defer l.ring.Awake()
	}
	if !block {
		select {
		case s := <-l.db.sessions:
			l.connected(s)
		case n := <-l.db.notes:
			l.observe(n)
		case s := <-l.reloads:
			l.apply(s)
		default:
		}
		return
	}
	pause := time.Duration(l.deadline() - l.clock.now())
	l.timer.Reset(max(pause, 0))
	select {
	case <-l.ring.Filled():
	case <-l.timer.C:
	case s := <-l.db.sessions:
		l.connected(s)
	case n := <-l.db.notes:
		l.observe(n)
	case s := <-l.reloads:
		l.apply(s)
	case <-l.ctx.Done():
	}
}

// apply applies the settings of a reload.
func (l *Loop) apply(s Settings) {
	l.Settings = s
	l.audits.schedule(l.clock.now())
}

// drain writes the backlog, for at most drainFor.
func (l *Loop) drain() {
	end := l.clock.now() + int64(drainFor)
	for l.initial.started && l.db.session != nil && l.clock.now() < end {
		n := l.consume()
		l.flush()
		if n == 0 && l.writes.len() == 0 && !l.handover.todo.initDone {
			return
		}
		if n == 0 {
			time.Sleep(time.Millisecond) // a pause after a refusal; no event ends it
		}
	}
	if l.initial.started && l.writes.len()+l.ring.Len() > 0 {
		l.Log.Log(context.Background(), syslog.LevelNotice, "stopped before all rows were written",
			"ports", l.writes.len(), "events", l.ring.Len())
	}
}
