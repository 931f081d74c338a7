package metrics

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
)

// Histogram counts observations in buckets. All methods are safe for concurrent use. Observe does
// not allocate.
//
// A Histogram uses no lock, but each scrape reads buckets, sum and count for the same set of
// observations. Observe increments started, adds to sum, and then increments the bucket. A reader
// adds up the buckets, reads sum, and compares started with the total of the buckets. If they are
// equal, no observation was in progress while the reader read sum. Otherwise the reader tries
// again.
type Histogram struct {
	bounds  []float64       // upper bounds, ascending, without +Inf
	started atomic.Uint64   // number of observations started
	sum     atomic.Uint64   // math.Float64bits
	buckets []atomic.Uint64 // len(bounds)+1, not cumulative
}

// readAttempts is how many times a scrape tries to read a consistent sum and count. After
// yieldAfter attempts, it yields before each attempt to let an interrupted writer finish. If all
// attempts fail, the sum may include a few more observations than the count, but buckets and count
// are still consistent.
const (
	readAttempts = 64
	yieldAfter   = 32
)

func newHistogram(bounds []float64) (*Histogram, error) {
	if len(bounds) == 0 {
		return nil, errors.New("histogram has no bounds")
	}
	for i, v := range bounds {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("invalid histogram bound %v: must be finite (+Inf is implied)", v)
		}
		if i > 0 && v <= bounds[i-1] {
			return nil, fmt.Errorf("invalid histogram bound %v after %v: bounds must be in ascending order", v, bounds[i-1])
		}
	}
	return &Histogram{
		bounds:  slices.Clone(bounds),
		buckets: make([]atomic.Uint64, len(bounds)+1),
	}, nil
}

// Observe counts v in the first bucket whose upper bound is at least v. It ignores NaN, which would
// make the sum NaN forever.
func (h *Histogram) Observe(v float64) {
	if math.IsNaN(v) {
		return
	}
	// Most observations are in the first buckets, where a linear search is fastest.
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.started.Add(1)
	addFloat(&h.sum, v)
	h.buckets[i].Add(1)
}

// Bounds returns the upper bounds of the buckets, ascending, without +Inf. The caller must not
// change the slice.
func (h *Histogram) Bounds() []float64 { return h.bounds }

// Read appends the counts of the buckets to counts[:0] and returns them together with the sum of
// the same observations. The counts are not cumulative. The last count is for +Inf.
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

// Restore replaces all observations with counts and sum, as returned by [Histogram.Read], usually
// before a restart. If the number of buckets differs, it returns an error and changes nothing. It
// must not be called concurrently with Observe.
func (h *Histogram) Restore(counts []uint64, sum float64) error {
	if len(counts) != len(h.buckets) {
		return fmt.Errorf("restore histogram: got %d buckets, want %d", len(counts), len(h.buckets))
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

// histogramSeries is a histogram with its name and labels.
type histogramSeries struct {
	h      *Histogram
	name   string
	labels []Label
	texts  atomic.Pointer[histogramTexts] // nil before the first scrape, like lazyText
}

// histogramTexts holds the rendered texts of a histogram.
type histogramTexts struct {
	bounds [][]Label // labels with le, by bucket

	buckets [][]byte // name_bucket{labels,le="..."} and a space
	sum     []byte
	count   []byte

	json        []byte   // {"labels":{...},"buckets":[
	jsonBuckets [][]byte // {"le":"...","count":
}

func newHistogramSeries(name string, labels []Label, h *Histogram) *histogramSeries {
	return &histogramSeries{h: h, name: name, labels: labels}
}

// rendered returns the texts. Concurrent first calls may render them twice.
func (s *histogramSeries) rendered() *histogramTexts {
	if t := s.texts.Load(); t != nil {
		return t
	}
	t := &histogramTexts{
		sum:   appendSampleName(nil, s.name+"_sum", s.labels),
		count: appendSampleName(nil, s.name+"_count", s.labels),
		json:  append(appendJSONLabels(nil, s.labels), `"buckets":[`...),
	}
	for i := range s.h.buckets {
		le := "+Inf"
		if i < len(s.h.bounds) {
			le = string(appendFloat(nil, s.h.bounds[i]))
		}
		withBound := append(slices.Clone(s.labels), Label{"le", le})
		t.bounds = append(t.bounds, withBound)
		t.buckets = append(t.buckets, appendSampleName(nil, s.name+"_bucket", withBound))
		t.jsonBuckets = append(t.jsonBuckets, fmt.Appendf(nil, `{"le":"%s","count":`, le))
	}
	s.texts.Store(t)
	return t
}

// maxStackBuckets is the maximum number of buckets that a scrape reads without allocating.
const maxStackBuckets = 64

func (s *histogramSeries) appendText(b []byte) []byte {
	var room [maxStackBuckets]uint64
	counts, sum := s.h.Read(room[:0])
	texts, total := s.rendered(), uint64(0)
	for i, n := range counts {
		total += n
		b = append(b, texts.buckets[i]...)
		b = strconv.AppendUint(b, total, 10)
		b = append(b, '\n')
	}
	b = append(b, texts.sum...)
	b = appendFloat(b, sum)
	b = append(b, '\n')
	b = append(b, texts.count...)
	b = strconv.AppendUint(b, total, 10)
	return append(b, '\n')
}

func (s *histogramSeries) appendJSON(b []byte) []byte {
	var room [maxStackBuckets]uint64
	counts, sum := s.h.Read(room[:0])
	texts, total := s.rendered(), uint64(0)
	b = append(b, texts.json...)
	for i, n := range counts {
		total += n
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, texts.jsonBuckets[i]...)
		b = strconv.AppendUint(b, total, 10)
		b = append(b, '}')
	}
	b = append(b, `],"sum":`...)
	b = appendJSONFloat(b, sum)
	b = append(b, `,"count":`...)
	b = strconv.AppendUint(b, total, 10)
	return append(b, '}', ',')
}
