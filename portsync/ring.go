package portsync

import "sync/atomic"

// ring hands values from one goroutine to another, such as events from the reader
// to the loop: one producer, one consumer, no lock. It is a power-of-two array with two counters that only
// grow; each side writes one of them and reads the other, so a release store
// and an acquire load (all that sync/atomic offers is stronger) order the slots.
//
// When the ring is full the producer waits and the kernel's socket buffer is
// the next queue: loss then shows as ENOBUFS, the one sign there is, and has
// the one remedy there is, a resync.
//
// The channels carry no data. Each holds at most one token that says "look
// again", and is touched only when the other side went to sleep.
type ring[T any] struct {
	slots []T
	mask  uint64

	_      [56]byte // the two counters live on cache lines of their own
	head   atomic.Uint64
	_      [56]byte
	tail   atomic.Uint64
	_      [56]byte
	asleep atomic.Bool // the consumer is about to wait on filled
	full   atomic.Bool // the producer is about to wait on drained

	filled  chan struct{}
	drained chan struct{}
}

// newRing makes a ring of size slots; size must be a power of two.
func newRing[T any](size int) *ring[T] {
	if size <= 0 || size&(size-1) != 0 {
		panic("portsync: ring size is not a power of two")
	}
	return &ring[T]{
		slots:   make([]T, size),
		mask:    uint64(size - 1),
		filled:  make(chan struct{}, 1),
		drained: make(chan struct{}, 1),
	}
}

// slot returns the next free slot for the producer to fill, or nil if the ring
// is full. The slot is the consumer's once push is called.
func (r *ring[T]) slot() *T {
	tail := r.tail.Load()
	if tail-r.head.Load() == uint64(len(r.slots)) {
		return nil
	}
	return &r.slots[tail&r.mask]
}

// push hands over the slot that slot returned.
func (r *ring[T]) push() { r.tail.Store(r.tail.Load() + 1) }

// wake rouses the consumer if it sleeps. The producer calls it once for each
// group of pushes.
func (r *ring[T]) wake() {
	if r.asleep.Load() && r.asleep.CompareAndSwap(true, false) {
		signal(r.filled)
	}
}

// waitRoom blocks the producer until there is a free slot or done is closed,
// and reports whether there is one.
func (r *ring[T]) waitRoom(done <-chan struct{}) bool {
	for {
		r.full.Store(true)
		if r.slot() != nil {
			r.full.Store(false)
			return true
		}
		r.wake()
		select {
		case <-r.drained:
		case <-done:
			return false
		}
	}
}

// peek returns the oldest event, or nil if there is none. It stays valid until
// pop.
func (r *ring[T]) peek() *T {
	head := r.head.Load()
	if head == r.tail.Load() {
		return nil
	}
	return &r.slots[head&r.mask]
}

// pop gives the slot of the last peek back to the producer.
func (r *ring[T]) pop() {
	r.head.Store(r.head.Load() + 1)
	// Half a ring of room before the producer is roused: waking it for each
	// slot would turn a full ring into a switch of goroutines per event.
	if r.full.Load() && r.len() <= len(r.slots)/2 && r.full.CompareAndSwap(true, false) {
		signal(r.drained)
	}
}

// sleep announces that the consumer will wait on filled and reports whether it
// may: false means that events came in meanwhile.
func (r *ring[T]) sleep() bool {
	r.asleep.Store(true)
	if r.peek() == nil {
		return true
	}
	r.asleep.Store(false)
	return false
}

// awake takes the announcement of sleep back after another wake-up.
func (r *ring[T]) awake() { r.asleep.Store(false) }

// len is the number of events in the ring; exact for neither side while the
// other moves.
func (r *ring[T]) len() int { return int(r.tail.Load() - r.head.Load()) }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
