// Package ring passes values from one goroutine to another without locks and without memory
// allocation.
package ring

import "sync/atomic"

// Ring is a bounded queue with one producer and one consumer goroutine. The producer calls Slot,
// Push and Wake; the consumer calls Peek, Pop, Sleep and Awake. None of these methods blocks, takes
// a lock or allocates memory. A producer that can wait for a free slot calls WaitRoom.
//
// The slots form an array whose size is a power of two. Two counters only grow; each side writes
// one of them and reads the other. The atomic store of one side and the atomic load of the other
// order the accesses to the slots.
type Ring[T any] struct {
	slots []T
	mask  uint64

	_      [56]byte // each counter has a cache line of its own
	head   atomic.Uint64
	_      [56]byte
	tail   atomic.Uint64
	_      [56]byte
	asleep atomic.Bool // the consumer is about to wait for Filled
	full   atomic.Bool // the producer is about to wait for drained

	filled  chan struct{}
	drained chan struct{}
}

// New returns an empty ring. It panics unless size is a power of two.
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

// Slot returns the next free slot for the producer to fill, or nil if the ring is full. Push hands
// the slot to the consumer.
func (r *Ring[T]) Slot() *T {
	tail := r.tail.Load()
	if tail-r.head.Load() == uint64(len(r.slots)) {
		return nil
	}
	return &r.slots[tail&r.mask]
}

// Push hands the slot that Slot returned to the consumer.
func (r *Ring[T]) Push() { r.tail.Store(r.tail.Load() + 1) }

// Wake wakes the consumer if it sleeps. The producer calls it once after a group of pushes.
func (r *Ring[T]) Wake() {
	if r.asleep.Load() && r.asleep.CompareAndSwap(true, false) {
		signal(r.filled)
	}
}

// WaitRoom blocks the producer until the ring has a free slot or done is closed, and reports
// whether it has one.
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

// Peek returns the oldest value, or nil if the ring is empty. The value stays valid until Pop.
func (r *Ring[T]) Peek() *T {
	head := r.head.Load()
	if head == r.tail.Load() {
		return nil
	}
	return &r.slots[head&r.mask]
}

// Pop returns the slot of the last Peek to the producer. It wakes a producer in WaitRoom when half
// of the ring is free: waking it for each slot would switch goroutines for each value.
func (r *Ring[T]) Pop() {
	r.head.Store(r.head.Load() + 1)
	if r.full.Load() && r.Len() <= len(r.slots)/2 && r.full.CompareAndSwap(true, false) {
		signal(r.drained)
	}
}

// Sleep announces that the consumer is about to wait for Filled. It returns false if the ring has
// values; then the consumer must not wait.
func (r *Ring[T]) Sleep() bool {
	r.asleep.Store(true)
	if r.Peek() == nil {
		return true
	}
	r.asleep.Store(false)
	return false
}

// Awake withdraws the announcement of Sleep. The consumer calls it after it was woken by something
// other than Filled.
func (r *Ring[T]) Awake() { r.asleep.Store(false) }

// Filled returns the channel that receives an element when Wake wakes the consumer.
func (r *Ring[T]) Filled() <-chan struct{} { return r.filled }

// Len returns the number of values in the ring. The number may be out of date when Len returns,
// because the other side continues.
func (r *Ring[T]) Len() int { return int(r.tail.Load() - r.head.Load()) }

// signal adds the one element that c can hold.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
