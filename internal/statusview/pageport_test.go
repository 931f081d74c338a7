package statusview

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/portsync"
)

// foreignEvents returns events with name and text in all text fields, and with n in all numbers.
func foreignEvents(name, text string, n int64) []journal.Event {
	e := journal.Event{Time: time.Unix(n, n), Kind: journal.Renamed, Port: "p" + name, Old: text, New: text, Reason: text,
		Count: uint64(n), Flaps: uint64(n), Span: time.Duration(n), After: time.Duration(n)}
	flapping, odd := e, e
	flapping.Kind, odd.Kind, odd.Port = journal.Flapping, journal.Kind("odd "+text), ""
	return []journal.Event{e, flapping, odd}
}

// historyOf returns a complete history with the events of the last hour at noon.
func historyOf(events ...journal.Event) PortHistory {
	d := &journal.Document{Complete: true, Events: events}
	return PortHistory{Hour: d, Recent: d}
}

// readPortPage renders the page of port i, checks it with checkHTML and returns it.
func readPortPage(t *testing.T, s *Status, i int) *document {
	t.Helper()
	p := &s.Ports[i]
	d, err := checkHTML(s.AppendPortPage(nil, p, historyOf(
		journal.Event{Time: ago(50 * time.Minute), Kind: journal.LinkUp, Port: p.Name, Oper: journal.Up},
		journal.Event{Time: ago(5 * time.Minute), Kind: journal.LinkDown, Port: p.Name, Oper: journal.Down, Flaps: 1})))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPortPageShows checks that the page of a port has its state, properties, events, carrier plot
// and neighbors, and links to the main page.
func TestPortPageShows(t *testing.T) {
	s := switchStatus(32)
	s.Ports[5].PortInfo = portsync.PortInfo{Alias: "etp6", Description: "to spine1 <Eth7>", Speed: "100000", Lanes: "21,22"}
	d := readPortPage(t, s, 5)
	text := strings.Join(strings.Fields(d.text), " ")
	for _, want := range []string{
		"leaf-14 Ethernet20 etp6 · to spine1 <Eth7> · 100G", "← Ethernet16 Ethernet24 →", "port: down", "daemon: degraded, score 65 of 100",
		"cannot write the metrics", "Oper down", "Admin up", "MTU 9,100", "Lanes 21,22", "Carrier up 1", "Carrier down 1", "Flap penalty –",
		"Row in STATE_DB up to date", "In CONFIG_DB no", "PortInitDone waits for it no",
		"1 link-down transition.", "11:55:05.000 5m ago Ethernet20 link down", "11:10:05.000 50m ago Ethernet20 link up", "11:55 UTC: 1 link-down transition",
		"11:10:05 to 11:55:05 UTC: up for 45m", "11:55:05 to 12:00:05 UTC: down for 5m",
	} {
		if !strings.Contains(text, strings.Replace(want, "9,100", "9100", 1)) {
			t.Errorf("the page does not have %q", want)
		}
	}
	for _, link := range []string{"/", "/ports/Ethernet16", "/ports/Ethernet24", "/events?limit=1000&port=Ethernet20"} {
		if countOf(d.links, link) != 1 {
			t.Errorf("want one link to %s among %q", link, d.links)
		}
	}
}

// TestPortPath checks that each name leads to a path that the server decodes to the same name.
func TestPortPath(t *testing.T) {
	for _, name := range append(hostileNames, "Ethernet0", "Eth1/1", "Eth%2f", "a?b#c", "a&b;c,d", "...", "Ethernet0.10", "") {
		link := string(appendPortPath(nil, name))
		d, err := checkHTML([]byte(`<!DOCTYPE html><a href="` + link + `"></a>`))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		u, err := url.Parse(d.links[0])
		if err != nil || u.Path != "/ports/"+name || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("the link of %q is %q, which leads to %+v, %v", name, d.links[0], u, err)
		}
	}
	for _, name := range []string{".", ".."} {
		if got := string(appendPortPath(nil, name)); got != "/ports" {
			t.Errorf("the link of %q is %q, which browsers resolve to another page", name, got)
		}
	}
}

// withoutPorts returns links with the paths of ports' pages shortened, since they contain names.
func withoutPorts(links []string) []string {
	all := slices.Clone(links)
	for i, link := range all {
		if strings.HasPrefix(link, "/ports/") {
			all[i] = "/ports/"
		}
		if strings.HasPrefix(link, "/events?") {
			all[i] = "/events?"
		}
	}
	return all
}

