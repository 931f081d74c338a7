package switchtest

import (
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what has no limit of its own.
const Timeout = 10 * time.Second

// Record is an append-only list, filled by one goroutine and looked at by
// others: log lines, notifications, commands seen by MONITOR.
type Record[T any] struct {
	mu      sync.Mutex
	items   []T
	changed chan struct{} // closed by the next add; nil if nobody waits
}

func (r *Record[T]) Add(item T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, item)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Len is a mark for from.
func (r *Record[T]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.items)
}

// From returns what follows the first n items, and a channel that is closed
// when there is more.
func (r *Record[T]) From(n int) ([]T, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.items[n:len(r.items):len(r.items)], r.changed
}

// Await waits until an item after the first n satisfies cond and returns it.
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

// Eventually looks again and again until check returns "", and returns how long
// that took; the test fails with its last answer if it takes longer than limit.
func Eventually(t *testing.T, limit time.Duration, check func() string) time.Duration {
	t.Helper()
	watch := StartStopwatch()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := check()
		took := time.Since(watch.Begin)
		if problem == "" {
			return took
		}
		if watch.Left(limit) <= 0 {
			t.Fatalf("not within %v: %s", limit, problem)
		}
		<-tick.C
	}
}

// Throughout fails the test if check returns anything but "" for a while.
func Consistently(t *testing.T, while time.Duration, check func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(while); time.Now().Before(end); <-tick.C {
		if problem := check(); problem != "" {
			t.Fatal(problem)
		}
	}
}
