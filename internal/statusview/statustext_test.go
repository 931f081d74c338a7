package statusview

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"portsyncd/portsync"
)

// TestStatusText compares the text of a status with golden files.
func TestStatusText(t *testing.T) {
	for _, width := range []int{80, 120, 200} {
		for _, n := range []int{0, 3, 512} {
			golden(t, fmt.Sprintf("status-%d-%d.txt", n, width), switchOf(n).AppendText(nil, Terminal{Width: width}))
		}
		golden(t, fmt.Sprintf("status-hostile-%d.txt", width), troubled().AppendText(nil, Terminal{Width: width}))
	}
	golden(t, "status-ascii.txt", troubled().AppendText(nil, Terminal{ASCII: true}))
	golden(t, "status-color.txt", troubled().AppendText(nil, Terminal{Color: true}))
	golden(t, "status-24-lines.txt", switchOf(512).AppendText(nil, Terminal{Height: 30}))
	golden(t, "status-nothing.txt", new(Status).AppendText(nil, Terminal{}))
}

var colorSequence = regexp.MustCompile("\x1b\\[[0-9;]*m")

// checkText describes the first fault of text for a terminal, or returns "".
func checkText(text []byte, t Terminal) string {
	if !t.Color && colorSequence.Match(text) {
		return "color sequences without Terminal.Color"
	}
	text = colorSequence.ReplaceAll(text, nil)
	if !utf8.Valid(text) {
		return "not UTF-8"
	}
	width := max(t.Width, minWidth)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		for _, r := range line {
			if r < ' ' || r == 0x7f || r > 0x7e && (t.ASCII || !isPlain(r) && !strings.ContainsRune("…µ–▁▂▃▄▅▆▇█", r)) {
				return fmt.Sprintf("character %q in the line %q", r, line)
			}
		}
		if n := textWidth(line); n > width {
			return fmt.Sprintf("%d columns in the line %q", n, line)
		}
		if strings.HasSuffix(line, " ") {
			return fmt.Sprintf("blanks at the end of %q", line)
		}
	}
	return ""
}

// TestTextFits checks for many sizes of terminals that no line exceeds the width, that the text
// does not exceed the height, and that no control characters are printed.
func TestTextFits(t *testing.T) {
	for _, s := range []*Status{switchOf(0), switchOf(1), switchOf(17), switchOf(512), troubled(), new(Status)} {
		for _, width := range []int{1, 40, 53, 80, 111, 200, 1000} {
			for _, term := range []Terminal{{Width: width}, {Width: width, Color: true}, {Width: width, ASCII: true}} {
				if wrong := checkText(s.AppendText(nil, term), term); wrong != "" {
					t.Errorf("%d ports, %+v: %s", len(s.Ports), term, wrong)
				}
				for _, term.Height = range []int{1, 10, 24, 50} {
					text := s.AppendText(nil, term)
					if wrong := checkText(text, term); wrong != "" {
						t.Errorf("%d ports, %+v: %s", len(s.Ports), term, wrong)
					}
					if n := strings.Count(string(text), "\n"); n > term.Height {
						t.Errorf("%d ports, %+v: %d lines", len(s.Ports), term, n)
					}
				}
			}
		}
	}
}

// TestConfigDone checks that only a start that has to write PortConfigDone shows it as not written.
func TestConfigDone(t *testing.T) {
	for _, c := range []struct {
		kind        string
		ready, done bool
		want        string
	}{
		{"cold", true, true, " PortConfigDone, "},
		{"cold", true, false, " no PortConfigDone, "},
		{"warm", true, true, " PortConfigDone, "},
		{"warm", true, false, " PortConfigDone of an earlier start, "},
		{"warm", false, false, " no PortConfigDone, "},
	} {
		s := switchOf(1)
		s.Start.Kind, s.Start.Ready, s.Start.ConfigDone = c.kind, c.ready, c.done
		if text := string(s.AppendText(nil, Terminal{})); !strings.Contains(strings.Join(strings.Fields(text), " "), ","+c.want) {
			t.Errorf("%+v: no %q in\n%s", c, c.want, text)
		}
	}
}

