package statusview

import (
	"html/template"
)

// A drawing is a plot as inline SVG that fits every width without its text being
// scaled: all that has a place along an axis has it in percent, and lines are in
// a nested picture that is stretched. It has classes rather than colours, which
// are in style.css, and no style attributes, which the page's policy forbids.
//
// Text that goes into it is escaped here.
type drawing struct {
	x, y  axis
	lines []byte // path elements, in thousandths of both axes
	marks []byte // what must not be stretched
	hover []byte
}

func newDrawing(x, y axis) *drawing { return &drawing{x: x, y: y} }

// point is a place in units of the axes.
type point struct{ x, y float64 }

// line connects points; it is interrupted where a y is no number, and a point
// between two gaps is a dot.
func (d *drawing) line(class string, points []point) {
	d.lines = append(d.lines, `<path class="line `+class+`" d="`...)
	alone := false
	for i, p := range points {
		switch {
		case !finite(p.y):
			if alone {
				d.lines = append(d.lines, "h0"...)
			}
			alone = false
			continue
		case i == 0 || !finite(points[i-1].y):
			d.lines = append(d.lines, 'M')
			alone = true
		default:
			d.lines = append(d.lines, 'L')
			alone = false
		}
		d.lines = d.thousandths(d.lines, p)
	}
	if alone {
		d.lines = append(d.lines, "h0"...)
	}
	d.lines = append(d.lines, `"/>`...)
}

// area fills what lies within points.
func (d *drawing) area(class string, points []point) {
	d.lines = append(d.lines, `<path class="area `+class+`" d="`...)
	for i, p := range points {
		d.lines = append(d.lines, "ML"[min(i, 1)])
		d.lines = d.thousandths(d.lines, p)
	}
	d.lines = append(d.lines, `Z"/>`...)
}

// bar fills from the bottom up to top.
func (d *drawing) bar(class string, from, to, top float64) {
	if d.y.share(top) == 0 {
		return
	}
	d.area(class, []point{{from, d.y.lo}, {from, top}, {to, top}, {to, d.y.lo}})
}

func (d *drawing) thousandths(b []byte, p point) []byte {
	b = appendCoordinate(b, 1000*d.x.share(p.x))
	b = append(b, ' ')
	return appendCoordinate(b, 1000-1000*d.y.share(p.y))
}

// dot marks a point. What it says appears where a pointer rests on it.
func (d *drawing) dot(class string, p point, says string) {
	d.marks = append(d.marks, `<circle class="dot `+class+`" cx="`...)
	d.marks = appendPercent(d.marks, d.x.share(p.x))
	d.marks = append(d.marks, `" cy="`...)
	d.marks = appendPercent(d.marks, 1-d.y.share(p.y))
	d.marks = append(d.marks, `" r="5">`...)
	d.marks = appendTitle(d.marks, says)
	d.marks = append(d.marks, `</circle>`...)
}

// stem is a line from the bottom up to a point.
func (d *drawing) stem(class string, p point) {
	d.marks = append(d.marks, `<line class="stem `+class+`" y2="100%" x1="`...)
	d.marks = appendPercent(d.marks, d.x.share(p.x))
	d.marks = append(d.marks, `" x2="`...)
	d.marks = appendPercent(d.marks, d.x.share(p.x))
	d.marks = append(d.marks, `" y1="`...)
	d.marks = appendPercent(d.marks, 1-d.y.share(p.y))
	d.marks = append(d.marks, `"/>`...)
}

// column says something where a pointer rests between two places of the x axis.
func (d *drawing) column(from, to float64, says string) {
	d.hover = append(d.hover, `<rect class="hover" height="100%" x="`...)
	d.hover = appendPercent(d.hover, d.x.share(from))
	d.hover = append(d.hover, `" width="`...)
	d.hover = appendPercent(d.hover, d.x.share(to)-d.x.share(from))
	d.hover = append(d.hover, `">`...)
	d.hover = appendTitle(d.hover, says)
	d.hover = append(d.hover, `</rect>`...)
}

// svg returns the picture. The label is what it shows, in words, for those who
// cannot see it.
func (d *drawing) svg(label string) template.HTML {
	b := append([]byte(nil), `<svg class="plot" role="img" aria-label="`...)
	b = append(b, template.HTMLEscapeString(label)...)
	b = append(b, `"><g class="axes">`...)
	for _, t := range d.y.ticks {
		y := 1 - d.y.share(t.value)
		b = append(b, `<line x2="100%" y1="`...)
		b = appendPercent(b, y)
		b = append(b, `" y2="`...)
		b = appendPercent(b, y)
		b = append(b, `"/><text class="y" x="-8" dy=".32em" y="`...)
		b = appendPercent(b, y)
		b = append(b, `">`...)
		b = append(b, template.HTMLEscapeString(t.label)...)
		b = append(b, `</text>`...)
	}
	if d.y.unit != "" {
		b = append(b, `<text class="unit" x="0" y="-14">`+template.HTMLEscapeString(d.y.unit)+`</text>`...)
	}
	for _, t := range d.x.ticks {
		x := d.x.share(t.value)
		b = append(b, `<line class="x" y2="100%" x1="`...)
		b = appendPercent(b, x)
		b = append(b, `" x2="`...)
		b = appendPercent(b, x)
		b = append(b, `"/><text class="x" y="100%" dy="20" x="`...)
		b = appendPercent(b, x)
		b = append(b, `">`...)
		b = append(b, template.HTMLEscapeString(t.label)...)
		b = append(b, `</text>`...)
	}
	b = append(b, `</g><svg class="lines" viewBox="0 0 1000 1000" preserveAspectRatio="none">`...)
	b = append(b, d.lines...)
	b = append(b, `</svg>`...)
	b = append(b, d.marks...)
	b = append(b, d.hover...)
	b = append(b, `</svg>`...)
	return template.HTML(b)
}

func appendPercent(b []byte, share float64) []byte {
	return append(appendCoordinate(b, 100*share), '%')
}

func appendTitle(b []byte, says string) []byte {
	b = append(b, "<title>"...)
	b = append(b, template.HTMLEscapeString(says)...)
	return append(b, "</title>"...)
}
