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

// Loop owns the state of all ports. It reads link messages from the ring, passes each one to State,
// and writes the resulting rows to the databases.
//
// A Loop is composed of smaller types. Each one owns its fields: only its own methods write them.
// Loop has the code that concerns several of them: the order of the steps in a turn, and the
// reactions to a connection, a disconnection, the end of a dump and replies from the databases.
type Loop struct {
	base
	running  atomic.Bool
	timer    *time.Timer
	helpers  sync.WaitGroup
	reloads  chan Settings
	stopping <-chan struct{} // closed when the loop must stop
	begun    chan struct{}   // closed by setBegun
	ready    chan struct{}   // closed when the initial sync is complete
	// setBegun may be called from any goroutine.
	setBegun func()
	ring     *ring.Ring[Event]
	actions  []Action // scratch

	db       databaseLink // connection to the databases
	initial  initialSync  // start decision, initial dump, and writes held back by a warm start
	handover handover     // configuration, PortConfigDone and PortInitDone for orchagent
	dumps    dumper       // dumps of all links, and pending resyncs
	audits   audits       // comparisons of STATE_DB with the kernel
	writes   writer       // the backlog of rows and acknowledged writes
	recheck  rechecker    // ports to look up again in APPL_DB
	records  recorder     // ports passed to the Recorder
	watchdog watchdog
	feed     journalFeed // port states for the journal
	shown    publisher   // values shown by Status
}

// base holds what all components of a Loop use. It is set by NewLoop and Run. Afterwards only
// Settings changes, between two turns.
type base struct {
	Options
	clock  clock
	ctx    context.Context
	logger eventLog
	state  *State
}

// ringSize is the number of messages that can be queued while the loop waits for one Redis reply.
// When the ring is full, messages queue in the socket's receive buffer, which holds several
// thousand.
const ringSize = 4096

// consumeMost is the maximum number of messages processed per turn, so that timers, signals and
// writes are served under any load.
const consumeMost = 2048

// drainFor is the time allowed for writing the backlog on shutdown.
const drainFor = time.Second

// NewLoop returns a Loop with the given options. Call Run to start it.
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
	l.setBegun = sync.OnceFunc(func() { close(l.begun) })
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
	o.Open.reportTo(o.Status, l.setBegun)
	o.Status.begin(l.clock, l.ring.Len)
	return l
}

// Started returns a channel that is closed when the first writes are acknowledged, so orchagent has
// the configuration. The channel is also closed when the databases cannot be reached or refuse a
// request, because the writes will then take a while.
func (l *Loop) Started() <-chan struct{} { return l.begun }

// Ready returns a channel that is closed when the initial sync has been written to the databases.
func (l *Loop) Ready() <-chan struct{} { return l.ready }

// Summary describes how the daemon started. It must not be called before Ready is closed. The
// service manager shows the text until health changes, so it contains only facts that do not
// change.
func (l *Loop) Summary() string {
	return l.initial.decision.Kind.String() + " start, initial sync complete"
}

// Reload passes new settings to the loop, which applies them in its next turn.
func (l *Loop) Reload(s Settings) {
	select {
	case <-l.reloads: // discard settings that were not applied yet
	default:
	}
	l.reloads <- s
}

// Run runs the loop until ctx ends. It then writes the backlog, for at most one second, and closes
// Links. It returns [ErrConcurrentUse] if the loop is already running, or else the error of closing
// Links.
func (l *Loop) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return ErrConcurrentUse
	}
	defer l.running.Store(false)

	// The connections to the databases end with inner, after the backlog has been written. A request
	// that is still running when the time for the shutdown is over is interrupted.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.ctx, l.stopping = inner, ctx.Done()
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
	l.records.finish(l.clock.now())
	cancel()
	l.db.close()
	err := l.Links.Close()
	l.helpers.Wait()
	return err
}

// turn executes one iteration of the loop: it processes link messages, sends the resulting writes
// to Redis, runs timers, and sleeps if there is nothing left to do.
func (l *Loop) turn() {
	busy := l.initial.started && l.consume() > 0
	l.dumps.hold(l.clock.now())
	l.publishStatus()
	l.begin()
	l.openGate()
	l.flush()
	l.reconcile()
	l.finishInitial()
	l.due(l.clock.now())
	l.dumps.release(l.clock.now())
	l.publishStatus()
	l.announce()
	l.logger.flush()
	l.feed.flush()
	l.wait(!busy)
}

// announce closes the channels of Started and Ready after Status has been updated.
func (l *Loop) announce() {
	if l.initial.started {
		l.setBegun()
	}
	if l.initial.done {
		closeOnce(l.ready)
	}
}

// closeOnce closes c unless it is already closed.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// consume processes all link messages in the ring and returns the number of messages.
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

// decide passes one link message to the State and carries out the actions that the State returns.
func (l *Loop) decide(ev *Event) {
	actions, err := l.state.Step(ev, l.actions[:0])
	l.actions = actions
	if err != nil {
		panic(err) // a bug: two goroutines use the state
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

// wait sleeps until a link message, a channel message or a timer needs processing. If block is
// false, wait does not sleep: it handles at most one channel message and returns.
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
		case times := <-l.feed.changes:
			l.setChanges(times)
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
	case times := <-l.feed.changes:
		l.setChanges(times)
	case <-l.stopping:
	}
}

// apply applies reloaded settings.
func (l *Loop) apply(s Settings) {
	l.Settings = s
	l.audits.schedule(l.clock.now())
}

// setChanges applies the times of the last changes before the initial sync.
func (l *Loop) setChanges(times map[string]time.Time) {
	readings := make(map[string]int64, len(times))
	for name, t := range times {
		readings[name] = l.clock.reading(t)
	}
	l.state.SetChanges(readings, l.clock.now())
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
		if l.initial.gated { // only a turn opens the gate
			break
		}
		if n == 0 {
			time.Sleep(time.Millisecond) // the pause after a refusal, which no event ends
		}
	}
	if l.initial.started && l.writes.len()+l.ring.Len() > 0 {
		l.Log.Log(context.Background(), syslog.LevelNotice, "stopping before all rows were written to STATE_DB",
			"ports", l.writes.len(), "messages", l.ring.Len())
	}
}
