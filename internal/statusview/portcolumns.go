package statusview

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"portsyncd/portsync"
)

// portColumn is a column of the port table. The text output of "portsyncd status" and the page
// share [portColumns], so a new column needs only one entry there.
type portColumn struct {
	title  string // heading
	short  string // heading in text output, if different from title
	number bool   // right-aligned
	width  int    // minimum terminal width at which text output has the column; pageOnly: never
	onPage bool
	// optional omits the column if its cells are empty for all ports. If the table is too wide for
	// the terminal, optional columns are narrowed first.
	optional bool

	// cell returns the content of a cell. Text output shows an empty cell as "-", except in the
	// last column.
	cell func(l *portLine) word
	// html appends the td element for the page. If html is nil, the element contains the text of
	// cell.
	html func(b []byte, l *portLine) []byte
}

const pageOnly = math.MaxInt

// portLine is the port for which a cell is rendered.
type portLine struct {
	*printer
	now time.Time
	*portsync.PortView
}

// portColumns lists the columns from left to right. On the page, the first column is the row
// heading.
var portColumns = []portColumn{
	{title: "Port", onPage: true, cell: text(func(l *portLine) string { return l.visible(l.Name) })},
	{title: "Alias", width: 80, onPage: true, optional: true, cell: info(func(i *portsync.PortInfo) string { return i.Alias })},
	{title: "State", width: pageOnly, onPage: true, html: appendStateCell},
	{title: "Oper", onPage: true, cell: operCell},
	{title: "Admin", onPage: true, cell: text(func(l *portLine) string { return l.visible(l.Admin) })},
	{title: "MTU", width: 60, onPage: true, number: true, cell: linkNumber(func(l *portLine) int64 { return l.MTU })},
	{title: "Speed", width: 100, onPage: true, optional: true, cell: text(func(l *portLine) string { return l.visible(speed(l.Speed)) })},
	{title: "Lanes", width: 160, onPage: true, optional: true, cell: info(func(i *portsync.PortInfo) string { return i.Lanes })},
	{title: "Index", width: 160, onPage: true, optional: true, cell: info(func(i *portsync.PortInfo) string { return i.PanelIndex })},
	{title: "Ifindex", width: 110, number: true, cell: linkNumber(func(l *portLine) int64 { return l.Index })},
	{title: "Changes", width: 70, number: true, cell: linkCount(func(l *portLine) int64 { return l.CarrierUp + l.CarrierDown })},
	{title: "Carrier up", short: "UP", width: 140, onPage: true, number: true, cell: linkCount(func(l *portLine) int64 { return l.CarrierUp })},
	{title: "Carrier down", short: "DOWN", width: 140, onPage: true, number: true, cell: linkCount(func(l *portLine) int64 { return l.CarrierDown })},
	{title: "Flap penalty", short: "PENALTY", width: 110, onPage: true, number: true, cell: text(penalty)},
	{title: "Last change", width: 50, onPage: true, cell: text(lastChange), html: appendLastChangeCell},
	{title: "Changed at", width: 140, cell: text(changedAt)},
	{title: "Description", width: 120, onPage: true, optional: true, cell: info(func(i *portsync.PortInfo) string { return i.Description })},
	{title: "Note", cell: noteCell},
}

// columnsOf returns the columns of the port table for the given ports. It omits optional columns
// that are empty for all of them.
func columnsOf(ports []portsync.PortView) []portColumn {
	line := portLine{printer: new(printer)}
	return slices.DeleteFunc(slices.Clone(portColumns), func(c portColumn) bool {
		return c.optional && !slices.ContainsFunc(ports, func(v portsync.PortView) bool {
			line.PortView = &v
			return c.cell(&line).text != ""
		})
	})
}

// info returns a function that renders a table cell with a text field of the port's row in
// CONFIG_DB.
func info(value func(i *portsync.PortInfo) string) func(l *portLine) word {
	return text(func(l *portLine) string { return l.visible(value(&l.PortInfo)) })
}

// speed formats a port speed in Mb/s in a larger unit, such as "100G" for "100000". It returns s
// unchanged if s is not such a number.
func speed(s string) string {
	if n := len(s) - 3; n > 0 && s[0] != '0' && strings.Trim(s, "0123456789") == "" && s[n:] == "000" {
		return s[:n] + "G"
	}
	return s
}

