package metrics

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Set is a collection of metric families that are exported together.
//
// The methods of a Set whose names begin with New panic if a name is invalid or used by another
// family, or if the series already exists, because these are programming errors. They may be called
// at any time, even during a scrape.
type Set struct {
	// mu is held during registration, never during an update or a scrape. Scrapes may read the slices
	// below while elements are appended, because they do not read beyond the length that they loaded.
	mu         sync.Mutex
	owners     map[string]*family // by sample name: x_sum is owned by histogram x
	families   atomic.Pointer[[]*family]
	collectors atomic.Pointer[[]func()]
}

// NewSet returns an empty set.
func NewSet() *Set {
	s := &Set{owners: make(map[string]*family)}
	s.families.Store(new([]*family))
	s.collectors.Store(new([]func()))
	return s
}

// NewCounter adds a counter. Its name should end with _total.
func (s *Set) NewCounter(name, help string, labels ...Label) *Counter {
	c := new(Counter)
	s.addValue(name, help, kindCounter, labels, c)
	return c
}

// NewCounterFunc adds a counter whose value is computed by f on each scrape. f is called from the
// scrape's goroutine. It must be safe for concurrent use and must not block.
func (s *Set) NewCounterFunc(name, help string, f func() uint64, labels ...Label) {
	s.addValue(name, help, kindCounter, labels, counterFunc(f))
}

// NewGauge adds a gauge.
func (s *Set) NewGauge(name, help string, labels ...Label) *Gauge {
	g := new(Gauge)
	s.addValue(name, help, kindGauge, labels, g)
	return g
}

// NewIntGauge adds an integer gauge.
func (s *Set) NewIntGauge(name, help string, labels ...Label) *IntGauge {
	g := new(IntGauge)
	s.addValue(name, help, kindGauge, labels, g)
	return g
}

// NewGaugeFunc adds a gauge whose value is computed by f on each scrape. f is called from the
// scrape's goroutine. It must be safe for concurrent use and must not block.
func (s *Set) NewGaugeFunc(name, help string, f func() float64, labels ...Label) {
	s.addValue(name, help, kindGauge, labels, floatFunc(f))
}

// NewHistogram adds a histogram. The upper bounds must be finite and ascending. NewHistogram adds
// the bucket +Inf.
func (s *Set) NewHistogram(name, help string, bounds []float64, labels ...Label) *Histogram {
	h, err := newHistogram(bounds)
	if err != nil {
		panic(fmt.Sprintf("metrics: %s: %v", name, err))
	}
	labels = validLabels(labels)
	s.add(name, help, kindHistogram, labels, newHistogramSeries(name, labels, h))
	return h
}

// AppendText appends all families in Prometheus text format 0.0.4 to b and returns the extended
// slice. It is safe for concurrent use, takes no lock, and allocates only if b is too small.
func (s *Set) AppendText(b []byte) []byte { return s.AppendTextOf(b, "") }

// AppendTextOf is like AppendText but includes only families whose name begins with prefix.
func (s *Set) AppendTextOf(b []byte, prefix string) []byte {
	s.collect()
	for _, f := range *s.families.Load() {
		if strings.HasPrefix(f.name, prefix) {
			b = f.appendText(b)
		}
	}
	return b
}

// AppendJSON appends all families to b as the JSON object described in the package comment, and
// returns the extended slice. It is safe for concurrent use, takes no lock, and allocates only if b
// is too small.
func (s *Set) AppendJSON(b []byte) []byte {
	s.collect()
	b = append(b, `{"schema":1,"families":[`...)
	for _, f := range *s.families.Load() {
		b = f.appendJSON(b)
	}
	return append(trimComma(b), "]}\n"...)
}

// collect calls the registered collectors, each of which updates the families that share one data
// source.
func (s *Set) collect() {
	for _, f := range *s.collectors.Load() {
		f()
	}
}

// addCollector calls f and registers it to be called at the start of each scrape. A scrape that
// starts while f is running does not wait for f and uses the current values.
func (s *Set) addCollector(f func()) {
	f()
	var busy atomic.Bool
	guarded := func() {
		if busy.CompareAndSwap(false, true) {
			defer busy.Store(false)
			f()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.collectors.Store(new(append(*s.collectors.Load(), guarded)))
}

func (s *Set) addValue(name, help string, k kind, labels []Label, v value) {
	labels = validLabels(labels)
	s.add(name, help, k, labels, &sample{name: name, labels: labels, value: v})
}

// add adds a series to its family. It creates the family if necessary.
func (s *Set) add(name, help string, k kind, labels []Label, b block) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.owners[name]
	if f == nil || f.name != name {
		f = s.addFamily(name, help, k)
	}
	if f.kind != k || f.help != help || len(f.labels) > 0 && !slices.EqualFunc(f.labels[0], labels, sameName) {
		panic(fmt.Sprintf("metrics: %s is already registered with another type, help text or set of labels", name))
	}
	for _, other := range f.labels {
		if slices.Equal(other, labels) {
			panic(fmt.Sprintf("metrics: series %sis already registered", appendSampleName(nil, name, labels)))
		}
	}
	f.labels = append(f.labels, labels)
	f.blocks.Store(new(append(*f.blocks.Load(), b)))
}

// addFamily adds a family and reserves the names of its samples. The caller must hold s.mu.
func (s *Set) addFamily(name, help string, k kind) *family {
	if !validName(name) {
		panic(fmt.Sprintf("metrics: invalid metric name %q", name))
	}
	if help == "" {
		panic(fmt.Sprintf("metrics: %s has no help text", name))
	}
	f := newFamily(name, help, k)
	for _, suffix := range k.suffixes() {
		if other := s.owners[name+suffix]; other != nil {
			panic(fmt.Sprintf("metrics: %s%s already belongs to %s", name, suffix, other.name))
		}
	}
	for _, suffix := range k.suffixes() {
		s.owners[name+suffix] = f
	}
	s.families.Store(new(append(*s.families.Load(), f)))
	return f
}

// validLabels returns a copy of labels with valid values (see validText). It panics if a name is
// invalid, reserved or duplicate.
func validLabels(labels []Label) []Label {
	valid := make([]Label, 0, len(labels))
	for _, l := range labels {
		checkLabelName(l.Name)
		if slices.ContainsFunc(valid, func(v Label) bool { return v.Name == l.Name }) {
			panic(fmt.Sprintf("metrics: duplicate label %q", l.Name))
		}
		valid = append(valid, Label{l.Name, validText(l.Value)})
	}
	return valid
}

func checkLabelName(name string) {
	if !validName(name) || name == "le" || name == "quantile" || len(name) > 1 && name[:2] == "__" {
		panic(fmt.Sprintf("metrics: invalid label name %q", name))
	}
}

func sameName(a, b Label) bool { return a.Name == b.Name }

// validName reports whether name consists of ASCII letters, digits and underscores and does not
// begin with a digit. The format also allows colons in metric names, but they are reserved for
// recording rules.
func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return name != ""
}
