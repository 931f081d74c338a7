package journal

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"portsyncd/internal/ring"
	"portsyncd/internal/snapshot"
)

// never is a reading of the loop's clock that is never reached.
const never = int64(1<<63 - 1)

// Options configures a Journal.
type Options struct {
	Dir    string            // absolute path of the storage directory; "" to keep events in memory only
	Lock   *snapshot.DirLock // of the directory; nil: the directory is not locked
	BootID func() string     // returns the ID of this boot, or "" if unknown; called by Run. nil: unknown
	Base   time.Time         // when the loop's clock was 0; with a monotonic reading
	Log    *slog.Logger      // nil: nothing is logged
	// Troubled is called with the error when writing the journal starts to fail, and with nil when it
	// succeeds again. It must not block. It may be nil.
	Troubled func(error)
	// Recorded is called by Run with each event that it records. It must not keep the event, and
	// must return soon. It may be nil.
	Recorded func(*Event)
	FS       snapshot.FS      // nil means that of the machine
	Now      func() time.Time // nil means time.Now
	Settings
}

// daemonQueue is the maximum number of daemon events queued for the writer.
const daemonQueue = 256

// Journal records events. It is created by New and run by Run.
type Journal struct {
	source  Source
	daemon  chan daemonEvent
	dropped atomic.Uint64 // events dropped because daemon was full
	reloads chan Settings
	changes chan map[string]time.Time
	memory  memory
	moments moments

	// The following fields belong to Run.
	store    store
	recorded func(*Event)
	bootID   func() string
	boot     string
	ports    ports
	total    bucket
	open     map[*stream]struct{} // streams that are merging events
	openDue  int64                // no merged event is due earlier
	kinds    map[Kind]*stream     // of daemon events
	waiting  []daemonEvent        // taken from daemon, oldest first
	seq      uint64               // of the newest event
	clock    time.Duration        // system clock less loop's clock, as last seen
	clockAt  int64                // when; 0: not yet
}

// daemonEvent is a daemon event and its time on the loop's clock.
type daemonEvent struct {
	Event
	at int64
}

// New returns a journal. It does not read files; Run does.
func New(o Options) *Journal {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Troubled == nil {
		o.Troubled = func(error) {}
	}
	if o.BootID == nil {
		o.BootID = func() string { return "" }
	}
	if o.Recorded == nil {
		o.Recorded = func(*Event) {}
	}
	j := &Journal{
		source:   Source{ring: ring.New[record](ringSize)},
		daemon:   make(chan daemonEvent, daemonQueue),
		reloads:  make(chan Settings, 1),
		changes:  make(chan map[string]time.Time, 1),
		moments:  moments{base: o.Base, now: o.Now},
		recorded: o.Recorded,
		bootID:   o.BootID,
		open:     make(map[*stream]struct{}),
		kinds:    make(map[Kind]*stream),
		openDue:  never,
	}
	j.store.open(&o)
	return j
}

// Base returns the time at which the loop's clock was 0.
func (j *Journal) Base() time.Time { return j.moments.base }

// Source returns the source through which the event loop publishes port states. Its methods must be
// called by one goroutine.
func (j *Journal) Source() *Source { return &j.source }

// Changes returns a channel that delivers one map when the initial dump of links and the stored events
// have been compared. It holds the time of the last change of each port, by name, as far as events of
// this boot record it. If a port changed while no daemon was running, that is the time when the change
// was found. The receiver owns the map.
func (j *Journal) Changes() <-chan map[string]time.Time { return j.changes }

// Add records a daemon event with the current time. It may be called from any goroutine and never
// blocks.
func (j *Journal) Add(e Event) {
	select {
	case j.daemon <- daemonEvent{e, j.moments.reading()}:
	default:
		j.dropped.Add(1)
	}
}

// Begin records the start of the process with the time at which the loop's clock was 0. It must be
// called before Run, and may be called after Add.
func (j *Journal) Begin(e Event) { j.waiting = append([]daemonEvent{{e, 0}}, j.waiting...) }

// Restore sets the state that an earlier process in the same boot last recorded for a port. It must
// be called before Run. Newer states in the journal override it.
func (j *Journal) Restore(name string, state PortState) { j.ports.restore(name, state) }

