package statusview

import (
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"portsyncd/portsync"
)

// panelView is the front panel. Cells and rows are made here rather than by the
// template, which would allocate a hundred times for each port, every two seconds
// for each reader.
type panelView struct {
	Ports  int
	Prefix string // of all names; a cell shows the rest
	Dense  bool   // too many cells for large ones
	States []stateCount
	Cells  template.HTML // li
	Rows   template.HTML // tr
}

// stateCount is how many ports are in a state.
type stateCount struct {
	State string
	Count int
}

// States of a port on the panel. They are words for people and CSS classes.
const (
	stateUp      = "up"
	stateDown    = "down"
	stateOff     = "off"     // administratively down
	stateWaiting = "waiting" // its interface has not come yet, or PortInitDone waits for it
	stateAbsent  = "absent"  // its interface is gone

	// These come beside one of the others.
	stateFlapping  = "flapping"
	stateUnwritten = "unwritten" // STATE_DB does not have what is shown
)

// panelStates are all of them, in the order in which they are counted.
var panelStates = []string{stateUp, stateDown, stateOff, stateWaiting, stateAbsent, stateFlapping, stateUnwritten}

func portState(p *portsync.PortView) string {
	switch {
	case p.State == portsync.PortAbsent.String():
		return stateAbsent
	case p.InitPending || p.Index == 0:
		return stateWaiting
	case p.Oper == "up":
		return stateUp
	case p.Admin == "down":
		return stateOff
	}
	return stateDown
}

// unwritten reports whether the panel says that STATE_DB does not have what is shown
// of p. There is nothing to write of a port that has not come yet.
func unwritten(p *portsync.PortView) bool {
	return !p.Written && (p.Index != 0 || p.State == portsync.PortAbsent.String())
}

// denseFrom is the number of ports from which on cells are small.
const denseFrom = 129

func newPanel(ports []portsync.PortView, now time.Time) panelView {
	v := panelView{Ports: len(ports), Dense: len(ports) >= denseFrom}
	names := make([]string, len(ports))
	count := make(map[string]int)
	for i := range ports {
		p := &ports[i]
		names[i] = visible(p.Name)
		if i == 0 {
			v.Prefix = strings.TrimRightFunc(names[0], unicode.IsDigit)
		}
		v.Prefix = commonPrefix(v.Prefix, names[i])
		count[portState(p)]++
		if p.Flapping {
			count[stateFlapping]++
		}
		if unwritten(p) {
			count[stateUnwritten]++
		}
	}
	for _, s := range panelStates {
		v.States = append(v.States, stateCount{s, count[s]})
	}
	cells, rows := make([]byte, 0, 110*len(ports)), make([]byte, 0, 300*len(ports))
	for i := range ports {
		cells = appendCell(cells, i, &ports[i], v.Prefix, names[i][len(v.Prefix):])
		rows = appendRow(rows, i, &ports[i], names[i], now)
	}
	v.Cells, v.Rows = template.HTML(cells), template.HTML(rows)
	return v
}

// commonPrefix is what a and b begin with, in whole characters.
func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && n < len(a) && !utf8.RuneStart(a[n]) {
		n--
	}
	return a[:n]
}

// appendCell appends the cell of port i. What all names begin with is there for
// those who listen, and hidden from those who see.
func appendCell(b []byte, i int, p *portsync.PortView, prefix, rest string) []byte {
	if rest == "" {
		prefix, rest = "", prefix
	}
	state := portState(p)
	b = append(b, "\n<li class=\""...)
	b = append(b, state...)
	if p.Flapping {
		b = append(b, " flapping"...)
	}
	if unwritten(p) {
		b = append(b, " unwritten"...)
	}
	b = append(b, `"><a href="#p`...)
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, `"><b><i>`...)
	b = appendEscaped(b, prefix)
	b = append(b, "</i>"...)
	b = appendEscaped(b, rest)
	b = append(b, "</b> <span>"...)
	b = append(b, state...)
	b = append(b, "</span>"...)
	if p.Flapping {
		b = append(b, " <em>⇅<i>flapping</i></em>"...)
	}
	if unwritten(p) {
		b = append(b, " <i>not written yet</i>"...)
	}
	return append(b, "</a></li>"...)
}

// appendRow appends the row of port i, which its cell leads to.
func appendRow(b []byte, i int, p *portsync.PortView, name string, now time.Time) []byte {
	state := portState(p)
	b = append(b, "\n<tr id=\"p"...)
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, `"><th scope="row">`...)
	b = appendEscaped(b, name)
	b = append(b, `</th><td class="`...)
	b = append(b, state...)
	b = append(b, `">`...)
	b = append(b, state...)
	if unwritten(p) {
		b = append(b, ", not written yet"...)
	}
	b = append(b, "</td><td>"...)
	b = appendEscaped(b, visible(p.Oper))
	b = append(b, "</td><td>"...)
	b = appendEscaped(b, visible(p.Admin))
	b = append(b, `</td><td class="n">`...)
	if p.Index != 0 {
		b = strconv.AppendInt(b, p.MTU, 10)
	}
	b = append(b, `</td><td class="n">`...)
	b = append(b, grouped(p.CarrierUp)...)
	b = append(b, `</td><td class="n">`...)
	b = append(b, grouped(p.CarrierDown)...)
	b = append(b, "</td><td>"...)
	b = appendTime(b, p.LastChange, now)
	b = append(b, `</td><td class="n">`...)
	if p.Penalty >= 0.5 {
		b = append(b, digits(p.Penalty)...)
	}
	if p.Flapping {
		b = append(b, " flapping"...)
	}
	return append(b, "</td></tr>"...)
}

// appendTime appends a time as the template "time" writes a moment.
func appendTime(b []byte, t *time.Time, now time.Time) []byte {
	if t == nil || !inCalendar(*t) {
		return append(b, momentAt(t, now).Text...)
	}
	b = append(b, `<time datetime="`...)
	b = t.UTC().AppendFormat(b, time.RFC3339)
	b = append(b, `">`...)
	b = t.UTC().AppendFormat(b, layoutAt(t.UTC(), now.UTC()))
	return append(b, "</time>"...)
}

// appendEscaped appends text that may stand in HTML, and in an attribute in double
// quotes.
func appendEscaped(b []byte, s string) []byte {
	if !strings.ContainsAny(s, `<>&"'`) {
		return append(b, s...)
	}
	return append(b, template.HTMLEscapeString(s)...)
}
