package insight

// column is one of a table.
type column struct {
	title string
	right bool // numbers end at the same place
}

// gap is the distance between two columns.
const gap = 2

// table prints rows under titles. What is too wide is taken from the first
// column, whose cells are shortened in their middle, then from the last and the
// others, where ends are cut off.
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

// How narrow columns may become: the outer ones, which hold text, and the others.
const (
	leastOuter = 12
	leastInner = 4
)

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
		less := max(min(total-p.Width, widths[i]-least), 0)
		widths[i] -= less
		total -= less
	}
	last := len(columns) - 1
	narrow(0, leastOuter)
	narrow(last, leastOuter)
	for i := 1; i < last; i++ {
		narrow(i, max(textWidth(columns[i].title), leastInner))
	}
	return widths
}

func (p *printer) row(columns []column, widths []int, cells []word) {
	for i, c := range columns {
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
