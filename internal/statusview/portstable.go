package statusview

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"portsyncd/portsync"
)

// concern is what is to be said about a port, the gravest first.
type concern int

const (
	isAbsent    concern = iota // its interface is gone
	isMissing                  // its interface has not come yet
	isUnwritten                // STATE_DB does not have what is shown
	isAwaited                  // PortInitDone waits for it
	isFlapping                 // its carrier comes and goes
	isDowned                   // it should be up and is not
	isQuiet                    // nothing
	numConcerns
)

var concerns = [numConcerns]struct {
	note  string // in the table
	label string // of the list
	style style
}{
	{"absent", "absent", bad},
	{"no interface", "waiting", bad},
	{"not written yet", "unwritten", warn},
	{"awaited", "awaited", warn},
	{"flapping", "flapping", warn},
	{"no carrier", "no carrier", warn},
	{"", "", plain},
}

const linkUp = "up" // as STATE_DB and PortView spell it

func concernOf(v *portsync.PortView) concern {
	switch {
	case v.Index == 0 && v.State == portsync.PortAbsent.String():
		return isAbsent
	case v.Index == 0:
		return isMissing
	case unwritten(v):
		return isUnwritten
	case v.InitPending:
		return isAwaited
	case v.Flapping:
		return isFlapping
	case v.Admin == linkUp && v.Oper != linkUp:
		return isDowned
	}
	return isQuiet
}

// printNotable names the ports that want a look, where the table is too long to
// find them at a glance.
func (s *Status) printNotable(p *printer) {
	if len(s.Ports) <= longTable {
		return
	}
	var names [numConcerns][]string
	for i := range s.Ports {
		c := concernOf(&s.Ports[i])
		names[c] = append(names[c], s.Ports[i].Name)
	}
	for c, all := range names[:isQuiet] {
		if len(all) > 0 {
			p.field(concerns[c].label, s.nameSome(p, all, concerns[c].style)...)
		}
	}
}

// mostNamed is how many ports one line of the summary names.
const mostNamed = 8

func (s *Status) nameSome(p *printer, names []string, st style) []word {
	words := []word{{strconv.Itoa(len(names)) + ":", st}}
	for _, name := range names[:min(len(names), mostNamed)] {
		words = append(words, word{p.visible(name), plain})
	}
	if more := len(names) - mostNamed; more > 0 {
		words = append(words, word{fmt.Sprintf("and %d more", more), plain})
	}
	return words
}

// printPorts prints the table, as much of it as there is room for.
func (s *Status) printPorts(p *printer) {
	if len(s.Ports) == 0 {
		p.field("", word{"no ports", plain})
		return
	}
	shown, hidden := s.choosePorts(p)
	if len(shown) == 0 {
		return
	}
	p.end()
	columns := portColumns(p.Width)
	rows := make([][]word, len(shown))
	for i, v := range shown {
		for _, c := range columns {
			rows[i] = append(rows[i], c.cell(&portLine{p, s.Time, v}))
		}
	}
	heads := make([]column, len(columns))
	for i, c := range columns {
		heads[i] = c.column
	}
	p.table(heads, rows)
	if len(hidden) > 0 {
		p.word(word{shorten(fmt.Sprintf("and %s, %d of them up", count(uint64(len(hidden)), "more port", "more ports"), countUp(hidden)),
			p.Width, p.ellipsis()), faint})
		p.end()
	}
}

// choosePorts returns the ports that there is room for, in natural order, or by
// how much they want a look if those are not all, and the others.
func (s *Status) choosePorts(p *printer) (shown, hidden []*portsync.PortView) {
	all := make([]*portsync.PortView, len(s.Ports))
	for i := range s.Ports {
		all[i] = &s.Ports[i]
	}
	room := p.Height - p.lines - 2 // an empty line and the titles
	if p.Height == 0 || len(all) <= room {
		return all, nil
	}
	room = max(room-1, 0) // for the line that counts the others
	slices.SortStableFunc(all, func(a, b *portsync.PortView) int { return cmp.Compare(concernOf(a), concernOf(b)) })
	return all[:room], all[room:]
}

func countUp(ports []*portsync.PortView) (n int) {
	for _, v := range ports {
		n += bit(v.Oper == linkUp)
	}
	return n
}

// portLine is what a cell is made from.
type portLine struct {
	*printer
	now time.Time
	*portsync.PortView
}

// portColumn is one column of the table of ports.
type portColumn struct {
	from int // width of the terminal at which it is shown
	column
	cell func(r *portLine) word
}

// portColumns returns those that a width has room for.
func portColumns(width int) []portColumn {
	fit := slices.Clone(allPortColumns)
	return slices.DeleteFunc(fit, func(c portColumn) bool { return c.from > width })
}

var allPortColumns = []portColumn{
	{0, column{"PORT", false}, func(r *portLine) word { return word{r.visible(r.Name), plain} }},
	{0, column{"OPER", false}, operCell},
	{0, column{"ADMIN", false}, func(r *portLine) word { return word{orDash(r.visible(r.Admin)), plain} }},
	{60, column{"MTU", true}, present(func(r *portLine) string { return strconv.FormatInt(r.MTU, 10) })},
	{110, column{"IFINDEX", true}, present(func(r *portLine) string { return strconv.FormatInt(r.Index, 10) })},
	{70, column{"CHANGES", true}, present(func(r *portLine) string { return grouped(r.CarrierUp + r.CarrierDown) })},
	{140, column{"UP", true}, present(func(r *portLine) string { return grouped(r.CarrierUp) })},
	{140, column{"DOWN", true}, present(func(r *portLine) string { return grouped(r.CarrierDown) })},
	{110, column{"PENALTY", true}, present(func(r *portLine) string { return strconv.FormatFloat(r.Penalty, 'f', 0, 64) })},
	{50, column{"LAST CHANGE", false}, func(r *portLine) word { return word{lastChange(r), plain} }},
	{140, column{"CHANGED AT", false}, func(r *portLine) word { return word{changedAt(r), plain} }},
	{0, column{"NOTE", false}, noteCell},
}

func operCell(r *portLine) word {
	st := concerns[concernOf(r.PortView)].style
	if st == plain && r.Oper == linkUp {
		st = good
	}
	return word{orDash(r.visible(r.Oper)), st}
}

func noteCell(r *portLine) word {
	c := concerns[concernOf(r.PortView)]
	if r.Index == 0 && unwritten(r.PortView) {
		return word{c.note + ", " + concerns[isUnwritten].note, c.style}
	}
	return word{c.note, c.style}
}

func lastChange(r *portLine) string {
	if r.LastChange == nil {
		return "-"
	}
	return age(r.now.Sub(*r.LastChange)) + " ago"
}

func changedAt(r *portLine) string {
	if r.LastChange == nil {
		return "-"
	}
	return r.clock(*r.LastChange)
}

// present is a cell that has nothing to show for a port without an interface,
// whose values are the kernel's.
func present(text func(r *portLine) string) func(r *portLine) word {
	return func(r *portLine) word {
		if r.Index == 0 {
			return word{"-", plain}
		}
		return word{text(r), plain}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