// FuzzPortPage checks that foreign text in all fields is shown and does not change the elements and
// links of a port's page.
func FuzzPortPage(f *testing.F) {
	f.Add("<script>", `"><img src=x onerror=alert(1)>`, int64(1))
	f.Add("Ethernet\xff\u202e/..", "</title></style><!--", int64(math.MaxInt64))
	f.Add("{{.Host}}", "javascript:alert(1)", int64(-1))
	render := func(name, text string, n int64) (*document, error) {
		s := foreignStatus(name, text, n, 1)
		p := &s.Ports[1]
		p.PortInfo = portsync.PortInfo{Alias: name, Description: text, Speed: text, Lanes: name, PanelIndex: text}
		return checkHTML(s.AppendPortPage(nil, p, historyOf(foreignEvents(name, text, n)...)))
	}
	f.Fuzz(func(t *testing.T, name, text string, n int64) {
		if name == "" || text == "" {
			return // empty text can omit an element
		}
		d, err := render(name, text, n)
		if err != nil {
			t.Fatal(err)
		}
		harmless, err := render("x", "y", n)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.tags, harmless.tags) || !slices.Equal(withoutPorts(d.links), withoutPorts(harmless.links)) {
			t.Errorf("%q and %q change the elements or links of the page", name, text)
		}
		for _, s := range []string{name, text} {
			if !strings.Contains(d.text, visible(s)) {
				t.Errorf("the page does not show %q", s)
			}
		}
	})
}

// TestDownsPerMinute checks that the minutes of the plot add up to the exact total, that merged
// events are spread over their span, and that events outside of the hour are omitted.
func TestDownsPerMinute(t *testing.T) {
	m, total := downsPerMinute([]journal.Event{
		{Time: ago(2 * time.Hour), Kind: journal.LinkDown, Flaps: 100},
		{Time: ago(30 * time.Minute), Kind: journal.LinkDown},
		{Time: ago(20 * time.Minute), Kind: journal.LinkUp},
		{Time: ago(19 * time.Minute), Kind: journal.LinkUp, Flaps: 2},
		{Time: ago(5 * time.Second), Kind: journal.Flapping, Flaps: 240, Span: 2 * time.Minute},
	}, ago(time.Hour), noon)
	if total != 243 {
		t.Errorf("total %d, want 243", total)
	}
	for minute, want := range map[int]float64{30: 1, 40: 0, 41: 2, 58: 120, 59: 120, 60: 0} {
		if got := m.downs[minute]; math.Abs(got-want) > 1e-9 {
			t.Errorf("minute %d has %v link-down transitions, want %v", minute, got, want)
		}
	}
}

// TestUnrecordedDowns checks that the transitions of a storm count before the journal records them, and
// that counts of another interface or a count that the driver has reset do not.
func TestUnrecordedDowns(t *testing.T) {
	events := []journal.Event{{Time: ago(40 * time.Second), Port: "Ethernet0", Kind: journal.LinkDown, Flaps: 1, Index: 7, CarrierDown: 100}}
	p := &portsync.PortView{Name: "Ethernet0", Oper: "up", Index: 7, CarrierDown: 152, Flapping: true, LastChange: new(ago(time.Second))}
	v := newCarrierView(&Status{Time: noon, Process: ago(2 * time.Hour)}, p, PortHistory{Hour: &journal.Document{Events: events}, Recent: &journal.Document{Events: events}})
	if want := "53 link-down transitions, 52 of them not in the events yet"; v.Downs != want {
		t.Errorf("%q, want %q", v.Downs, want)
	}
	for _, c := range []struct {
		name   string
		change func(p *portsync.PortView)
	}{
		{"nothing new", func(p *portsync.PortView) { p.CarrierDown = 100 }},
		{"count was reset", func(p *portsync.PortView) { p.CarrierDown = 3 }},
		{"another interface", func(p *portsync.PortView) { p.Index = 8 }},
		{"another name", func(p *portsync.PortView) { p.Name = "Ethernet4" }},
		{"unknown last change", func(p *portsync.PortView) { p.LastChange = nil }},
	} {
		changed := *p
		c.change(&changed)
		if _, n := unrecordedDowns(&changed, events); n != 0 {
			t.Errorf("%s: %d", c.name, n)
		}
	}
}

