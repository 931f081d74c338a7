package statusview

import (
	"net/url"
	"slices"
	"strings"

	"portsyncd/internal/journal"
	"portsyncd/portsync"
)

// PortHistory holds the recorded events of a port.
type PortHistory struct {
	Hour   *journal.Document // events of the last hour
	Recent *journal.Document // newest events, regardless of age
}

// portPageView is the content of a port page.
type portPageView struct {
	pageHead
	Name, Subtitle string // Subtitle contains the alias, description and speed
	State, Tone    string
	Properties     []tile
	Carrier        carrierView
	Events         []eventRow // newest first
	Query          string     // URL of the events as JSON

	Previous, Next *portLink // neighbors on the front panel
}

// portLink is a link to a port page.
type portLink struct{ Name, Path string }

// AppendPortPage appends the HTML page for port p to b. All text is escaped. AppendPortPage is safe
// for concurrent use.
func (s *Status) AppendPortPage(b []byte, p *portsync.PortView, h PortHistory) []byte {
	w := htmlWriter{b}
	w.portPage(s.newPortPage(p, h))
	return w.b
}

// newPortPage returns the content of port p.
func (s *Status) newPortPage(p *portsync.PortView, h PortHistory) *portPageView {
	v := &portPageView{
		pageHead: s.newPageHead(), Name: visible(p.Name), State: portStateText(p), Tone: portState(p),
		Properties: s.portProperties(p), Carrier: newCarrierView(s, p, h),
		Query: "/events?" + (&journal.Filter{Ports: []string{p.Name}, Limit: 1000}).Query(),
	}
	v.Events = eventRows(h.Recent.Events, s.Time, func(name string) bool { return name != p.Name && s.isPort(name) })
	v.Subtitle = strings.Join(slices.DeleteFunc([]string{visible(p.Alias), visible(p.Description), visible(speed(p.Speed))},
		func(s string) bool { return s == "" }), " · ")
	if p.Flapping {
		v.Tone = "warn"
	}
	for i := range s.Ports {
		if s.Ports[i].Name != p.Name {
			continue
		}
		if i > 0 {
			v.Previous = linkTo(s.Ports[i-1].Name)
		}
		if i+1 < len(s.Ports) {
			v.Next = linkTo(s.Ports[i+1].Name)
		}
	}
	return v
}

func linkTo(name string) *portLink { return &portLink{visible(name), portPath(name)} }

// isPort reports whether s lists a port with the given name.
func (s *Status) isPort(name string) bool {
	for i := range s.Ports {
		if s.Ports[i].Name == name {
			return true
		}
	}
	return false
}

// portStateText returns the panel state of p, followed by "flapping" and the reason why the state is
// not in STATE_DB, if they apply.
func portStateText(p *portsync.PortView) string {
	text := portState(p)
	if p.Flapping {
		text += ", flapping"
	}
	switch {
	case unwritten(p):
		text += ", " + unwrittenText(p)
	case isIgnored(p):
		text += ", " + ignoredNotes[p.Reason]
	}
	return text
}

// portProperties returns the port table's columns, except name and state, and properties that the
// table does not contain.
func (s *Status) portProperties(p *portsync.PortView) []tile {
	line := portLine{printer: newPrinter(Terminal{}, nil), now: s.Time, PortView: p}
	var all []tile
	for i := range portColumns[1:] {
		c := &portColumns[1+i]
		if c.cell == nil || c.title == "Note" {
			continue
		}
		value := c.cell(&line).text
		if value == "" {
			value = "–"
		}
		all = append(all, tile{Name: c.title, Value: value})
	}
	return append(all,
		tile{Name: "Row in STATE_DB", Value: writtenText(p)},
		tile{Name: "In CONFIG_DB", Value: yesOrNo(p.Configured)},
		tile{Name: "PortInitDone waits for it", Value: yesOrNo(p.InitPending)})
}

// writtenText describes whether the state of p has been written to STATE_DB.
func writtenText(p *portsync.PortView) string {
	switch {
	case unwritten(p):
		return unwrittenText(p)
	case p.Present:
		return "up to date"
	case isIgnored(p):
		return "not updated"
	case notDumped(p):
		return "not known yet"
	}
	return "no row"
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// portPath returns the URL path of a port page. Browsers treat the names "." and ".." as
// directories even if they are escaped, so portPath returns the path of the port list for them.
func portPath(name string) string {
	if name == "." || name == ".." {
		return "/ports"
	}
	return "/ports/" + url.PathEscape(name)
}

// appendPortPath appends the URL path of a port page, escaped for a quoted attribute.
func appendPortPath(b []byte, name string) []byte {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" {
		return append(append(b, "/ports/"...), name...)
	}
	return appendEscaped(b, portPath(name))
}
