package statusview

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"portsyncd/portsync"
)

// portIssue is a problem of a port that needs attention. Lower values are more severe.
type portIssue int

const (
	issueAbsent      portIssue = iota // the interface was deleted
	issueNoInterface                  // the interface does not exist yet
	issueIgnored                      // portsyncd ignores interfaces with this name
	issueUnwritten                    // the displayed state is not yet in STATE_DB
	issuePending                      // PortInitDone waits for the port
	issueFlapping                     // the flap penalty is high
	issueNoCarrier                    // administratively up, but no carrier
	noIssue
	numIssues
)

var portIssues = [numIssues]struct {
	note  string // shown in the table
	label string // heading of the list above the table
	style style
}{
	{"absent", "absent", bad},
	{"no interface", "missing", bad},
	{"ignored", "ignored", bad},
	{"not written yet", "unwritten", warn},
	{"pending", "pending", warn},
	{"flapping", "flapping", warn},
	{"no carrier", "no carrier", warn},
	{"", "", plain},
}

const linkUp = "up" // value of PortView.Oper and PortView.Admin

// issueOf returns the most severe issue of port v.
func issueOf(v *portsync.PortView) portIssue {
	switch {
	case v.Index == 0 && v.State == portsync.PortAbsent.String():
		return issueAbsent
	case isIgnored(v):
		return issueIgnored
	case notDumped(v):
		return issuePending
	case v.Index == 0:
		return issueNoInterface
	case unwritten(v):
		return issueUnwritten
	case v.InitPending:
		return issuePending
	case v.Flapping:
		return issueFlapping
	case v.Admin == linkUp && v.Oper != linkUp:
		return issueNoCarrier
	}
	return noIssue
}

// ignoredNotes and unwrittenNotes describe the reasons of PortView.Reason why portsyncd ignores the
// interfaces with the name of a port, and why it does not write the row of an existing interface.
var (
	ignoredNotes = map[string]string{
		"old_interface": "old interface, ignored",
		"ignored_name":  "name is ignored",
		"unreadable":    "unreadable messages",
	}
	unwrittenNotes = map[string]string{
		"team":           "team interface, ignored",
		"not_in_appl_db": "not in APPL_DB",
		"refused":        "refused by Redis",
	}
)

// isIgnored reports whether portsyncd ignores the interfaces with the name of port v.
func isIgnored(v *portsync.PortView) bool { return v.Index == 0 && ignoredNotes[v.Reason] != "" }

// notDumped reports whether it is not known yet if port v has an interface.
func notDumped(v *portsync.PortView) bool { return v.Index == 0 && v.Reason == "not_dumped" }

// unwrittenText describes why the displayed state of port v is not in STATE_DB. Call it only if
// unwritten(v) is true.
func unwrittenText(v *portsync.PortView) string {
	return cmp.Or(unwrittenNotes[v.Reason], portIssues[issueUnwritten].note)
}

// printIssues prints the ports that need attention. It prints nothing if the port table is short.
func (s *Status) printIssues(p *printer) {
	if len(s.Ports) <= longTable {
		return
	}
	var names [numIssues][]string
	for i := range s.Ports {
		issue := issueOf(&s.Ports[i])
		names[issue] = append(names[issue], s.Ports[i].Name)
	}
	for issue, all := range names[:noIssue] {
		if len(all) > 0 {
			p.field(portIssues[issue].label, p.nameList(all, portIssues[issue].style)...)
		}
	}
}

// maxNamed is the maximum number of names printed in a list.
const maxNamed = 8

// nameList returns the number of names, printed in style st, followed by at most maxNamed of the
// names.
func (p *printer) nameList(names []string, st style) []word {
	words := []word{{strconv.Itoa(len(names)) + ":", st}}
	for _, name := range names[:min(len(names), maxNamed)] {
		words = append(words, word{p.visible(name), plain})
	}
	if more := len(names) - maxNamed; more > 0 {
		words = append(words, word{fmt.Sprintf("and %d more", more), plain})
	}
	return words
}

// tableHead is the number of lines above the table's rows: an empty line and the headings.
const tableHead = 2

// printPorts prints the port table, limited to the height of the terminal. If not all ports fit, it
// shows those with the most severe issues.
func (s *Status) printPorts(p *printer) {
	ports := pointers(s.Ports)
	if p.Height > 0 && len(ports) > p.Height-p.lines-tableHead {
		slices.SortStableFunc(ports, func(a, b *portsync.PortView) int { return cmp.Compare(issueOf(a), issueOf(b)) })
	}
	if len(ports) == 0 {
		p.field("", word{"no ports", plain})
		return
	}
	s.printTable(p, ports)
}

// pointers returns pointers to the elements of ports.
func pointers(ports []portsync.PortView) []*portsync.PortView {
	all := make([]*portsync.PortView, len(ports))
	for i := range ports {
		all[i] = &ports[i]
	}
	return all
}

// printTable prints ports as a table in the given order, limited to the height of the terminal. If
// some ports do not fit, it prints how many were omitted.
func (s *Status) printTable(p *printer, ports []*portsync.PortView) {
	shown, hidden := ports, ports[len(ports):]
	if room := p.Height - p.lines - tableHead; p.Height > 0 && len(ports) > room {
		room = max(room-1, 0) // reserve a line for the number of omitted ports
		shown, hidden = ports[:room], ports[room:]
	}
	if len(shown) == 0 {
		return
	}
	p.end()
	var columns []column
	var minor []int
	rows := make([][]word, len(shown))
	all := columnsOf(s.Ports)
	for i := range all {
		c := &all[i]
		if c.width > p.Width {
			continue
		}
		if c.optional {
			minor = append(minor, len(columns))
		}
		columns = append(columns, column{c.heading(), c.number})
		for j, v := range shown {
			cell := c.cell(&portLine{p, s.Time, v})
			if cell.text == "" && i < len(all)-1 {
				cell.text = "-"
			}
			rows[j] = append(rows[j], cell)
		}
	}
	p.table(columns, rows, minor...)
	if len(hidden) > 0 {
		p.word(word{shorten(fmt.Sprintf("and %s, %d of them up", count(uint64(len(hidden)), "more port", "more ports"), countUp(hidden)),
			p.Width, p.ellipsis()), faint})
		p.end()
	}
}

func countUp(ports []*portsync.PortView) (n int) {
	for _, v := range ports {
		n += bit(v.Oper == linkUp)
	}
	return n
}

// orDash returns s, or "-" if s is empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
