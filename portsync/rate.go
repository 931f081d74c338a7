package portsync

import (
	"math"
	"sync/atomic"
	"time"
)

// failureRate counts exchanges with the databases, and those that failed, over
// the last minute: six buckets of ten seconds, the oldest of which is being
// replaced. The loop adds, anyone reads.
type failureRate struct {
	buckets [rateBuckets]struct {
		slot             atomic.Int64 // which ten seconds it counts
		attempts, failed atomic.Int64
	}
}

const (
	rateBuckets = 6
	rateSlot    = 10 * time.Second
)

// add notes one exchange at a time on the loop's clock.
func (f *failureRate) add(failed bool, now int64) {
	slot := now / int64(rateSlot)
	b := &f.buckets[slot%rateBuckets]
	if b.slot.Load() != slot {
		b.attempts.Store(0)
		b.failed.Store(0)
		b.slot.Store(slot)
	}
	b.attempts.Add(1)
	if failed {
		b.failed.Add(1)
	}
}

// recent returns what was counted in the last minute.
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

// wilsonLower is the lower bound of the Wilson score interval at 95 % (Wilson,
// "Probable inference, the law of succession, and statistical inference", JASA
// 22, 1927): what the true rate is at least, few samples or many.
func wilsonLower(failed, attempts int64) float64 {
	if attempts == 0 {
		return 0
	}
	const z = 1.959964
	n, p := float64(attempts), float64(failed)/float64(attempts)
	centre := p + z*z/(2*n)
	spread := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, (centre-spread)/(1+z*z/n))
}
