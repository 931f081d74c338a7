package metrics

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
)

// Histogram counts observations in buckets. All methods are safe for
// concurrent use; Observe does not allocate.
//
// A scrape shows buckets, sum and count of the same observations although no
// lock keeps writers out. Observe announces itself in started, adds to sum,
// and counts its bucket last. A reader that adds up the buckets, then reads
// sum, then finds started equal to the buckets' total knows that everything
// announced was complete before it read sum, and that nothing began until
// after. Otherwise it reads again.
type Histogram struct {
	bounds  []float64       // upper, ascending, without +Inf
	started atomic.Uint64   // observations begun
	sum     atomic.Uint64   // math.Float64bits
	buckets []atomic.Uint64 // len(bounds)+1, each counts its own range only
}

// readAttempts is how often a scrape tries to read a sum that matches the count
// exactly. After yieldAfter attempts it lets a writer that was interrupted in
// the middle run between two of them. If all attempts fail, sum may include a few
// observations more; buckets and count still agree.
const (
	readAttempts = 64
	yieldAfter   = 32
)

func newHistogram(bounds []float64) (*Histogram, error) {
	if len(bounds) == 0 {
		return nil, fmt.Errorf("histogram without bounds")
	}
	for i, v := range bounds {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("histogram bound %v: want a finite number, +Inf is implied", v)
		}
		if i > 0 && v <= bounds[i-1] {
			return nil, fmt.Errorf("histogram bound %v after %v: want ascending order", v, bounds[i-1])
		}
	}
	return &Histogram{
		bounds:  slices.Clone(bounds),
		buckets: make([]atomic.Uint64, len(bounds)+1),
	}, nil
}

// Observe counts v in the first bucket whose bound is not below it. NaN is
// ignored: it fits no bucket and would spoil the sum for good.
func (h *Histogram) Observe(v float64) {
	if math.IsNaN(v) {
		return
	}
	// Observations crowd in the low buckets, where a walk beats a search.
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.started.Add(1)
	addFloat(&h.sum, v)
	h.buckets[i].Add(1)
}

// Bounds returns the upper bounds of the buckets, ascending, without +Inf.
// The slice is the histogram's own: read only.
func (h *Histogram) Bounds() []float64 { return h.bounds }

// Read appends the buckets' own counts (not cumulative, the last one is for
// +Inf) to counts[:0] and returns them with the sum of the same observations.
func (h *Histogram) Read(counts []uint64) ([]uint64, float64) {
	var sum float64
	for attempt := range readAttempts {
		if attempt >= yieldAfter {
			runtime.Gosched()
		}
		var consistent bool
		if counts, sum, consistent = h.readOnce(counts); consistent {
			break
		}
	}
	return counts, sum
}

func (h *Histogram) readOnce(counts []uint64) (_ []uint64, sum float64, consistent bool) {
	counts = counts[:0]
	total := uint64(0)
	for i := range h.buckets {
		n := h.buckets[i].Load()
		counts = append(counts, n)
		total += n
	}
	sum = math.Float64frombits(h.sum.Load())
	return counts, sum, h.started.Load() == total
}

// Restore replaces everything observed by counts and sum as [Histogram.Read]
// returned them in an earlier life. It fails, and changes nothing, if the
// number of buckets differs. It must not run while others observe.
func (h *Histogram) Restore(counts []uint64, sum float64) error {
	if len(counts) != len(h.buckets) {
		return fmt.Errorf("restore histogram: %d buckets, want %d", len(counts), len(h.buckets))
	}
	total := uint64(0)
	for i, n := range counts {
		h.buckets[i].Store(n)
		total += n
	}
	h.sum.Store(math.Float64bits(sum))
	h.started.Store(total)
	return nil
}

// histogramSeries is a histogram with its lines' beginnings.
type histogramSeries struct {
	h      *Histogram
	labels []Label
	bounds [][]Label // labels with le, by bucket

	textBuckets [][]byte // name_bucket{labels,le="..."} and a space
	textSum     []byte
	textCount   []byte

	json        []byte   // {"labels":{...},"buckets":[
	jsonBuckets [][]byte // {"le":"...","count":
}

func newHistogramSeries(name string, labels []Label, h *Histogram) *histogramSeries {
	s := &histogramSeries{
		h:         h,
		labels:    labels,
		textSum:   appendSampleName(nil, name+"_sum", labels),
		textCount: appendSampleName(nil, name+"_count", labels),
		json:      append(appendJSONLabels(nil, labels), `"buckets":[`...),
	}
	for i := range h.buckets {
		le := "+Inf"
		if i < len(h.bounds) {
			le = string(appendFloat(nil, h.bounds[i]))
		}
		withBound := append(slices.Clone(labels), Label{"le", le})
		s.bounds = append(s.bounds, withBound)
		s.textBuckets = append(s.textBuckets, appendSampleName(nil, name+"_bucket", withBound))
		s.jsonBuckets = append(s.jsonBuckets, fmt.Appendf(nil, `{"le":"%s","count":`, le))
	}
	return s
}

// maxStackBuckets is how many buckets a scrape reads without allocating.
const maxStackBuckets = 64

func (s *histogramSeries) appendText(b []byte) []byte {
	var room [maxStackBuckets]uint64
	counts, sum := s.h.Read(room[:0])
	total := uint64(0)
	for i, n := range counts {
		total += n
		b = append(b, s.textBuckets[i]...)
		b = strconv.AppendUint(b, total, 10)
		b = append(b, '\n')
	}
	b = append(b, s.textSum...)
	b = appendFloat(b, sum)
	b = append(b, '\n')
	b = append(b, s.textCount...)
	b = strconv.AppendUint(b, total, 10)
	return append(b, '\n')
}

func (s *histogramSeries) appendJSON(b []byte) []byte {
	var room [maxStackBuckets]uint64
	counts, sum := s.h.Read(room[:0])
	b = append(b, s.json...)
	total := uint64(0)
	for i, n := range counts {
		total += n
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.jsonBuckets[i]...)
		b = strconv.AppendUint(b, total, 10)
		b = append(b, '}')
	}
	b = append(b, `],"sum":`...)
	b = appendJSONFloat(b, sum)
	b = append(b, `,"count":`...)
	b = strconv.AppendUint(b, total, 10)
	return append(b, '}', ',')
}
