package statusview

import ()

// drawing is a plot that is rendered as inline SVG. Its text is not scaled with the width of the
// page: positions are in percent, and lines are in a nested svg element that is stretched. Colors
// are defined by classes in style.css, because the page's policy forbids style attributes. The
// methods escape text.
type drawing struct {
	x, y  axis
	lines []byte // path elements, in thousandths of both axes
	marks []byte // elements that must not be stretched
	hover []byte // elements with tooltips
}

func newDrawing(x, y axis) *drawing { return &drawing{x: x, y: y} }

// point is a position in units of the axes.
type point struct{ x, y float64 }

// line draws a line through points. A point whose y is not finite leaves a gap in the line. A point
// between two gaps is drawn as a dot.
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

// area fills the polygon of points.
func (d *drawing) area(class string, points []point) {
	d.lines = append(d.lines, `<path class="area `+class+`" d="`...)
	for i, p := range points {
		d.lines = append(d.lines, "ML"[min(i, 1)])
		d.lines = d.thousandths(d.lines, p)
	}
	d.lines = append(d.lines, `Z"/>`...)
}

// bar draws a filled bar between two values of the x axis, from the bottom of the plot to the value
// top.
func (d *drawing) bar(class string, from, to, top float64) {
	if d.y.share(top) == 0 {
		return
	}
	d.area(class, []point{{from, d.y.lo}, {from, top}, {to, top}, {to, d.y.lo}})
}

// thousandths appends the coordinates of the point p, in thousandths of the length of each axis.
func (d *drawing) thousandths(b []byte, p point) []byte {
	b = appendCoordinate(b, 1000*d.x.share(p.x))
	b = append(b, ' ')
	return appendCoordinate(b, 1000-1000*d.y.share(p.y))
}

// dot marks a point and gives it a tooltip.
func (d *drawing) dot(class string, p point, tooltip string) {
	d.marks = append(d.marks, `<circle class="dot `+class+`" cx="`...)
	d.marks = appendPercent(d.marks, d.x.share(p.x))
	d.marks = append(d.marks, `" cy="`...)
	d.marks = appendPercent(d.marks, 1-d.y.share(p.y))
	d.marks = append(d.marks, `" r="5">`...)
	d.marks = appendTitle(d.marks, tooltip)
	d.marks = append(d.marks, `</circle>`...)
}

// stem draws a vertical line from the bottom of the plot to the point p.
func (d *drawing) stem(class string, p point) {
	d.marks = append(d.marks, `<line class="stem `+class+`" y2="100%" x1="`...)
	d.marks = appendPercent(d.marks, d.x.share(p.x))
	d.marks = append(d.marks, `" x2="`...)
	d.marks = appendPercent(d.marks, d.x.share(p.x))
	d.marks = append(d.marks, `" y1="`...)
	d.marks = appendPercent(d.marks, 1-d.y.share(p.y))
	d.marks = append(d.marks, `"/>`...)
}

// column adds a tooltip to the area of the plot between two values of the x axis.
func (d *drawing) column(from, to float64, tooltip string) {
	d.hover = append(d.hover, `<rect class="hover" height="100%" x="`...)
	d.hover = appendPercent(d.hover, d.x.share(from))
	d.hover = append(d.hover, `" width="`...)
	d.hover = appendPercent(d.hover, d.x.share(to)-d.x.share(from))
	d.hover = append(d.hover, `">`...)
	d.hover = appendTitle(d.hover, tooltip)
	d.hover = append(d.hover, `</rect>`...)
}

// svg returns the plot as an svg element. label describes the plot for screen readers.
func (d *drawing) svg(label string) markup {
	b := append([]byte(nil), `<svg class="plot" role="img" aria-label="`...)
	b = appendEscaped(b, label)
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
		b = appendEscaped(b, t.label)
		b = append(b, `</text>`...)
	}
	if d.y.unit != "" {
		b = append(b, `<text class="unit" x="0" y="-14">`...)
		b = appendEscaped(b, d.y.unit)
		b = append(b, `</text>`...)
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
		b = appendEscaped(b, t.label)
		b = append(b, `</text>`...)
	}
	b = append(b, `</g><svg class="lines" viewBox="0 0 1000 1000" preserveAspectRatio="none">`...)
	b = append(b, d.lines...)
	b = append(b, `</svg>`...)
	b = append(b, d.marks...)
	b = append(b, d.hover...)
	b = append(b, `</svg>`...)
	return markup(b)
}

// appendPercent appends a share as a percentage.
func appendPercent(b []byte, share float64) []byte {
	return append(appendCoordinate(b, 100*share), '%')
}

// appendTitle appends a title element, which browsers show as a tooltip.
func appendTitle(b []byte, text string) []byte {
	b = append(b, "<title>"...)
	b = appendEscaped(b, text)
	return append(b, "</title>"...)
}
