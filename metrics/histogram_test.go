package metrics

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
)

func mustHistogram(t *testing.T, bounds ...float64) *Histogram {
	t.Helper()
	h, err := newHistogram(bounds)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHistogramBuckets(t *testing.T) {
	f := func(v float64, want ...uint64) {
		t.Helper()
		h := mustHistogram(t, -1, 0, 2.5)
		h.Observe(v)
		if got, _ := h.Read(nil); !slices.Equal(got, want) {
			t.Errorf("observing %v fills buckets %v, want %v", v, got, want)
		}
	}
	f(math.Inf(-1), 1, 0, 0, 0)
	f(-1, 1, 0, 0, 0)
	f(-0.5, 0, 1, 0, 0)
	f(0, 0, 1, 0, 0)
	f(2.5, 0, 0, 1, 0)
	f(math.Nextafter(2.5, 3), 0, 0, 0, 1)
	f(math.Inf(1), 0, 0, 0, 1)
	f(math.NaN(), 0, 0, 0, 0)
}

func TestHistogramRestore(t *testing.T) {
	h := mustHistogram(t, 1, 2)
	h.Observe(0.5)
	h.Observe(5)
	counts, sum := h.Read(nil)

	next := mustHistogram(t, 1, 2)
	next.Observe(1) // replaced
	if err := next.Restore(counts, sum); err != nil {
		t.Fatal(err)
	}
	next.Observe(1.5)
	gotCounts, gotSum := next.Read(nil)
	if want := []uint64{1, 1, 1}; !slices.Equal(gotCounts, want) || gotSum != 7 {
		t.Errorf("after restore and one more: %v sum %v, want %v sum 7", gotCounts, gotSum, want)
	}
	if err := next.Restore([]uint64{1}, 1); err == nil {
		t.Error("restored a histogram with other buckets")
	}
	if gotCounts, _ := next.Read(nil); !slices.Equal(gotCounts, []uint64{1, 1, 1}) {
		t.Errorf("a failed restore left %v", gotCounts)
	}
}

// Every observation is 1, so the sum of a consistent reading is its count.
func TestHistogramReadsAreConsistent(t *testing.T) {
	h := mustHistogram(t, 0.5, 1, 2)
	const writers, each = 4, 5000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range each {
				h.Observe(1)
				if i%64 == 0 {
					runtime.Gosched() // events have pauses, too
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()

	var counts []uint64
	var last uint64
	consistentReadings := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		var sum float64
		var consistent bool
		counts, sum, consistent = h.readOnce(counts)
		total := uint64(0)
		for _, n := range counts {
			total += n
		}
		if total < last {
			t.Fatalf("count went from %d to %d", last, total)
		}
		last = total
		if consistent {
			consistentReadings++
			if sum != float64(total) {
				t.Fatalf("sum %v of %d observations of 1", sum, total)
			}
		} else if !running {
			t.Fatal("no consistent reading after all writers have ended")
		}
	}
	if last != writers*each {
		t.Errorf("%d observations counted, want %d", last, writers*each)
	}
	t.Logf("%d consistent readings", consistentReadings)
}

// The proof in Histogram's comment, step by step: a reading that falls between
// the steps of an observation is not taken for a consistent one.
func TestHistogramReadNoticesObservation(t *testing.T) {
	h := mustHistogram(t, 1)
	h.Observe(1)

	h.started.Add(1) // an observation of 1 begins
	if _, _, consistent := h.readOnce(nil); consistent {
		t.Error("reading taken as consistent after started, before sum")
	}
	addFloat(&h.sum, 1)
	if _, _, consistent := h.readOnce(nil); consistent {
		t.Error("reading taken as consistent after sum, before bucket")
	}
	h.buckets[0].Add(1)
	counts, sum, consistent := h.readOnce(nil)
	if !consistent || counts[0] != 2 || sum != 2 {
		t.Errorf("read %v, sum %v, consistent: %v; want 2, 2 and true", counts, sum, consistent)
	}
}
