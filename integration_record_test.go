package main

import (
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what has no limit of its own.
const patience = 10 * time.Second

// record is an append-only list, filled by one goroutine and looked at by
// others: log lines, notifications, commands seen by MONITOR.
type record[T any] struct {
	mu      sync.Mutex
	items   []T
	changed chan struct{} // closed by the next add; nil if nobody waits
}

func (r *record[T]) add(item T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, item)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// len is a mark for from.
func (r *record[T]) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.items)
}

// from returns what follows the first n items, and a channel that is closed
// when there is more.
func (r *record[T]) from(n int) ([]T, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.items[n:len(r.items):len(r.items)], r.changed
}

// await waits until an item after the first n satisfies cond and returns it.
func (r *record[T]) await(n int, limit time.Duration, cond func(T) bool) (item T, ok bool) {
	watch := startWatch()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		items, changed := r.from(n)
		for _, item := range items {
			if cond(item) {
				return item, true
			}
		}
		n += len(items)
		select {
		case <-changed:
		case <-timer.C:
			left := watch.left(limit)
			if left <= 0 {
				return item, false
			}
			timer.Reset(left)
		}
	}
}

// eventually looks again and again until check returns "", and returns how long
// that took; the test fails with its last answer if it takes longer than limit.
func eventually(t *testing.T, limit time.Duration, check func() string) time.Duration {
	t.Helper()
	watch := startWatch()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := check()
		took := time.Since(watch.begin)
		if problem == "" {
			return took
		}
		if watch.left(limit) <= 0 {
			t.Fatalf("not within %v: %s", limit, problem)
		}
		<-tick.C
	}
}

// throughout fails the test if check returns anything but "" for a while.
func throughout(t *testing.T, while time.Duration, check func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(while); time.Now().Before(end); <-tick.C {
		if problem := check(); problem != "" {
			t.Fatal(problem)
		}
	}
}
