package portsync

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
)

// Loop is the one owner of port state: it takes events from the ring, asks
// State what they mean, and writes what follows to the databases.
type Loop struct {
	Options
	running atomic.Bool
	clock   clock
	timer   *time.Timer
	ctx     context.Context
	helpers sync.WaitGroup
	reloads chan Settings
	begun   chan struct{} // closed once the start's writes are acknowledged
	ready   chan struct{} // closed when the initial sync is over
	feedAt  int64         // when the watchdog is fed
	logger  eventLog

	ring    *ring[Event]
	state   *State
	batch   Batch
	settled func(*Port, pending) // settle, made once
	found   func(*Port, pending) // served, for a row that needed no write, made once
	actions []Action             // scratch
	fresh   []*publishedPort     // scratch
	written int                  // ports whose row the last batch wrote or deleted
	present int64                // ports that are PortPresent

	redisLink
	handover
	absences    absences // ports of CONFIG_DB without an interface
	dump        dumper
	audits      audits
	unreadShown int   // the State.unreads that Status shows
	overranAt   int64 // when the kernel last dropped messages
	recheck     recheck
	initial     initialSync
	gate
	records records
}

// redisLink is the connection to the databases and what came over it.
type redisLink struct {
	sessions   chan *session
	session    *session // nil while there is no connection
	notes      chan note
	connection connection
	reopen     backoff.Backoff
	retry      backoff.Backoff
	retryAt    int64   // not before this are failed writes tried again
	answeredAt int64   // when the databases last answered, be it to refuse
	progressAt int64   // when they last did what was asked of them
	wroteAt    int64   // when they last acknowledged the write or deletion of a row
	refusal    *string // what they refused last, and their words; nil if they have done something since
	rows       refusedRows
}

// handover is how the configuration gets from CONFIG_DB to orchagent.
type handover struct {
	decision   *Decision    // nil until the start is decided on
	started    bool         // the start's writes are acknowledged
	ports      []PortConfig // as last read from CONFIG_DB, to be produced
	configured []string     // all ports that CONFIG_DB has now, sorted
	todo       todo
	markersAt  int64 // not before this are the markers looked for
	fillBy     int64 // from then on CONFIG_DB is believed to be complete
	configDone bool  // PortConfigDone was produced
	initDone   bool  // PortInitDone was produced
	initLate   bool  // PortInitDone has been waiting for ports for too long
	lateAt     int64 // when it will have been
	counts     Counts
	countAt    int64 // when APPL_DB is first counted
}

// todo are effects that have been decided on and not acknowledged.
type todo struct {
	markers  bool // to find out what has to be produced again
	produce  bool // the configuration and PortConfigDone
	initDone bool // PortInitDone
}

// gate holds the writes of a warm start back until it can compare.
type gate struct {
	gated        bool
	gateDue      bool // the gate is to be opened as soon as there is a connection
	gateOpenedAt int64
}

// records is the handing over of the ports to the Recorder.
type records struct {
	at   int64 // when they are handed over; never if they have not changed
	last int64 // when they were last
}

// recheck is when the rows of ports are looked at again that no message tells of.
type recheck struct {
	at    int64
	pause backoff.Backoff
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
	missingAfter         = 2 * time.Second
	countAfter           = 30 * time.Second
)

// NewLoop makes a loop; Run runs it.
func NewLoop(o Options) *Loop {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With(syslog.ComponentKey, "loop")
	l := &Loop{
		Options: o,
		clock:   newClock(),
		timer:   time.NewTimer(time.Hour),
		reloads: make(chan Settings, 1),
		begun:   make(chan struct{}),
		ready:   make(chan struct{}),
		feedAt:  never,
		ring:    newRing[Event](ringSize),
		state:   NewState(nil),
		redisLink: redisLink{
			sessions: make(chan *session),
			reopen:   backoff.Backoff{Min: sessionPauseMin, Max: sessionPauseMax},
			retry:    backoff.Backoff{Min: retryMin, Max: retryMax},
		},
		handover: handover{lateAt: never, countAt: never},
		absences: newAbsences(),
		dump:     newDumper(),
		audits:   audits{at: never, explainBy: never},
		recheck:  recheck{at: never, pause: backoff.Backoff{Min: reviveMin, Max: reviveMax}},
		initial:  initialSync{eoiuAt: never},
		records:  records{at: never, last: -int64(recordEvery)}, // the first change does not wait
	}
	if l.LateAfter <= 0 {
		l.LateAfter = lateAfter
	}
	if l.MissingAfter <= 0 {
		l.MissingAfter = missingAfter
	}
	l.settled, l.found = l.settle, l.accepted
	l.logger = newEventLog(o.Log, l.clock)
	o.Open.status = o.Status
	o.Status.begin(l.clock)
	l.publishStatus()
	return l
}

