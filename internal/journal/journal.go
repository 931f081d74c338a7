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

// never is a time on the loop's clock that does not come.
const never = int64(1<<63 - 1)

// Options of a Journal.
type Options struct {
	Dir    string            // absolute path of the storage directory; "" to keep events in memory only
	Lock   *snapshot.DirLock // of the directory; nil: the directory is not locked
	BootID string            // of this boot; "" if it is not known
	Base   time.Time         // when the loop's clock was 0; with a monotonic reading
	Log    *slog.Logger      // nil: nothing is logged
	// Troubled is called with what prevents the journal from being written, and with "" when it is
	// written again. It must not wait. It may be nil.
	Troubled func(string)
	FS       snapshot.FS      // nil means that of the machine
	Now      func() time.Time // nil means time.Now
	Settings
}

// daemonQueue is how many events of the daemon can wait for the writer.
const daemonQueue = 256

// Journal records events. New makes one; Run writes it.
type Journal struct {
	source  Source
	daemon  chan daemonEvent
	dropped atomic.Uint64 // events for which daemon had no room
	reloads chan Settings
	memory  memory
	moments moments

	// The fields below belong to Run.
	store   store
	boot    string
	ports   ports
	total   bucket
	open    map[*stream]struct{} // streams that merge
	openDue int64                // no merged event is due before this
	kinds   map[Kind]*stream     // of daemon events
	waiting []daemonEvent        // taken from daemon, oldest first
	seq     uint64               // of the newest event
	clock   time.Duration        // system clock less loop's clock, as last seen
	clockAt int64                // when; 0: not yet
}

// daemonEvent is an event of the daemon and its time on the loop's clock.
type daemonEvent struct {
	Event
	at int64
}

// New returns a journal. It reads no file; Run does.
func New(o Options) *Journal {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Troubled == nil {
		o.Troubled = func(string) {}
	}
	j := &Journal{
		source:  Source{ring: ring.New[record](ringSize)},
		daemon:  make(chan daemonEvent, daemonQueue),
		reloads: make(chan Settings, 1),
		moments: moments{base: o.Base, now: o.Now},
		boot:    o.BootID,
		open:    make(map[*stream]struct{}),
		kinds:   make(map[Kind]*stream),
		openDue: never,
	}
	j.store.open(&o)
	return j
}

// Base returns when the loop's clock was 0.
func (j *Journal) Base() time.Time { return j.moments.base }

// Source returns the way for the states of ports. Its methods belong to one goroutine.
func (j *Journal) Source() *Source { return &j.source }

// Add records an event of the daemon, with the present time. It may be called from any goroutine
// and never waits.
func (j *Journal) Add(e Event) {
	select {
	case j.daemon <- daemonEvent{e, j.moments.reading()}:
	default:
		j.dropped.Add(1)
	}
}

// Restore sets the state that a port had when an earlier process in the same boot last recorded it.
// It is called before Run. States in the journal are newer and take its place.
func (j *Journal) Restore(name string, state PortState) { j.ports.restore(name, state) }

