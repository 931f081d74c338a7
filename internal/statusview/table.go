package statusview

// column is one of a table.
type column struct {
	title string
	right bool // numbers end at the same place
}

// gap is the distance between two columns.
const gap = 2

// table prints rows under titles. What is too wide is taken from the columns of
// text: from the last, whose ends are cut off, from the first, whose cells are
// shortened in their middle, then from the others. If that is not enough the last
// columns are left out; a number is never cut.
func (p *printer) table(columns []column, rows [][]word) {
	widths := p.widths(columns, rows)
	titles := make([]word, len(columns))
	for i, c := range columns {
		titles[i] = word{c.title, faint}
	}
	p.row(columns, widths, titles)
	for _, row := range rows {
		p.row(columns, widths, row)
	}
}

// How narrow columns of text may become: the outer ones, and the others.
const (
	leastOuter = 12
	leastInner = 5
)

// widths returns the widths of as many of the columns as fit.
func (p *printer) widths(columns []column, rows [][]word) []int {
	widths, total := make([]int, len(columns)), -gap
	for i, c := range columns {
		widths[i] = textWidth(c.title)
		for _, row := range rows {
			widths[i] = max(widths[i], textWidth(row[i].text))
		}
		total += gap + widths[i]
	}
	narrow := func(i, least int) {
		if !columns[i].right {
			less := max(min(total-p.Width, widths[i]-least), 0)
			widths[i] -= less
			total -= less
		}
	}
	last := len(columns) - 1
	narrow(last, leastOuter)
	narrow(0, leastOuter)
	for i := last - 1; i > 0; i-- {
		narrow(i, leastInner)
	}
	for total > p.Width && last > 0 {
		total -= gap + widths[last]
		last--
	}
	return widths[:last+1]
}

func (p *printer) row(columns []column, widths []int, cells []word) {
	for i, c := range columns[:len(widths)] {
		if i > 0 {
			p.space(gap)
		}
		cell := cells[i]
		switch {
		case i == 0:
			cell.text = shorten(cell.text, widths[i], p.ellipsis())
		case textWidth(cell.text) > widths[i]:
			cell.text = prefix(cell.text, widths[i]-1) + p.ellipsis()
		}
		pad := widths[i] - textWidth(cell.text)
		if c.right {
			p.space(pad)
			pad = 0
		}
		p.word(cell)
		p.space(pad)
	}
	p.end()
}