// Reload applies new settings. It must be called by one goroutine.
func (j *Journal) Reload(s Settings) {
	select {
	case <-j.reloads: // discard settings that have not been applied
	default:
	}
	j.reloads <- s
}

// Query returns the events in memory that f selects, oldest first. It may be called from any
// goroutine.
func (j *Journal) Query(f *Filter, process time.Time) *Document {
	d := &Document{Time: millis(j.moments.now()), Process: process}
	d.Events, d.Complete, d.LastSeq = j.memory.query(f)
	return d
}

// GatherFor is how long the writer waits for more events after it was woken, unless the ring is already
// a quarter full. It limits the writer to fifty wake-ups per second. The writer of the log lines about
// link messages waits for the same time, so that both wake up together.
const GatherFor = 20 * time.Millisecond

// Run records events until ctx ends, then writes the remaining events. It owns the files.
func (j *Journal) Run(ctx context.Context) {
	j.load()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		j.work()
		gather := j.wait(ctx, timer)
		if ctx.Err() != nil {
			j.finish()
			return
		}
		if !gather {
			continue
		}
		timer.Reset(GatherFor)
		j.source.ring.Gather(timer, ctx.Done())
	}
}

// wait blocks until there is work for the writer. It returns false if scheduled work is due, which need
// not wait for more events.
func (j *Journal) wait(ctx context.Context, timer *time.Timer) (gather bool) {
	if !j.source.ring.Sleep() {
		return true
	}
	defer j.source.ring.Awake()
	if due := j.due(); due == never {
		timer.Stop()
	} else {
		timer.Reset(max(0, time.Duration(due-j.moments.reading())))
	}
	select {
	case <-ctx.Done():
	case <-j.source.ring.Filled():
	case <-timer.C:
		return false
	case e := <-j.daemon:
		j.waiting = append(j.waiting, e)
	case s := <-j.reloads:
		j.store.configure(s)
	}
	return true
}

// due returns the time of the next scheduled work.
func (j *Journal) due() int64 {
	return min(j.store.due(), j.openDue)
}

// work records new events in memory and writes the events that are due to the files.
func (j *Journal) work() {
	now := j.moments.reading()
	j.checkClock(now)
	j.take()
	j.closeStreams(now, false)
	if now >= j.store.due() {
		j.write(now)
	}
}

// take processes all queued port states and daemon events in chronological order.
func (j *Journal) take() {
	for more := true; more; {
		select {
		case e := <-j.daemon:
			j.waiting = append(j.waiting, e)
		default:
			more = false
		}
	}
	// The loop is bounded, so that a continuous producer cannot keep the writer here.
	for range ringSize {
		r := j.source.ring.Peek()
		if r == nil {
			break
		}
		for len(j.waiting) > 0 && j.waiting[0].at <= r.At {
			j.takeDaemon()
		}
		j.takePort(r)
		j.source.ring.Pop()
	}
	for len(j.waiting) > 0 {
		j.takeDaemon()
	}
	if n := j.dropped.Swap(0); n > 0 {
		j.offerDaemon(Event{Kind: Dropped, Count: n, Reason: "too many daemon events at once"}, j.moments.reading())
	}
	if n := j.ports.lost; n > 0 {
		j.ports.lost = 0
		j.offerDaemon(Event{Kind: Dropped, Count: n, Reason: "too many port names"}, j.moments.reading())
	}
}

// takeDaemon removes the oldest daemon event from the queue and records it.
func (j *Journal) takeDaemon() {
	e := j.waiting[0]
	j.waiting = append(j.waiting[:0], j.waiting[1:]...)
	j.offerDaemon(e.Event, e.at)
}

// offerDaemon records a daemon event or merges it with others of its kind.
func (j *Journal) offerDaemon(e Event, at int64) {
	s := j.kinds[e.Kind]
	if s == nil {
		s = &stream{}
		j.kinds[e.Kind] = s
	}
	if e.Kind == Start {
		e.Boot = j.boot
	}
	e.Time = j.moments.wall(at)
	j.offer(s, &e, at)
}