// Reload hands new settings over. It may be called from one goroutine.
func (j *Journal) Reload(s Settings) {
	select {
	case <-j.reloads: // a setting that was not taken yet is out of date
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

// gatherFor is how long the writer waits for further events after the first one wakes it, so that
// a storm wakes it fifty times in a second at most.
const gatherFor = 20 * time.Millisecond

// Run records events until ctx ends, and then writes those that are left. It owns the files.
func (j *Journal) Run(ctx context.Context) {
	j.load()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		j.work()
		j.wait(ctx, timer)
		if ctx.Err() != nil {
			j.finish()
			return
		}
		timer.Reset(gatherFor)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// wait waits until there is something to do.
func (j *Journal) wait(ctx context.Context, timer *time.Timer) {
	if !j.source.ring.Sleep() {
		return
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
	case e := <-j.daemon:
		j.waiting = append(j.waiting, e)
	case s := <-j.reloads:
		j.store.configure(s)
	}
}

// due returns when work has something to do, if nothing else happens.
func (j *Journal) due() int64 {
	return min(j.store.due(), j.openDue)
}

// work records what has happened, and writes the events if it is time.
func (j *Journal) work() {
	now := j.moments.reading()
	j.checkClock(now)
	j.take()
	j.closeStreams(now, false)
	if now >= j.store.due() {
		j.write(now)
	}
}

// take takes the states and the events of the daemon in the order of their times.
func (j *Journal) take() {
	for more := true; more; {
		select {
		case e := <-j.daemon:
			j.waiting = append(j.waiting, e)
		default:
			more = false
		}
	}
	// The two sides are bounded, so that a producer that never pauses does not keep the writer here.
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
		j.offerDaemon(Event{Kind: Dropped, Count: n, Reason: "too many events of the daemon at once"}, j.moments.reading())
	}
	if n := j.ports.lost; n > 0 {
		j.ports.lost = 0
		j.offerDaemon(Event{Kind: Dropped, Count: n, Reason: "too many names of ports"}, j.moments.reading())
	}
}

// takeDaemon takes the oldest waiting event of the daemon.
func (j *Journal) takeDaemon() {
	e := j.waiting[0]
	j.waiting = append(j.waiting[:0], j.waiting[1:]...)
	j.offerDaemon(e.Event, e.at)
}

// offerDaemon records an event of the daemon, or merges it with others of its kind.
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

// takePort takes one record of the ring.
func (j *Journal) takePort(r *record) {
	if r.kind == recordSynced {
		j.ports.complete(func(p *port, events []Event) { j.offerAll(p, events, r.At) })
		return
	}
	p, events := j.ports.update(r)
	j.offerAll(p, events, r.At)
}

func (j *Journal) offerAll(p *port, events []Event, at int64) {
	for i := range events {
		events[i].Time = j.moments.wall(at)
		j.offer(&p.stream, &events[i], at)
	}
}

// offer records an event, or merges it if its stream has too many.
func (j *Journal) offer(s *stream, e *Event, at int64) {
	if s.offer(e, at, &j.total) {
		j.record(e)
		return
	}
	j.open[s] = struct{}{}
	j.openDue = min(j.openDue, s.due())
}

// closeStreams records the merged events whose time has come, or all of them.
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
		if all && !some && s.count > 0 { // the end of the process is no time to save bytes
			e, some = s.merged(), true
		}
		if some {
			j.record(&e)
		}
		if !s.merging {
			delete(j.open, s)
			j.ports.full = false
		} else {
			j.openDue = min(j.openDue, s.due())
		}
	}
}

// record gives an event its number and adds it to memory and to the pending ones.
func (j *Journal) record(e *Event) {
	j.seq++
	e.Seq = j.seq
	j.memory.add(e)
	j.store.add(e, j.moments.reading())
}

// write writes the pending events. If another process had the directory until now, the numbers
// continue after those of its events.
func (j *Journal) write(now int64) {
	refused := j.store.refused
	j.store.write(now)
	if refused && !j.store.refused {
		j.seq = max(j.seq, j.store.newestSeq())
	}
}

// finish records and writes what is left at the end of the process.
func (j *Journal) finish() {
	j.take()
	now := j.moments.reading()
	j.closeStreams(now, true)
	j.write(now)
}

// minStep is the smallest step of the system clock that is recorded. Smaller ones, and a clock that
// runs faster or slower for a while, are how NTP keeps time.
const minStep = time.Second

// checkClock records that the system clock was set.
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

// load reads the newest stored events into memory and continues their numbers. It takes the states
// of the ports from them if they are of this boot; another boot has other interfaces.
func (j *Journal) load() {
	states, sameBoot := make(map[string]PortState), false
	older := j.store.load(func(e *Event) {
		j.seq = max(j.seq, e.Seq)
		j.memory.add(e)
		if e.Kind == Start {
			sameBoot = e.Boot != "" && e.Boot == j.boot
			if !sameBoot {
				clear(states)
			}
		}
		replay(states, e)
	})
	if older {
		j.memory.olderStored()
	}
	if !sameBoot {
		return
	}
	for name, state := range states {
		j.ports.restore(name, state)
	}
}
