package statusview

import "slices"

// column is a column of a table.
type column struct {
	title string
	right bool // aligned to the right, for numbers
}

// gap is the number of blanks between columns.
const gap = 2

// table prints titles and rows. If the table is too wide, columns of text become narrower: first
// those with an index in minor, then the last column, whose cells are cut at the end, then the first, whose cells are shortened in the
// middle, then the others. If that is not enough, the last columns are omitted. Numbers are never
// cut.
func (p *printer) table(columns []column, rows [][]word, minor ...int) {
	widths := p.widths(columns, rows, minor)
	titles := make([]word, len(columns))
	for i, c := range columns {
		titles[i] = word{c.title, faint}
	}
	p.row(columns, widths, titles)
	for _, row := range rows {
		p.row(columns, widths, row)
	}
}

// Smallest widths of columns of text: the first and last, and the others.
const (
	minOuter = 12
	minInner = 5
)

// widths returns the widths of the columns that fit.
func (p *printer) widths(columns []column, rows [][]word, minor []int) []int {
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
	for _, i := range slices.Backward(minor) {
		narrow(i, minOuter)
	}
	narrow(last, minOuter)
	narrow(0, minOuter)
	for i := last - 1; i > 0; i-- {
		narrow(i, minInner)
	}
	for total > p.Width && last > 0 {
		total -= gap + widths[last]
		last--
	}
	return widths[:last+1]
}

// row prints one row of cells. It prints only the first len(widths) cells.
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
