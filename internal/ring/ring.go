// Package ring passes values from one goroutine to another without locks and allocations.
package ring

import (
	"sync/atomic"
	"time"
)

// Ring is a bounded queue with one producer goroutine and one consumer goroutine. The producer
// calls Slot, Push and Wake. The consumer calls Peek, Pop, Sleep and Awake. None of these methods
// blocks, takes a lock or allocates. A producer that may block can call WaitRoom. A consumer that need
// not process values at once can call Gather.
//
// A Ring stores its values in an array whose size is a power of two. It has two counters that only
// increase: tail, which the producer writes, and head, which the consumer writes. Each side stores its
// own counter and loads the other one atomically, which orders their accesses to the values.
type Ring[T any] struct {
	slots []T
	mask  uint64

	_      [56]byte // each counter has a cache line of its own
	head   atomic.Uint64
	_      [56]byte
	tail   atomic.Uint64
	first  atomic.Uint64 // the counter whose element is in the first slot; set by the producer while the ring is empty
	_      [48]byte
	asleep atomic.Bool // the consumer is about to wait for Filled
	full   atomic.Bool // the producer is about to wait for drained
	// gathers is set while the consumer is in Gather and must be woken when the ring is a quarter full.
	gathers atomic.Bool

	filled  chan struct{}
	drained chan struct{}
}

// New returns an empty ring with size slots. It panics if size is not a power of two.
func New[T any](size int) *Ring[T] {
	if size <= 0 || size&(size-1) != 0 {
		panic("ring: size is not a power of two")
	}
	return &Ring[T]{
		slots:   make([]T, size),
		mask:    uint64(size - 1),
		filled:  make(chan struct{}, 1),
		drained: make(chan struct{}, 1),
	}
}

// Slot returns the next free slot for the producer to fill, or nil if the ring is full. Push passes
// the slot to the consumer. The slot is valid until the next call of Slot.
func (r *Ring[T]) Slot() *T {
	tail := r.tail.Load()
	switch tail - r.head.Load() {
	case 0:
		r.first.Store(tail)
	case uint64(len(r.slots)):
		return nil
	}
	return r.slot(tail)
}

// slot returns the slot of the element with the given counter. The consumer calls it only while the ring
// is not empty, when first does not change.
func (r *Ring[T]) slot(counter uint64) *T { return &r.slots[(counter-r.first.Load())&r.mask] }

// Push passes the slot returned by Slot to the consumer.
func (r *Ring[T]) Push() { r.tail.Store(r.tail.Load() + 1) }

// Wake wakes the consumer if it is sleeping, or if it is in Gather and the ring is a quarter full. The
// producer calls it once after a series of pushes.
func (r *Ring[T]) Wake() {
	switch {
	case r.asleep.Load():
		if r.asleep.CompareAndSwap(true, false) {
			signal(r.filled)
		}
	case r.gathers.Load() && r.many() && r.gathers.CompareAndSwap(true, false):
		signal(r.filled)
	}
}

// many reports whether the ring is a quarter full.
func (r *Ring[T]) many() bool { return r.Len() >= len(r.slots)/4 }

// WaitRoom blocks the producer until the ring has a free slot or done is closed. It reports whether
// there is a free slot.
func (r *Ring[T]) WaitRoom(done <-chan struct{}) bool {
	for {
		r.full.Store(true)
		if r.Slot() != nil {
			r.full.Store(false)
			return true
		}
		r.Wake()
		select {
		case <-r.drained:
		case <-done:
			return false
		}
	}
}

// Peek returns the oldest value, or nil if the ring is empty. The value remains valid until Pop.
func (r *Ring[T]) Peek() *T {
	head := r.head.Load()
	if head == r.tail.Load() {
		return nil
	}
	return r.slot(head)
}

// Pop frees the slot returned by the last Peek. It wakes a producer in WaitRoom only when half of
// the ring is free, because waking it for each slot would cause a goroutine switch for each value.
func (r *Ring[T]) Pop() {
	r.head.Store(r.head.Load() + 1)
	if r.full.Load() && r.Len() <= len(r.slots)/2 && r.full.CompareAndSwap(true, false) {
		signal(r.drained)
	}
}

// Sleep announces that the consumer is about to wait for Filled. If the ring is not empty, it
// returns false and the consumer must not wait.
func (r *Ring[T]) Sleep() bool {
	r.asleep.Store(true)
	if r.Peek() == nil {
		return true
	}
	r.asleep.Store(false)
	return false
}

// Awake ends the sleep that Sleep announced, so that Wake sends no signal. The consumer calls it after
// something other than Filled woke it.
func (r *Ring[T]) Awake() { r.asleep.Store(false) }

// Gather blocks the consumer until timer expires, the ring is a quarter full, or done is closed. The
// consumer calls it after it was woken, to process the values of several calls of Wake together.
func (r *Ring[T]) Gather(timer *time.Timer, done <-chan struct{}) {
	r.gathers.Store(true)
	if !r.many() {
		select {
		case <-timer.C:
		case <-r.filled:
		case <-done:
		}
	}
	r.gathers.Store(false)
	select {
	case <-r.filled: // Wake was called at the same time
	default:
	}
}

// Filled returns the channel on which Wake signals the consumer.
func (r *Ring[T]) Filled() <-chan struct{} { return r.filled }

// Len returns the number of values in the ring. The number may be outdated, because the other side
// continues to run. Any goroutine may call Len. If it is neither the consumer nor the producer, the
// result can be negative: the consumer may pop values that are pushed during the call.
func (r *Ring[T]) Len() int { return int(r.tail.Load() - r.head.Load()) }

// signal sends to c, which has a capacity of 1, unless c is full.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
