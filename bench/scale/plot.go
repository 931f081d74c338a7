package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// curve is a time series of values.
type curve struct {
	name string
	unit string
	at   []time.Duration
	y    []float64
}

// panel is one of the plots in a picture. Its curves share a y-axis that starts at 0.
type panel struct {
	title  string
	unit   string
	curves []curve
}

// Dimensions of a picture in pixels.
const (
	plotWidth, plotHeight = 760, 120
	plotLeft, plotTop     = 70, 28
	panelHeight           = plotHeight + plotTop + 30
)

var colors = []string{"#1f6feb", "#d1570a"}

// picture returns an SVG image of the panels, one below the other
// (https://www.w3.org/TR/SVG2/shapes.html#PolylineElement).
func picture(title string, panels []panel, span time.Duration) string {
	var b strings.Builder
	height := 40 + len(panels)*panelHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth+plotLeft+30, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n"+`<text x="%d" y="22" font-size="15">%s</text>`+"\n",
		plotLeft, html.EscapeString(title))
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", plotLeft, 40+i*panelHeight+plotTop)
		p.draw(&b, span)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (p *panel) draw(b *strings.Builder, span time.Duration) {
	top := niceTop(p.highest())
	fmt.Fprintf(b, `<text x="0" y="-8" font-weight="bold">%s</text>`+"\n", html.EscapeString(p.title))
	for i := range 3 {
		y, value := plotHeight-plotHeight*i/2, top*float64(i)/2
		fmt.Fprintf(b, `<path d="M0 %d H%d" stroke="#ddd"/><text x="-8" y="%d" text-anchor="end">%g %s</text>`+"\n",
			y, plotWidth, y+4, value, html.EscapeString(p.unit))
	}
	for i := range 5 {
		at := span * time.Duration(i) / 4
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" fill="#555">%.3g min</text>`+"\n", plotWidth*i/4, plotHeight+16, at.Minutes())
	}
	legend := plotWidth
	for i, c := range p.curves {
		color := colors[i%len(colors)]
		b.WriteString(`<polyline fill="none" stroke="` + color + `" points="`)
		for j, at := range c.at {
			fmt.Fprintf(b, "%.1f,%.1f ", plotWidth*at.Seconds()/span.Seconds(), plotHeight*(1-min(c.y[j], top)/top))
		}
		b.WriteString(`"/>` + "\n")
		fmt.Fprintf(b, `<text x="%d" y="-8" text-anchor="end" fill="%s">%s</text>`+"\n", legend, color, html.EscapeString(c.name))
		legend -= 8*len(c.name) + 16
	}
}

func (p *panel) highest() (most float64) {
	for _, c := range p.curves {
		for _, y := range c.y {
			most = max(most, y)
		}
	}
	return most
}

// niceTop returns the smallest number >= v of the form 1, 2 or 5 times a power of ten.
func niceTop(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, times := range []float64{1, 2, 5} {
		if top := times * power; top >= v {
			return top
		}
	}
	return 10 * power
}
