package metrics

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Group is a table of series for objects that are added and removed at run time. Each column is a
// family. Each row is an object (a port), whose name is the value of the group's only label. All
// columns must be added before the first row.
//
// A Group stores its rows in a slice behind an atomic pointer, whose elements never change. Add and
// Remove publish another slice, which is efficient if rows rarely change. Updating a value and
// scraping take no lock.
type Group struct {
	set    *Set
	label  string
	rows   atomic.Pointer[[]*Row]
	names  []string // of the columns' families
	counts [columnKinds]int
	infos  []*infoColumn

	changing sync.Mutex // held by Add and Remove
}

// columnKind is the type of the values in a column. It determines which slice of a Row holds them.
type columnKind int

const (
	columnCounter columnKind = iota
	columnGauge
	columnIntGauge
	columnKinds
)

// NewGroup returns an empty group. label is the label whose value is the name of a row.
func (s *Set) NewGroup(label string) *Group {
	checkLabelName(label)
	return &Group{set: s, label: label}
}

// CounterColumn is a family with a counter for each row.
type CounterColumn struct{ index int }

// GaugeColumn is a family with a gauge for each row.
type GaugeColumn struct{ index int }

// IntGaugeColumn is a family with an integer gauge for each row.
type IntGaugeColumn struct{ index int }

// NewCounter adds a column of counters. It panics if the name is invalid or in use, or if the group
// has rows.
func (g *Group) NewCounter(name, help string) CounterColumn {
	return CounterColumn{g.addColumn(name, help, kindCounter, columnCounter)}
}

// NewGauge adds a column of gauges. It panics if the name is invalid or in use, or if the group has
// rows.
func (g *Group) NewGauge(name, help string) GaugeColumn {
	return GaugeColumn{g.addColumn(name, help, kindGauge, columnGauge)}
}

// NewIntGauge adds a column of integer gauges. It panics if the name is invalid or in use, or if
// the group has rows.
func (g *Group) NewIntGauge(name, help string) IntGaugeColumn {
	return IntGaugeColumn{g.addColumn(name, help, kindGauge, columnIntGauge)}
}

func (g *Group) addColumn(name, help string, k kind, in columnKind) int {
	if g.rows.Load() != nil {
		panic("metrics: column " + name + " added to a group with rows")
	}
	c := &column{group: g, number: len(g.names), in: in, index: g.counts[in]}
	g.set.add(name, help, k, []Label{{Name: g.label}}, c)
	g.names = append(g.names, name)
	g.counts[in]++
	return c.index
}

// Row contains the series of one object. A switch has hundreds of rows, so a row keeps only what
// differs from other rows, and the text of its label.
type Row struct {
	group    *Group
	label    [1]Label // its value is escaped by validText
	text     []byte   // {label="value"} and a space
	json     lazyText // {"labels":{...},"value":
	counters []Counter
	gauges   []Gauge
	ints     []IntGauge
	infos    []Info
}

// In returns the row's counter in this column. The caller should keep the pointer.
func (c CounterColumn) In(r *Row) *Counter { return &r.counters[c.index] }

// In returns the row's gauge in this column. The caller should keep the pointer.
func (c GaugeColumn) In(r *Row) *Gauge { return &r.gauges[c.index] }

// In returns the row's gauge in this column. The caller should keep the pointer.
func (c IntGaugeColumn) In(r *Row) *IntGauge { return &r.ints[c.index] }

// Add adds a row with zero values and returns it. If the group already has a row with that name,
// Add returns that row. Add is safe for concurrent use.
func (g *Group) Add(name string) *Row {
	value := validText(name)
	g.changing.Lock()
	defer g.changing.Unlock()
	var rows []*Row
	if old := g.rows.Load(); old != nil {
		rows = *old
	}
	i, found := len(rows), false
	if i > 0 && compareRow(rows[i-1], value) >= 0 { // ports are usually added in their order
		i, found = slices.BinarySearchFunc(rows, value, compareRow)
	}
	if found {
		return rows[i]
	}
	r := g.newRow(value)
	if i < len(rows) {
		rows = slices.Concat(rows[:i:i], []*Row{nil}, rows[i:])
		rows[i] = r
	} else {
		// Readers of the previous slice do not read beyond its length, so the copy can share its
		// array.
		rows = append(rows, r)
	}
	g.rows.Store(&rows)
	return r
}

// newRow returns a row for Add.
func (g *Group) newRow(value string) *Row {
	r := &Row{
		group:    g,
		label:    [1]Label{{g.label, value}},
		counters: make([]Counter, g.counts[columnCounter]),
		gauges:   make([]Gauge, g.counts[columnGauge]),
		ints:     make([]IntGauge, g.counts[columnIntGauge]),
		infos:    make([]Info, len(g.infos)),
	}
	for i, c := range g.infos {
		r.infos[i].column, r.infos[i].row = c, r
	}
	r.text = bytes.Clone(appendSampleName(make([]byte, 0, 128), "", r.label[:])) // without unused capacity
	return r
}

// Remove removes the row and its series. Updating the row's metrics afterwards has no effect.
// Calling Remove again has no effect either, even if another row with the same name has been added.
// Remove is safe for concurrent use.
func (r *Row) Remove() {
	r.group.changing.Lock()
	defer r.group.changing.Unlock()
	rows := *r.group.rows.Load()
	if i, found := slices.BinarySearchFunc(rows, r.label[0].Value, compareRow); found && rows[i] == r {
		shrunk := slices.Concat(rows[:i], rows[i+1:])
		r.group.rows.Store(&shrunk)
	}
}

// column writes the samples of one family of a group, one per row.
type column struct {
	group  *Group
	number int        // among all columns
	in     columnKind // selects the slice of the row
	index  int        // in that slice
}

// value returns the metric of row r.
func (c *column) value(r *Row) value {
	switch c.in {
	case columnCounter:
		return &r.counters[c.index]
	case columnGauge:
		return &r.gauges[c.index]
	default:
		return &r.ints[c.index]
	}
}

func (c *column) appendText(b []byte) []byte {
	rows := c.group.rows.Load()
	if rows == nil {
		return b
	}
	name := c.group.names[c.number]
	for _, r := range *rows {
		b = append(b, name...)
		b = append(b, r.text...)
		b = c.value(r).appendValue(b)
		b = append(b, '\n')
	}
	return b
}

func (c *column) appendJSON(b []byte) []byte {
	rows := c.group.rows.Load()
	if rows == nil {
		return b
	}
	for _, r := range *rows {
		b = r.json.appendTo(b, func(b []byte) []byte { return appendSampleJSON(b, r.label[:]) })
		b = appendJSONValue(b, c.value(r))
		b = append(b, '}', ',')
	}
	return b
}

func compareRow(r *Row, value string) int { return compareNatural(r.label[0].Value, value) }

// compareNatural compares strings in natural order, in which a sequence of digits is compared as a
// number: Ethernet2 precedes Ethernet10. It returns 0 only for equal strings.
func compareNatural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		xd, yd := digits(x), digits(y)
		if xd == 0 || yd == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		xn, yn := strings.TrimLeft(x[:xd], "0"), strings.TrimLeft(y[:yd], "0")
		if c := cmp.Or(cmp.Compare(len(xn), len(yn)), cmp.Compare(xn, yn)); c != 0 {
			return c
		}
		x, y = x[xd:], y[yd:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digits returns the number of digits at the start of s.
func digits[T string | []byte](s T) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
