package statusview

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"portsyncd/internal/journal"
	"portsyncd/portsync"
)

// PortHistory has the recorded events of a port.
type PortHistory struct {
	Hour   *journal.Document // of the last hour
	Recent *journal.Document // newest events of any time
}

// portPageView is the data of the template of a port's page.
type portPageView struct {
	pageHead
	Name, Subtitle string // Subtitle has the alias, description and speed
	State, Tone    string
	Properties     []tile
	Carrier        carrierView
	Events         []eventRow // newest first
	Query          string     // URL of the events in JSON

	Previous, Next *portLink // neighbours on the front panel
}

// portLink is a link to the page of a port.
type portLink struct{ Name, Path string }

// AppendPortPage appends the HTML page of port p and escapes all text. It may be called from any
// goroutine.
func (s *Status) AppendPortPage(b []byte, p *portsync.PortView, h PortHistory) []byte {
	page := bytes.NewBuffer(b)
	if err := pageTemplate().ExecuteTemplate(page, "port", s.newPortPage(p, h)); err != nil {
		panic(err) // the template matches portPageView, and a buffer returns no errors
	}
	return page.Bytes()
}

// newPortPage returns the view of port p.
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

// isPort reports whether the status lists a port with this name.
func (s *Status) isPort(name string) bool {
	for i := range s.Ports {
		if s.Ports[i].Name == name {
			return true
		}
	}
	return false
}

// portStateText returns the state of a port on the panel with its additions.
func portStateText(p *portsync.PortView) string {
	text := portState(p)
	if p.Flapping {
		text += ", flapping"
	}
	if unwritten(p) {
		text += ", not written yet"
	}
	return text
}

// portProperties returns the columns of the table of ports, without the name and the state, and
// what the columns do not show.
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

// writtenText says whether STATE_DB has the state of a port.
func writtenText(p *portsync.PortView) string {
	switch {
	case unwritten(p):
		return "not written yet"
	case p.Present:
		return "written"
	}
	return "none"
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// portPath returns the path of a port's page. Browsers resolve the names "." and ".." as
// directories even if they are escaped; their path is that of the list of ports.
func portPath(name string) string {
	if name == "." || name == ".." {
		return "/ports"
	}
	return "/ports/" + url.PathEscape(name)
}

// appendPortPath appends the path of a port's page, escaped for a quoted attribute.
func appendPortPath(b []byte, name string) []byte {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" {
		return append(append(b, "/ports/"...), name...)
	}
	return appendEscaped(b, portPath(name))
}
