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
	row    string // value of the group's label
	series atomic.Pointer[sample]
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
	labels := append(make([]Label, 0, len(c.labels)), Label{c.labels[0].Name, i.row})
	for n, v := range values {
		labels = append(labels, Label{c.labels[n+1].Name, validText(v)})
	}
	i.series.Store(&sample{name: c.name, labels: labels, value: always1{}})
}

// always1 is the value of an Info.
type always1 struct{}

func (always1) appendValue(b []byte) []byte { return append(b, '1') }
func (always1) number() float64             { return 1 }

// infoColumn writes the samples of an InfoColumn.
type infoColumn struct {
	group  *Group
	name   string
	labels []Label // names only
	index  int
}

// each calls f for the series of each row until f returns false. It reports whether all calls
// returned true.
func (c *infoColumn) each(f func(*sample) bool) bool {
	rows := c.group.rows.Load()
	if rows == nil {
		return true
	}
	for _, r := range *rows {
		if !f(r.infos[c.index].series.Load()) {
			return false
		}
	}
	return true
}

func (c *infoColumn) appendText(b []byte) []byte {
	c.each(func(s *sample) bool { b = s.appendText(b); return true })
	return b
}

func (c *infoColumn) appendJSON(b []byte) []byte {
	c.each(func(s *sample) bool { b = s.appendJSON(b); return true })
	return b
}

func (c *infoColumn) eachSample(name string, yield func(Sample) bool) bool {
	return c.each(func(s *sample) bool { return s.eachSample(name, yield) })
}