// TestPortsOnAScreen checks that ports with issues come first on a short terminal and that the
// hidden ports are counted.
func TestPortsOnAScreen(t *testing.T) {
	text := string(switchOf(512).AppendText(nil, Terminal{Height: 30}))
	_, table, _ := strings.Cut(text, "PORT ")
	at := -1
	for _, name := range []string{"Ethernet396 ", "Ethernet28 ", "Ethernet0 "} { // flapping, no carrier, no issue
		i := strings.Index(table, name)
		if i <= at {
			t.Errorf("%s is not in its expected position in\n%s", name, table)
		}
		at = i
	}
	rows := strings.Count(table, "\n") - 2 // without the headings and the last line
	if want := fmt.Sprintf("and %d more ports, %d of them up\n", 512-rows, 512-rows-1); !strings.HasSuffix(table, want) {
		t.Errorf("no %q at the end of\n%s", want, table)
	}
}

// TestAllPortsInAFile checks that without a height every port has one line, in the order of the
// status.
func TestAllPortsInAFile(t *testing.T) {
	s := switchOf(512)
	rows := regexp.MustCompile(`(?m)^Ethernet(\d+) `).FindAllStringSubmatch(string(s.AppendText(nil, Terminal{})), -1)
	if len(rows) != 512 {
		t.Fatalf("%d lines of ports, want 512", len(rows))
	}
	for i, row := range rows {
		if "Ethernet"+row[1] != s.Ports[i].Name {
			t.Fatalf("line %d is of Ethernet%s, want %s", i, row[1], s.Ports[i].Name)
		}
	}
}

// TestIssues checks which issue is reported for a port that has several.
func TestIssues(t *testing.T) {
	for want, v := range map[portIssue]portsync.PortView{
		issueAbsent:      {State: "absent", Configured: true, Written: true},
		issueNoInterface: {State: "pending", InitPending: true},
		issueIgnored:     {State: "pending", InitPending: true, Written: true, Reason: "old_interface"},
		issueUnwritten:   {State: "pending", Index: 3, InitPending: true, Flapping: true, Admin: "up", Oper: "down"},
		issuePending:     {State: "present", Index: 3, Written: true, InitPending: true, Flapping: true, Admin: "up", Oper: "down"},
		issueFlapping:    {State: "present", Index: 3, Written: true, Flapping: true, Admin: "up", Oper: "down"},
		issueNoCarrier:   {State: "present", Index: 3, Written: true, Admin: "up", Oper: "down"},
		noIssue:          {State: "present", Index: 3, Written: true, Admin: "down", Oper: "down"},
	} {
		if got := issueOf(&v); got != want {
			t.Errorf("issueOf(%+v) = %q, want %q", v, portIssues[got].label, portIssues[want].label)
		}
	}
}

// TestPortsNotWritten checks that the text and the page mark ports whose state STATE_DB does not
// have.
func TestPortsNotWritten(t *testing.T) {
	s := switchOf(20)
	changed := &s.Ports[5]
	changed.Oper, changed.Written = "down", false
	gone := &s.Ports[6]
	*gone = portsync.PortView{Name: gone.Name, State: "absent", Configured: true}
	absent := &s.Ports[7]
	*absent = portsync.PortView{Name: absent.Name, State: "absent", Configured: true, Written: true}
	text := string(s.AppendText(nil, Terminal{Width: 120}))
	for _, want := range []string{
		`(?m)^unwritten +1: Ethernet20$`, `(?m)^absent +2: Ethernet24 Ethernet28$`,
		`(?m)^Ethernet20 +down .* not written yet$`, `(?m)^Ethernet24 +- .* absent, not written yet$`, `(?m)^Ethernet28 +- .* absent$`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no match of %s in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "not written yet"); n != 2 {
		t.Errorf("%d ports are marked as not written yet, want 2, in\n%s", n, text)
	}
	panel := newPanel(s.Ports, s.Time)
	for _, want := range []string{`<li class="down unwritten">`, `<li class="absent unwritten">`, `<li class="absent">`, `<li class="up">`} {
		if !strings.Contains(string(panel.Cells), want) {
			t.Errorf("no %s in %s", want, panel.Cells)
		}
	}
	if n := strings.Count(string(panel.Rows), ", not written yet</td>"); n != 2 {
		t.Errorf("%d rows are marked as not written yet, want 2, in %s", n, panel.Rows)
	}
	if got := panel.States[len(panel.States)-1]; got != (stateCount{stateUnwritten, 2}) {
		t.Errorf("got count %+v, want 2 unwritten", got)
	}
}