// takePort processes one record of the ring.
func (j *Journal) takePort(r *record) {
	if r.kind == recordSynced {
		if j.ports.synced {
			return
		}
		j.ports.complete(func(p *port, events []Event) { j.offerAll(p, events, r.At) })
		j.changes <- j.ports.changes() // does not block: there is only one
		return
	}
	p, events := j.ports.update(r)
	j.offerAll(p, events, r.At)
}

func (j *Journal) offerAll(p *port, events []Event, at int64) {
	for i := range events {
		events[i].Time = j.moments.wall(at)
		p.changed = events[i].Time
		j.offer(&p.stream, &events[i], at)
	}
}

// offer records an event. If the event's stream has too many events, offer merges it instead.
func (j *Journal) offer(s *stream, e *Event, at int64) {
	if s.offer(e, at, &j.total) {
		j.record(e)
		return
	}
	j.open[s] = struct{}{}
	j.openDue = min(j.openDue, s.due())
}

// closeStreams records the merged events that are due, or all of them if all is set.
func (j *Journal) closeStreams(now int64, all bool) {
	if !all && now < j.openDue {
		return
	}
	j.openDue = never
	for s := range j.open {
		if due := s.due(); !all && now < due {
			j.openDue = min(j.openDue, due)
			continue
		}
		e, some := s.close(now, &j.total)
		if all && !some && s.merging() && s.count > 0 { // the end of the process is no time to save bytes
			e, some = s.merged(), true
		}
		if some {
			j.record(&e)
		}
		if !s.merging() {
			delete(j.open, s)
			j.ports.full = false
		} else {
			j.openDue = min(j.openDue, s.due())
		}
	}
}

// record assigns a sequence number to an event and adds it to the memory and to the events to be
// written.
func (j *Journal) record(e *Event) {
	j.seq++
	e.Seq = j.seq
	j.memory.add(e)
	j.store.add(e, j.moments.reading())
	j.recorded(e)
}

// write writes the pending events. If another process has released the directory, numbering
// continues after that process's events.
func (j *Journal) write(now int64) {
	refused := j.store.refused
	j.store.write(now)
	if refused && !j.store.refused {
		j.seq = max(j.seq, j.store.newestSeq())
	}
}

// finish records and writes the remaining events before the process ends.
func (j *Journal) finish() {
	j.take()
	now := j.moments.reading()
	j.closeStreams(now, true)
	j.write(now)
}

// minStep is the smallest step of the system clock that is recorded. Smaller steps and gradual
// adjustments are normal with NTP.
const minStep = time.Second

// checkClock records an event if the system clock was set.
func (j *Journal) checkClock(now int64) {
	clock := j.moments.wall(now).Sub(j.moments.base.Round(0)) - time.Duration(now)
	step := clock - j.clock
	elapsed := time.Duration(now - j.clockAt)
	if j.clockAt != 0 && step.Abs() > minStep+elapsed/1000 {
		way := "forward"
		if step < 0 {
			way = "back"
		}
		j.offerDaemon(Event{Kind: Clock, Reason: "set " + way + " by " + step.Abs().Round(time.Millisecond).String()}, now)
	}
	j.clock, j.clockAt = clock, max(now, 1)
}

// load reads the newest stored events into memory and continues their sequence numbers. It restores
// the port states from events of the current boot; after a reboot the interfaces are new.
func (j *Journal) load() {
	j.boot = j.bootID()
	states, changed, sameBoot := make(map[string]PortState), make(map[string]time.Time), false
	older := j.store.load(func(e *Event) {
		j.seq = max(j.seq, e.Seq)
		j.memory.add(e)
		if e.Kind == Start {
			sameBoot = e.Boot != "" && e.Boot == j.boot
			if !sameBoot {
				clear(states)
				clear(changed)
			}
		}
		replay(states, e)
		if e.Port != "" {
			changed[e.Port] = e.Time
		}
	})
	if older {
		j.memory.olderStored()
	}
	if !sameBoot {
		return
	}
	for name, state := range states {
		j.ports.restore(name, state)
		if at := changed[name]; !at.IsZero() {
			j.ports.restoreChange(name, at)
		}
	}
}
