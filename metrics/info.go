package metrics

import (
	"fmt"
	"sync/atomic"
)

// InfoColumn is a metric family of a [Group] whose labels describe the object of each row. The
// value of each series is 1.
type InfoColumn struct{ index int }

// Info is the series of one row in an InfoColumn. Its labels can be changed at any time with Set.
type Info struct {
	column *infoColumn
	row    *Row
	series atomic.Pointer[infoSeries] // nil before the first call of Set
}

// infoSeries is an Info with the values of one call of Set.
type infoSeries struct {
	values []string // escaped by validText
	text   lazyText // {labels} and a space
	json   lazyText // {"labels":{...},"value":
}

// NewInfo adds an info family with the given labels, whose values are "" until the first call of
// [Info.Set]. Like [Group.NewCounter], it panics if a name is invalid or in use, or if the group
// has rows.
func (g *Group) NewInfo(name, help string, labels ...string) InfoColumn {
	if g.rows.Load() != nil {
		panic("metrics: column " + name + " added to a group with rows")
	}
	c := &infoColumn{group: g, name: name, index: len(g.infos)}
	for _, label := range append([]string{g.label}, labels...) {
		c.labels = append(c.labels, Label{Name: label})
	}
	g.set.add(name, help, kindGauge, validLabels(c.labels), c)
	g.infos = append(g.infos, c)
	return InfoColumn{c.index}
}

// In returns the row's Info in this column. The caller should keep the pointer.
func (c InfoColumn) In(r *Row) *Info { return &r.infos[c.index] }

// Set sets the values of the labels, in the order of [Group.NewInfo]. Unprintable characters are
// escaped. It panics if the number of values is wrong.
func (i *Info) Set(values ...string) {
	c := i.column
	if len(values) != len(c.labels)-1 {
		panic(fmt.Sprintf("metrics: %s has %d labels, got %d values", c.name, len(c.labels)-1, len(values)))
	}
	series := &infoSeries{values: make([]string, len(values))}
	for n, v := range values {
		series.values[n] = validText(v)
	}
	i.series.Store(series)
}

// current returns the series, which has empty values before the first call of Set.
func (i *Info) current() *infoSeries {
	s := i.series.Load()
	if s == nil {
		i.series.CompareAndSwap(nil, &infoSeries{values: make([]string, len(i.column.labels)-1)})
		s = i.series.Load()
	}
	return s
}

// labels returns the labels of the series s.
func (i *Info) labels(s *infoSeries) []Label {
	names := i.column.labels
	labels := append(make([]Label, 0, len(names)), i.row.label[0])
	for n, v := range s.values {
		labels = append(labels, Label{names[n+1].Name, v})
	}
	return labels
}

// infoColumn writes the samples of an InfoColumn.
type infoColumn struct {
	group  *Group
	name   string
	labels []Label // names only
	index  int
}

// rows returns the rows of the group.
func (c *infoColumn) rows() []*Row {
	if rows := c.group.rows.Load(); rows != nil {
		return *rows
	}
	return nil
}

func (c *infoColumn) appendText(b []byte) []byte {
	for _, r := range c.rows() {
		i := &r.infos[c.index]
		s := i.current()
		b = append(b, c.name...)
		b = s.text.appendTo(b, func(b []byte) []byte { return appendSampleName(b, "", i.labels(s)) })
		b = append(b, "1\n"...)
	}
	return b
}

func (c *infoColumn) appendJSON(b []byte) []byte {
	for _, r := range c.rows() {
		i := &r.infos[c.index]
		s := i.current()
		b = s.json.appendTo(b, func(b []byte) []byte { return appendSampleJSON(b, i.labels(s)) })
		b = append(b, "1},"...)
	}
	return b
}

func (c *infoColumn) eachSample(name string, yield func(Sample) bool) bool {
	for _, r := range c.rows() {
		i := &r.infos[c.index]
		if !yield(Sample{name, i.labels(i.current()), 1}) {
			return false
		}
	}
	return true
}