// TestReasons checks that the table, the details of a port and its page say why a port has no row that
// is up to date, and that they do not say that an interface does not exist or that a row is about to
// be written if that is not the case.
func TestReasons(t *testing.T) {
	ignored := func(reason string) portsync.PortView {
		return portsync.PortView{State: "pending", Configured: true, Written: true, Reason: reason}
	}
	exists := func(state, reason string) portsync.PortView {
		return portsync.PortView{State: state, Configured: true, Reason: reason, Index: 3, Admin: "up", Oper: "up", MTU: 9100}
	}
	for _, c := range []struct {
		port                                 portsync.PortView
		note, state, iface, row, page, wrong string
	}{
		{ignored("old_interface"), "old interface, ignored", "pending, old interface, ignored", "old interface, ignored", "not updated", "pending, old interface, ignored", "no interface"},
		{ignored("ignored_name"), "name is ignored", "pending, name is ignored", "name is ignored", "not updated", "pending, name is ignored", "no interface"},
		{ignored("unreadable"), "unreadable messages", "pending, unreadable messages", "unreadable messages", "not updated", "pending, unreadable messages", "no interface"},
		{ignored("no_interface"), "no interface", "pending, no interface", "none", "no row", "pending", "not written yet"},
		{exists("pending", "not_in_appl_db"), "not in APPL_DB", "up, not in APPL_DB", "admin up", "not in APPL_DB", "up, not in APPL_DB", "not written yet"},
		{exists("present", "not_in_appl_db"), "not in APPL_DB", "up, not in APPL_DB", "admin up", "not in APPL_DB", "up, not in APPL_DB", "not written yet"},
		{exists("pending", "refused"), "refused by Redis", "up, refused by Redis", "admin up", "refused by Redis", "up, refused by Redis", "not written yet"},
		{exists("pending", "team"), "team interface, ignored", "up, team interface, ignored", "admin up", "team interface, ignored", "up, team interface, ignored", "not written yet"},
		{exists("present", "not_written"), "not written yet", "up, not written yet", "admin up", "not written yet", "up, not written yet", "up to date"},
	} {
		s := switchOf(2)
		c.port.Name = s.Ports[1].Name
		s.Ports[1] = c.port
		table := string(s.AppendText(nil, Terminal{}))
		if !regexp.MustCompile(`(?m)^Ethernet4 .*  `+c.note+`$`).MatchString(table) || strings.Contains(table, c.wrong) {
			t.Errorf("%s: no note %q, or %q, in\n%s", c.port.Reason, c.note, c.wrong, table)
		}
		details, err := s.AppendSelection(nil, Terminal{}, &Selection{Ports: []string{"Ethernet4"}})
		for _, want := range []string{"\nstate      " + c.state + "\n", "\ninterface  " + c.iface, "\nSTATE_DB   " + c.row + "\n"} {
			if err != nil || !strings.Contains(string(details), want) {
				t.Errorf("%s: %v; no %q in\n%s", c.port.Reason, err, want, details)
			}
		}
		if got := portStateText(&c.port); got != c.page {
			t.Errorf("%s: the page shows %q, want %q", c.port.Reason, got, c.page)
		}
	}
}

func BenchmarkStatusText(b *testing.B) {
	s := switchOf(512)
	var text []byte
	for b.Loop() {
		text = s.AppendText(text[:0], Terminal{Width: 120, Color: true})
	}
	b.ReportMetric(float64(len(text)), "bytes")
}