// Started is closed once the start's writes are acknowledged: orchagent has the
// configuration, or had it all along.
func (l *Loop) Started() <-chan struct{} { return l.begun }

// Ready is closed once the initial sync is in the databases.
func (l *Loop) Ready() <-chan struct{} { return l.ready }

// Summary says in a few words how the daemon started. It may be called once
// Ready is closed. The service manager shows it until health changes, so it has
// nothing that can change before.
func (l *Loop) Summary() string { return l.decision.Kind.String() + " start, initial sync complete" }

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
	// An exchange that goes on when the process is to end is cut off in time.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainFor, cancel) })()
	r := reader{links: l.Links, ring: l.ring, now: l.clock.now, done: inner.Done(),
		log: l.Log.With(syslog.ComponentKey, "netlink")}
	l.helpers.Go(r.run)
	l.helpers.Go(func() { l.logger.run(inner.Done()) })
	l.reconnect(0)
	l.feed(l.clock.now())

	for ctx.Err() == nil {
		l.turn()
	}
	l.drain()
	l.publishStatus()
	if l.records.at != never {
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
	busy := l.started && l.consume() > 0
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
	l.wait(!busy)
}

// announce tells those who wait for the start or the initial sync, once Status
// says so.
func (l *Loop) announce() {
	if l.started {
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

// consume decides on what is in the ring and reports how much that was.
func (l *Loop) consume() int {
	n := 0
	for ; n < consumeMost; n++ {
		ev := l.ring.peek()
		if ev == nil {
			break
		}
		l.decide(ev)
		l.ring.pop()
	}
	return n
}

// decide carries out what State makes of one event.
func (l *Loop) decide(ev *Event) {
	actions, err := l.state.Step(ev, l.actions[:0])
	l.actions = actions
	if err != nil {
		panic(err) // the loop's own fault: two goroutines inside
	}
	l.Metrics.countEvent(ev)
	if ev.Kind == netlinkraw.DumpDone {
		l.dump.done(l.clock.now())
	}
	l.logger.message(ev, actions)
	for _, a := range actions {
		switch a.Kind {
		case Publish, Delete:
			l.want(a, ev.At)
			if a.Kind == Publish {
				a.Port.pending.messages++
			}
			if l.state.quiet && (ev.Dump || ev.Kind == netlinkraw.DumpDone) {
				l.audits.missed++
			}
		case Ignore:
			l.Metrics.ignored.At(int(a.Ignored)).Inc()
			l.logger.ignored(ev, a.Ignored)
		case Settle:
			l.settleLink(a.Port)
		case Redump:
			l.resync(a.Reason)
		case Synced:
			l.synced()
		case InitDone:
			l.todo.initDone = true
		case Flapped:
			l.Status.ports.flaps.of(a.Port.Name).add(uint64(a.Downs), ev.At)
		case Unread:
			l.logger.unreadable(ev)
		}
	}
}

// want puts an effect into the batch, wanted since a time on the loop's clock.
func (l *Loop) want(a Action, since int64) {
	l.batch.Add(a, since)
	l.state.touch(a.Port)
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
	l.scheduleAudit(l.clock.now())
}

// drain writes what is queued, for at most drainFor.
func (l *Loop) drain() {
	end := l.clock.now() + int64(drainFor)
	for l.started && l.session != nil && l.clock.now() < end {
		n := l.consume()
		l.flush()
		if n == 0 && l.batch.Len() == 0 && !l.todo.initDone {
			return
		}
		if n == 0 {
			time.Sleep(time.Millisecond) // a pause after a refusal; nothing else can come
		}
	}
	if n := l.batch.Len() + l.ring.len(); n > 0 && l.started {
		l.Log.Log(context.Background(), syslog.LevelNotice, "stopped before all rows were written", "ports", l.batch.Len(), "events", l.ring.len())
	}
}
