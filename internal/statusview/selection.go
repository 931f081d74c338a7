package statusview

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"portsyncd/portsync"
)

// Selection selects and sorts the ports that "portsyncd status" shows. The zero value selects all.
type Selection struct {
	Ports    []string // names or aliases; nil: all
	Down     bool     // only ports that are not operationally up
	Flapping bool     // only ports whose flap penalty exceeds the threshold
	Sort     string   // a key of SortOrders; "": by name, with problems first if not all ports fit
}

// SortOrders are the values of [Selection.Sort].
var SortOrders = []string{"changes", "last", "name"}

// IsZero reports whether x selects all ports in the default order.
func (x *Selection) IsZero() bool {
	return len(x.Ports) == 0 && !x.Down && !x.Flapping && x.Sort == ""
}

// Apply returns the selected ports. It returns an error if a port of x.Ports does not exist.
func (x *Selection) Apply(s *Status) ([]*portsync.PortView, error) {
	for _, name := range x.Ports {
		if !slices.ContainsFunc(s.Ports, func(v portsync.PortView) bool { return isCalled(&v, name) }) {
			return nil, fmt.Errorf("unknown port %q: must be a name or an alias such as %s", name, examples(s.Ports))
		}
	}
	ports := slices.DeleteFunc(pointers(s.Ports), func(v *portsync.PortView) bool {
		named := len(x.Ports) == 0 || slices.ContainsFunc(x.Ports, func(name string) bool { return isCalled(v, name) })
		return !named || x.Down && v.Oper == linkUp || x.Flapping && !v.Flapping
	})
	switch x.Sort {
	case "changes":
		slices.SortStableFunc(ports, func(a, b *portsync.PortView) int {
			return cmp.Compare(b.CarrierUp+b.CarrierDown, a.CarrierUp+a.CarrierDown)
		})
	case "last":
		slices.SortStableFunc(ports, func(a, b *portsync.PortView) int {
			switch {
			case a.LastChange == nil || b.LastChange == nil:
				return cmp.Compare(bit(a.LastChange == nil), bit(b.LastChange == nil))
			}
			return b.LastChange.Compare(*a.LastChange)
		})
	}
	return ports, nil
}

// isCalled reports whether name is the name or the alias of port v.
func isCalled(v *portsync.PortView, name string) bool {
	return v.Name == name || v.Alias == name && name != ""
}

// examples returns the first and the last port name as examples for an error message.
func examples(ports []portsync.PortView) string {
	if len(ports) == 0 {
		return "Ethernet0; the daemon has no ports"
	}
	return strconv.Quote(ports[0].Name) + " to " + strconv.Quote(ports[len(ports)-1].Name)
}

// AppendSelection appends the selected ports as text. If x names a single port, it prints all
// details of that port. Otherwise it prints a summary and a table of the selected ports. For the
// zero Selection it is the same as [Status.AppendText].
func (s *Status) AppendSelection(b []byte, t Terminal, x *Selection) ([]byte, error) {
	if x.IsZero() {
		return s.AppendText(b, t), nil
	}
	ports, err := x.Apply(s)
	if err != nil {
		return b, err
	}
	p := newPrinter(t, b)
	p.title(s.heading(p))
	s.printSummary(p)
	switch {
	case len(ports) == 1 && len(x.Ports) == 1:
		s.printPort(p, ports[0])
	case len(ports) == 0:
		p.end()
		p.field("", word{"no port matches", plain})
	default:
		s.printTable(p, ports)
	}
	p.cut()
	return p.b, nil
}

// printPort prints everything about one port.
func (s *Status) printPort(p *printer, v *portsync.PortView) {
	l := &portLine{p, s.Time, v}
	p.end()
	p.field("port", join(word{p.visible(v.Name), strong}, word{labeled("alias ", p.visible(v.Alias)), plain},
		word{labeled("front panel index ", p.visible(v.PanelIndex)), plain})...)
	if v.Description != "" {
		p.field("", word{p.visible(v.Description), plain})
	}
	state := word{portState(v), good}
	if issue := issueOf(v); issue != noIssue {
		state.style = portIssues[issue].style
	} else if v.Oper != linkUp {
		state.style = plain
	}
	note := noteCell(l)
	if note.text == state.text {
		note.text = ""
	}
	p.field("state", join(state, note)...)
	switch {
	case isIgnored(v):
		p.field("interface", word{ignoredNotes[v.Reason], portIssues[issueIgnored].style})
	case notDumped(v):
		p.field("interface", word{"not known yet", plain})
	case v.Index == 0:
		p.field("interface", word{"none", plain})
	default:
		p.field("interface", join(word{"admin " + p.visible(v.Admin), plain}, word{"oper " + p.visible(v.Oper), plain},
			word{"MTU " + strconv.FormatInt(v.MTU, 10), plain}, word{"ifindex " + strconv.FormatInt(v.Index, 10), plain})...)
	}
	p.field("speed", join(word{orDash(p.visible(speed(v.Speed))), plain}, word{labeled("lanes ", p.visible(v.Lanes)), plain})...)
	ups, downs := word{"no counts", plain}, word{}
	if v.Index != 0 {
		ups = word{count(unsigned(v.CarrierUp), "link-up", "link-ups"), plain}
		downs = word{count(unsigned(v.CarrierDown), "link-down", "link-downs"), plain}
	}
	p.field("carrier", join(ups, downs, word{"flap penalty " + digits(v.Penalty), warnIf(v.Flapping)},
		word{map[bool]string{true: "flapping"}[v.Flapping], warn})...)
	if v.LastChange == nil {
		p.field("changed", word{"not since the start of the daemon", plain})
	} else {
		p.field("changed", join(word{lastChange(l), plain}, word{"at " + changedAt(l), plain})...)
	}
	p.field("STATE_DB", word{writtenText(v), warnIf(unwritten(v) || isIgnored(v))})
	p.field("CONFIG_DB", word{map[bool]string{true: "has the port", false: "does not have the port"}[v.Configured], plain})
	if v.InitPending {
		p.field("start", word{"PortInitDone waits for the port", warn})
	}
	for i := range s.Pending {
		if w := &s.Pending[i]; w.What == v.Name {
			p.field("pending", join(word{p.visibleText(w.Why), warn}, word{"for " + age(s.Time.Sub(w.From)), plain})...)
		}
	}
	s.printEvents(p)
}

// printEvents prints the last events of a port, the newest first.
func (s *Status) printEvents(p *printer) {
	switch {
	case s.Events == nil:
		p.field("events", word{"not available from the daemon", plain})
	case len(s.Events) == 0:
		p.field("events", word{"none in the memory of the daemon", plain})
	}
	label := "events"
	for i := range slices.Backward(s.Events) {
		e := &s.Events[i]
		p.field(label, word{e.Time.In(p.Zone).Format(eventTime), faint}, word{eventText(e, p.ASCII), eventStyle(e)})
		label = ""
	}
}

// labeled returns text preceded by a label, or "" if text is empty.
func labeled(label, text string) string {
	if strings.TrimSpace(text) == "" {
		return ""
	}
	return label + text
}
