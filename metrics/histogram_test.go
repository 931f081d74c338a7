package metrics

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func mustHistogram(t *testing.T, bounds ...float64) *Histogram {
	t.Helper()
	h, err := newHistogram(bounds)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHistogramBuckets checks in which bucket a value is counted.
func TestHistogramBuckets(t *testing.T) {
	f := func(v float64, want ...uint64) {
		t.Helper()
		h := mustHistogram(t, -1, 0, 2.5)
		h.Observe(v)
		if got, _ := h.Read(nil); !slices.Equal(got, want) {
			t.Errorf("Observe(%v): buckets %v, want %v", v, got, want)
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

// TestHistogramRestore checks that Restore replaces the observations, and that it fails without a
// change for another number of buckets.
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
		t.Errorf("after Restore and Observe: %v sum %v, want %v sum 7", gotCounts, gotSum, want)
	}
	if err := next.Restore([]uint64{1}, 1); err == nil {
		t.Error("Restore accepted another number of buckets")
	}
	if gotCounts, _ := next.Read(nil); !slices.Equal(gotCounts, []uint64{1, 1, 1}) {
		t.Errorf("counts after a failed Restore: %v", gotCounts)
	}
}

// TestHistogramReadsAreConsistent observes only the value 1 from several goroutines, and checks
// that a consistent reading has a sum equal to its count.
func TestHistogramReadsAreConsistent(t *testing.T) {
	h := mustHistogram(t, 0.5, 1, 2)
	const writers, each = 4, 5000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range each {
				h.Observe(1)
				if i%64 == 0 {
					runtime.Gosched() // let a reader find a moment without an observation
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

// TestHistogramReadNoticesObservation checks that readOnce reports a reading between the steps of
// an observation as inconsistent.
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

// TestReadWaitsForObservation checks that a reader yields to an interrupted observation and then
// returns its sum and its bucket.
func TestReadWaitsForObservation(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the writer runs only when the reader yields
	for range 100 {
		h := mustHistogram(t, 1)
		h.started.Add(1)
		addFloat(&h.sum, 1)
		done := make(chan struct{})
		go func() { h.buckets[0].Add(1); close(done) }()
		if counts, sum := h.Read(nil); counts[0] != 1 || sum != 1 {
			t.Fatalf("read %v, sum %v; want both of the one observation", counts, sum)
		}
		<-done
	}
}

// TestScrapesDuringObservations checks that each scrape has a count equal to the last bucket, and a
// sum that includes each counted observation.
func TestScrapesDuringObservations(t *testing.T) {
	set := NewSet()
	h := set.NewHistogram("a_seconds", "help", []float64{0.5, 1})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, v := range []float64{0.5, 1, 2} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					h.Observe(v)
				}
			}
		})
	}
	defer wg.Wait()
	defer close(stop)
	var text, jsonText []byte
	// A reader waits for observations to finish, which takes long if three writers share a
	// processor.
	for begin, n := time.Now(), 0; n < 3000 && (n < 20 || time.Since(begin) < 2*time.Second); n++ {
		text, jsonText = set.AppendText(text[:0]), set.AppendJSON(jsonText[:0])
		var half, one, all, count uint64
		var sum float64
		_, samples, _ := strings.Cut(string(text), "# TYPE a_seconds histogram\n")
		if _, err := fmt.Sscanf(samples, "a_seconds_bucket{le=\"0.5\"} %d\na_seconds_bucket{le=\"1\"} %d\n"+
			"a_seconds_bucket{le=\"+Inf\"} %d\na_seconds_sum %g\na_seconds_count %d\n", &half, &one, &all, &sum, &count); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if least := 0.5*float64(half) + float64(one-half) + 2*float64(all-one); half > one || one > all || count != all || sum < least {
			t.Fatalf("buckets of %d, %d and %d, sum %v (%v at least), count %d", half, one, all, sum, least, count)
		}
		var document struct {
			Families []struct {
				Samples []struct {
					Buckets []struct{ Count uint64 }
					Count   uint64
				}
			}
		}
		if err := json.Unmarshal(jsonText, &document); err != nil {
			t.Fatalf("%v in %s", err, jsonText)
		}
		if s := document.Families[0].Samples[0]; s.Count != s.Buckets[2].Count || s.Buckets[0].Count > s.Buckets[1].Count {
			t.Fatalf("inconsistent histogram: %s", jsonText)
		}
	}
}
