package statusview

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"portsyncd/portsync"
)

// panelView is the content of the front panel and the port table.
type panelView struct {
	Ports    int
	Prefix   string // common prefix of all port names; cells show only the rest
	Dense    bool   // use small cells because there are many ports
	States   []stateCount
	Cells    markup // li elements
	Headings markup // th elements of the table
	Rows     markup // tr elements of the table
}

// stateCount is the number of ports in one state.
type stateCount struct {
	State string
	Count int
}

// Port states on the panel. They are also CSS class names.
const (
	stateUp      = "up"
	stateDown    = "down"
	stateOff     = "off"     // administratively down
	statePending = "pending" // the interface does not exist yet, or PortInitDone waits for the port
	stateAbsent  = "absent"  // the interface was deleted

	// A port can be in these states in addition to one of the states above.
	stateFlapping  = "flapping"
	stateUnwritten = "unwritten" // the displayed state is not yet in STATE_DB
)

// panelStates lists the states in the order of the filter buttons.
var panelStates = []string{stateUp, stateDown, stateOff, statePending, stateAbsent, stateFlapping, stateUnwritten}

// portState returns the state of a port, ignoring flapping and unwritten.
func portState(p *portsync.PortView) string {
	switch {
	case p.State == portsync.PortAbsent.String():
		return stateAbsent
	case p.InitPending || p.Index == 0:
		return statePending
	case p.Oper == "up":
		return stateUp
	case p.Admin == "down":
		return stateOff
	}
	return stateDown
}

// unwritten reports whether the displayed state of p is not yet in STATE_DB. It returns false if
// the interface does not exist yet, because there is no row to write.
func unwritten(p *portsync.PortView) bool {
	return !p.Written && (p.Index != 0 || p.State == portsync.PortAbsent.String())
}

// denseFrom is the number of ports from which the panel uses small cells.
const denseFrom = 129

// newPanel returns the panel for ports at time now.
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
	line := portLine{printer: newPrinter(Terminal{}, nil), now: now}
	columns := columnsOf(ports)
	for i := range ports {
		cells = appendCell(cells, &ports[i], v.Prefix, names[i][len(v.Prefix):])
		line.PortView = &ports[i]
		rows = appendPortRow(rows, columns, &line)
	}
	v.Cells, v.Headings, v.Rows = markup(cells), markup(appendPortHeadings(nil, columns)), markup(rows)
	return v
}

// exceptions returns the number of ports in each state other than up, such as "2 down, 1 flapping".
func (v *panelView) exceptions() string {
	var all []string
	for _, s := range v.States {
		if s.State != stateUp && s.Count > 0 {
			all = append(all, grouped(s.Count)+" "+s.State)
		}
	}
	return strings.Join(all, ", ")
}

// commonPrefix returns the longest common prefix of a and b that does not split a character.
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

// appendCell appends the cell of port p, which links to the port's page. The common prefix of all
// names is visually hidden but remains available to screen readers.
func appendCell(b []byte, p *portsync.PortView, prefix, rest string) []byte {
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
	b = append(b, `"><a href="`...)
	b = appendPortPath(b, p.Name)
	b = append(b, '"')
	b = appendTooltip(b, p)
	b = append(b, `><b><i>`...)
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

// appendTooltip appends a title attribute with the port's name, alias, description and speed. It
// appends nothing if CONFIG_DB has no alias, description or speed for the port.
func appendTooltip(b []byte, p *portsync.PortView) []byte {
	if p.Alias == "" && p.Description == "" && p.Speed == "" {
		return b
	}
	b = append(b, ` title="`...)
	b = appendEscaped(b, visible(p.Name))
	for _, s := range [...]string{p.Alias, p.Description, speed(p.Speed)} {
		if s != "" {
			b = append(b, ", "...)
			b = appendEscaped(b, visible(s))
		}
	}
	return append(b, '"')
}
