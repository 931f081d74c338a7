package portsync

import (
	"sync/atomic"
	"time"
)

// failureRate counts all and failed Redis requests in the last minute (six buckets of
// ten seconds) and since the process started. The loop writes it; any goroutine may read it.
type failureRate struct {
	attempts, failed atomic.Uint64

	buckets [rateBuckets]struct {
		slot             atomic.Int64 // number of the ten-second interval that the bucket counts
		attempts, failed atomic.Int64
	}
}

const (
	rateBuckets = 6
	rateSlot    = 10 * time.Second
)

// add counts one request at now, on the loop's clock.
func (f *failureRate) add(failed bool, now int64) {
	slot := now / int64(rateSlot)
	b := &f.buckets[slot%rateBuckets]
	if b.slot.Load() != slot {
		b.attempts.Store(0)
		b.failed.Store(0)
		b.slot.Store(slot)
	}
	b.attempts.Add(1)
	f.attempts.Add(1)
	if failed {
		f.failed.Add(1)
		b.failed.Add(1)
	}
}

// recent returns the number of failed and attempted Redis requests in the last minute.
func (f *failureRate) recent(now int64) (failed, attempts int64) {
	slot := now / int64(rateSlot)
	for i := range f.buckets {
		if b := &f.buckets[i]; slot-b.slot.Load() < rateBuckets {
			failed += b.failed.Load()
			attempts += b.attempts.Load()
		}
	}
	return failed, attempts
}