// TestCarrierSpans checks the states of the carrier over the last hour for histories of a port.
func TestCarrierSpans(t *testing.T) {
	at := func(minutes int, kind journal.Kind, oper journal.State) journal.Event {
		return journal.Event{Time: noon.Add(time.Duration(minutes-60) * time.Minute), Kind: kind, Port: "Ethernet0", Oper: oper}
	}
	flapping := at(30, journal.Flapping, journal.Up)
	flapping.Span = 10 * time.Minute
	renamed := at(30, journal.Renamed, journal.Up)
	renamed.Port, renamed.Old = "Ethernet1", "Ethernet0"
	const old, young = -75, 10 // minute in which the process started
	for _, c := range []struct {
		name       string
		process    int
		incomplete bool
		oper       string
		events     []journal.Event // the first can be older than the hour
		want       string
	}{
		{"no events", old, false, "up", nil, "0 up 60"},
		{"no events, young process", young, false, "down", nil, "0 ? 10 down 60"},
		{"no events, event of an earlier process", young, false, "up", []journal.Event{at(-30, journal.LinkUp, journal.Up)}, "0 up 60"},
		{"down and up", old, false, "up", []journal.Event{at(20, journal.LinkDown, journal.Down), at(21, journal.LinkUp, journal.Up)}, "0 up 20 down 21 up 60"},
		{"young process", young, false, "down", []journal.Event{at(20, journal.LinkDown, journal.Down)}, "0 ? 10 up 20 down 60"},
		{"event of an earlier process", young, false, "down", []journal.Event{at(5, journal.LinkDown, journal.Down)}, "0 ? 5 down 60"},
		{"incomplete", old, true, "down", []journal.Event{at(20, journal.LinkDown, journal.Down)}, "0 ? 20 down 60"},
		{"flapping", old, false, "up", []journal.Event{flapping}, "0 ? 20 flapping 30 up 60"},
		{"created and deleted", old, false, "", []journal.Event{at(20, journal.Created, journal.Up), at(30, journal.Deleted, journal.Unknown)}, "0 ? 20 up 30 ? 60"},
		{"renamed", old, false, "", []journal.Event{renamed}, "0 ? 30 ? 60"},
		{"MTU", old, false, "up", []journal.Event{at(20, journal.MTU, journal.Up)}, "0 up 20 up 60"},
		{"change not yet recorded", old, false, "down", []journal.Event{at(20, journal.LinkUp, journal.Up)}, "0 down 20 up 50 down 60"},
		{"storm not yet recorded", old, false, "up", []journal.Event{at(20, journal.Flapping, journal.Down), at(21, journal.LinkUp, journal.Up)}, "0 ? 20 down 21 flapping 50 up 60"},
	} {
		s := &Status{Time: noon, Process: noon.Add(time.Duration(c.process-60) * time.Minute)}
		p := &portsync.PortView{Name: "Ethernet0", Oper: c.oper, LastChange: new(ago(10 * time.Minute)),
			Flapping: strings.HasPrefix(c.name, "storm")}
		h := PortHistory{Hour: &journal.Document{Complete: !c.incomplete}, Recent: &journal.Document{Events: c.events}}
		for _, e := range c.events {
			if !e.Time.Before(ago(time.Hour)) {
				h.Hour.Events = append(h.Hour.Events, e)
			}
		}
		got := "0"
		for _, span := range carrierSpans(s, p, h, ago(time.Hour)) {
			state := span.state
			if state == "" {
				state = "?"
			}
			got += fmt.Sprintf(" %s %v", state, 60-noon.Sub(span.to).Minutes())
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestPageSize checks the bounds of the pages of a switch with 512 ports: bytes, and allocations for
// each port.
func TestPageSize(t *testing.T) {
	s := switchStatus(512)
	h := historyOf(foreignEvents("x", "y", 7)...)
	for _, c := range []struct {
		name          string
		render        func(b []byte) []byte
		bytes, allocs int
	}{
		{"/", func(b []byte) []byte { return s.AppendPage(b) }, 300_000, 15_000},
		{"/ports/NAME", func(b []byte) []byte { return s.AppendPortPage(b, &s.Ports[7], h) }, 40_000, 5_000},
	} {
		page := c.render(nil)
		allocs := int(testing.AllocsPerRun(5, func() { page = c.render(page[:0]) }))
		begin := time.Now()
		page = c.render(page[:0])
		t.Logf("%s: %d bytes, %v, %d allocations", c.name, len(page), time.Since(begin), allocs)
		if len(page) > c.bytes || allocs > c.allocs {
			t.Errorf("%s: %d bytes and %d allocations, want at most %d and %d", c.name, len(page), allocs, c.bytes, c.allocs)
		}
	}
}

// TestCarrierTooltip checks the tooltips of carrier states, including one that lasts less than a
// second.
func TestCarrierTooltip(t *testing.T) {
	at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	end := at.Add(90 * time.Second)
	plot := carrierPlot(timeAxis(at, end), []carrierSpan{{at, at.Add(400 * time.Millisecond), ""}, {at.Add(400 * time.Millisecond), end, "up"}})
	for _, want := range []string{">12:00:00 to 12:00:00 UTC: unknown for less than 1s<", ">12:00:00 to 12:01:30 UTC: up for 1m 29s<"} {
		if !strings.Contains(string(plot), want) {
			t.Errorf("the plot does not have %q: %s", want, plot)
		}
	}
}