// heading returns the heading of the column in the output of "portsyncd status".
func (c *portColumn) heading() string {
	if c.short != "" {
		return c.short
	}
	return strings.ToUpper(c.title)
}

// text returns a cell function for unstyled text.
func text(value func(l *portLine) string) func(l *portLine) word {
	return func(l *portLine) word { return word{value(l), plain} }
}

// linkNumber returns a function that renders a table cell with a numeric property of the interface.
// The cell is empty if the port has no interface.
func linkNumber(value func(l *portLine) int64) func(l *portLine) word {
	return func(l *portLine) word {
		if l.Index == 0 {
			return word{}
		}
		return word{strconv.FormatInt(value(l), 10), plain}
	}
}

// linkCount is like linkNumber, but adds commas as thousands separators.
func linkCount(value func(l *portLine) int64) func(l *portLine) word {
	return func(l *portLine) word {
		if l.Index == 0 {
			return word{}
		}
		return word{grouped(value(l)), plain}
	}
}

func operCell(l *portLine) word {
	st := portIssues[issueOf(l.PortView)].style
	if st == plain && l.Oper == linkUp {
		st = good
	}
	return word{l.visible(l.Oper), st}
}

// penalty returns the port's flap penalty as text, or "" if the penalty rounds to 0.
func penalty(l *portLine) string {
	if l.Penalty < 0.5 {
		return ""
	}
	return digits(math.Round(l.Penalty))
}

// beforeStart is shown for a port that has not changed since the start of the daemon and whose last
// change is not recorded.
const beforeStart = "before start"

func lastChange(l *portLine) string {
	switch {
	case l.LastChange == nil && l.Index != 0:
		return beforeStart
	case l.LastChange == nil:
		return ""
	}
	return age(l.now.Sub(*l.LastChange)) + " ago"
}

func changedAt(l *portLine) string {
	if l.LastChange == nil {
		return ""
	}
	return l.clock(*l.LastChange)
}

func noteCell(l *portLine) word {
	which := issueOf(l.PortView)
	note, st := portIssues[which].note, portIssues[which].style
	switch {
	case which == issueIgnored:
		note = ignoredNotes[l.Reason]
	case which == issueUnwritten:
		note = unwrittenText(l.PortView)
	case unwritten(l.PortView): // the row of a deleted interface
		note += ", " + unwrittenText(l.PortView)
	}
	return word{note, st}
}

// appendStateCell appends the cell that contains the port's panel state.
func appendStateCell(b []byte, l *portLine) []byte {
	b = append(b, `<td class="`...)
	b = append(b, portState(l.PortView)...)
	b = append(b, `">`...)
	b = append(b, portStateText(l.PortView)...)
	return append(b, "</td>"...)
}

// appendLastChangeCell appends the cell that contains the time of the port's last change.
func appendLastChangeCell(b []byte, l *portLine) []byte {
	b = append(b, "<td>"...)
	if l.LastChange == nil && l.Index != 0 {
		b = append(b, beforeStart...)
	} else {
		b = appendTime(b, l.LastChange, l.now)
	}
	return append(b, "</td>"...)
}

// appendPortHeadings appends the heading cells of the port table.
func appendPortHeadings(b []byte, columns []portColumn) []byte {
	for i := range columns {
		if c := &columns[i]; c.onPage {
			b = append(b, `<th scope="col"`...)
			if c.number {
				b = append(b, ` class="n"`...)
			}
			b = append(b, '>')
			b = append(b, c.title...)
			b = append(b, "</th>"...)
		}
	}
	return b
}

// appendPortRow appends the row of a port. The name links to the port page.
func appendPortRow(b []byte, columns []portColumn, l *portLine) []byte {
	b = append(b, "\n<tr>"...)
	for j := range columns {
		c := &columns[j]
		switch {
		case !c.onPage:
		case c.html != nil:
			b = c.html(b, l)
		case j == 0:
			b = append(b, `<th scope="row"><a href="`...)
			b = appendPortPath(b, l.Name)
			b = append(b, `">`...)
			b = appendEscaped(b, c.cell(l).text)
			b = append(b, "</a></th>"...)
		default:
			if c.number {
				b = append(b, `<td class="n">`...)
			} else {
				b = append(b, "<td>"...)
			}
			b = appendEscaped(b, c.cell(l).text)
			b = append(b, "</td>"...)
		}
	}
	return append(b, "</tr>"...)
}

// appendTime appends t in the format of htmlWriter.time.
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
