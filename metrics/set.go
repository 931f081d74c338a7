package metrics

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Set is a collection of families that are exposed together.
//
// The New methods panic on a bad name, a name used for something else, or a
// series that exists: all of them are mistakes in the program, found the first
// time it runs. They may be called at any time, also while others scrape.
type Set struct {
	mu       sync.Mutex         // held while registering, never while counting or scraping
	owners   map[string]*family // by name of the samples: x_sum belongs to histogram x
	families atomic.Pointer[[]*family]
	readers  atomic.Pointer[[]func()]
}

// NewSet returns an empty set.
func NewSet() *Set {
	s := &Set{owners: make(map[string]*family)}
	s.families.Store(new([]*family))
	s.readers.Store(new([]func()))
	return s
}

// NewCounter adds a counter. Its name should end in _total.
func (s *Set) NewCounter(name, help string, labels ...Label) *Counter {
	c := new(Counter)
	s.addValue(name, help, kindCounter, labels, c)
	return c
}

// NewCounterFunc adds a counter whose value f is asked for at every scrape, by
// the scraping goroutine: f must be safe for concurrent use and must not wait.
func (s *Set) NewCounterFunc(name, help string, f func() uint64, labels ...Label) {
	s.addValue(name, help, kindCounter, labels, counterFunc(f))
}

// NewGauge adds a gauge.
func (s *Set) NewGauge(name, help string, labels ...Label) *Gauge {
	g := new(Gauge)
	s.addValue(name, help, kindGauge, labels, g)
	return g
}

// NewIntGauge adds a gauge of whole numbers.
func (s *Set) NewIntGauge(name, help string, labels ...Label) *IntGauge {
	g := new(IntGauge)
	s.addValue(name, help, kindGauge, labels, g)
	return g
}

// NewGaugeFunc adds a gauge whose value f is asked for at every scrape, by the
// scraping goroutine: f must be safe for concurrent use and must not wait.
func (s *Set) NewGaugeFunc(name, help string, f func() float64, labels ...Label) {
	s.addValue(name, help, kindGauge, labels, floatFunc(f))
}

// NewHistogram adds a histogram with the given upper bounds, ascending and
// finite; the bucket +Inf is implied.
func (s *Set) NewHistogram(name, help string, bounds []float64, labels ...Label) *Histogram {
	h, err := newHistogram(bounds)
	if err != nil {
		panic(fmt.Sprintf("metrics: %s: %v", name, err))
	}
	labels = validLabels(labels)
	s.add(name, help, kindHistogram, labels, newHistogramSeries(name, labels, h))
	return h
}

// AppendText appends all families in Prometheus text format 0.0.4 to b and
// returns the longer slice. It is safe for concurrent use, takes no lock, and
// allocates only when b is too small.
func (s *Set) AppendText(b []byte) []byte { return s.AppendTextOf(b, "") }

// AppendTextOf is AppendText of the families whose names begin with prefix.
func (s *Set) AppendTextOf(b []byte, prefix string) []byte {
	s.read()
	for _, f := range *s.families.Load() {
		if strings.HasPrefix(f.name, prefix) {
			b = f.appendText(b)
		}
	}
	return b
}

// AppendJSON appends all families as one JSON object, described in the package
// comment, to b and returns the longer slice. It is safe for concurrent use,
// takes no lock, and allocates only when b is too small.
func (s *Set) AppendJSON(b []byte) []byte {
	s.read()
	b = append(b, `{"schema":1,"families":[`...)
	for _, f := range *s.families.Load() {
		b = f.appendJSON(b)
	}
	return append(trimComma(b), "]}\n"...)
}

// read lets the families that have a common source take one reading of it.
func (s *Set) read() {
	for _, f := range *s.readers.Load() {
		f()
	}
}

// addReader has f called before every rendering and once at once, so that
// there is a reading to show whatever happens. A scrape that finds another one
// inside f goes on with the values there are, a moment old at most.
func (s *Set) addReader(f func()) {
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
	grown := append(slices.Clip(*s.readers.Load()), guarded)
	s.readers.Store(&grown)
}

func (s *Set) addValue(name, help string, k kind, labels []Label, v value) {
	labels = validLabels(labels)
	s.add(name, help, k, labels, &sample{
		labels: labels,
		text:   appendSampleName(nil, name, labels),
		json:   append(appendJSONLabels(nil, labels), `"value":`...),
		value:  v,
	})
}

// add puts one series into its family, which it makes if there is none.
func (s *Set) add(name, help string, k kind, labels []Label, b block) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.owners[name]
	if f == nil || f.name != name {
		f = s.addFamily(name, help, k)
		f.labelNames = labelNames(labels)
	}
	if f.kind != k || f.help != help || !slices.Equal(f.labelNames, labelNames(labels)) {
		panic(fmt.Sprintf("metrics: %s registered again with another type, help or set of labels", name))
	}
	key := string(appendSampleName(nil, name, labels))
	if f.taken[key] {
		panic(fmt.Sprintf("metrics: series %sregistered twice", key))
	}
	f.taken[key] = true
	grown := append(slices.Clip(*f.blocks.Load()), b)
	f.blocks.Store(&grown)
}

// addFamily claims the family's names and appends it. The caller holds s.mu.
func (s *Set) addFamily(name, help string, k kind) *family {
	if !validName(name) {
		panic(fmt.Sprintf("metrics: bad metric name %q", name))
	}
	if help == "" {
		panic(fmt.Sprintf("metrics: %s has no help", name))
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
	grown := append(slices.Clip(*s.families.Load()), f)
	s.families.Store(&grown)
	return f
}

// validLabels returns labels with values fit to be shown. It panics on a name
// that is bad, reserved or there twice.
func validLabels(labels []Label) []Label {
	valid := make([]Label, 0, len(labels))
	for _, l := range labels {
		checkLabelName(l.Name)
		if slices.ContainsFunc(valid, func(v Label) bool { return v.Name == l.Name }) {
			panic(fmt.Sprintf("metrics: label %q given twice", l.Name))
		}
		valid = append(valid, Label{l.Name, validText(l.Value)})
	}
	return valid
}

func checkLabelName(name string) {
	if !validName(name) || name == "le" || name == "quantile" || len(name) > 1 && name[:2] == "__" {
		panic(fmt.Sprintf("metrics: bad label name %q", name))
	}
}

func labelNames(labels []Label) []string {
	var names []string
	for _, l := range labels {
		names = append(names, l.Name)
	}
	return names
}

// validName reports whether name is made of ASCII letters, digits and
// underscores and does not begin with a digit. The format also allows colons
// in metric names, but keeps them for recording rules.
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
