package switchtest

import (
	"sync"
	"time"
)

// Record is an append-only list, for example of log lines or notifications. One goroutine appends
// items while other goroutines read the list.
type Record[T any] struct {
	mu      sync.Mutex
	items   []T
	changed chan struct{} // closed by the next Add; nil without a waiting reader
}

// Add appends an item.
func (r *Record[T]) Add(item T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, item)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Len returns the current number of items, which can be passed to From and Await.
func (r *Record[T]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.items)
}

// From returns the items after the first n, and a channel that is closed when an item is added.
func (r *Record[T]) From(n int) ([]T, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.items[n:len(r.items):len(r.items)], r.changed
}

// Await waits for an item that satisfies cond and returns it. It ignores the first n items. ok is
// false if no such item was added within limit.
func (r *Record[T]) Await(n int, limit time.Duration, cond func(T) bool) (item T, ok bool) {
	watch := StartStopwatch()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		items, changed := r.From(n)
		for _, item := range items {
			if cond(item) {
				return item, true
			}
		}
		n += len(items)
		select {
		case <-changed:
		case <-timer.C:
			left := watch.Left(limit)
			if left <= 0 {
				return item, false
			}
			timer.Reset(left)
		}
	}
}
