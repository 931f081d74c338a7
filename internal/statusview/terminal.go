package statusview

import (
	"strings"
	"time"
)

// Terminal is what text is made for. The zero value is a file of 80 columns.
type Terminal struct {
	Width  int            // columns; 0: 80
	Height int            // lines there is room for; 0: any number
	Color  bool           // SGR sequences (ECMA-48 section 8.3.117) may be used
	ASCII  bool           // it shows nothing beyond ASCII
	Zone   *time.Location // of times of day; nil: UTC
}

const (
	defaultWidth = 80
	leastWidth   = 40 // narrower ones wrap by themselves
)

// style is how a word is set off, by the parameters of SGR.
type style string

const (
	plain  style = ""
	good   style = "32"   // green
	warn   style = "33"   // yellow
	bad    style = "1;31" // bold red
	strong style = "1"
	faint  style = "2"
)

// word is a piece of text that is not broken and has one style. Its text is safe
// for a terminal.
type word struct {
	text string
	style
}

// printer makes text for one terminal.
type printer struct {
	Terminal
	b     []byte
	start int // where the text begins in b
	lines int
}

func newPrinter(t Terminal, b []byte) *printer {
	if t.Width <= 0 {
		t.Width = defaultWidth
	}
	t.Width = max(t.Width, leastWidth)
	if t.Zone == nil {
		t.Zone = time.UTC
	}
	return &printer{Terminal: t, b: b, start: len(b)}
}

// visible returns foreign text as it may be shown.
func (p *printer) visible(s string) string { return Visible(s, p.ASCII) }

// AppendNotice appends a text that may quote anything, broken into lines.
func AppendNotice(b []byte, text string, t Terminal) []byte {
	p := newPrinter(t, b)
	p.flow(0, []word{{p.visible(text), bad}})
	p.end()
	p.cut()
	return p.b
}

// ellipsis stands for what was left out.
func (p *printer) ellipsis() string { return p.either("…", "~") }

// either returns a text, or another one for a terminal that knows ASCII only.
func (p *printer) either(text, ascii string) string {
	if p.ASCII {
		return ascii
	}
	return text
}

func (p *printer) word(w word) {
	if !p.Color || w.style == plain || w.text == "" {
		p.b = append(p.b, w.text...)
		return
	}
	p.b = append(append(append(p.b, "\x1b["...), w.style...), 'm')
	p.b = append(append(p.b, w.text...), "\x1b[0m"...)
}

func (p *printer) space(n int) {
	for range n {
		p.b = append(p.b, ' ')
	}
}

// end ends a line; there are no blanks before its end.
func (p *printer) end() {
	for n := len(p.b); n > 0 && p.b[n-1] == ' '; n-- {
		p.b = p.b[:n-1]
	}
	p.b = append(p.b, '\n')
	p.lines++
}

// cut removes the lines that the terminal has no room for.
func (p *printer) cut() {
	if p.Height <= 0 {
		return
	}
	for i, n := p.start, 0; i < len(p.b); i++ {
		if p.b[i] == '\n' {
			n++
		}
		if n == p.Height {
			p.b = p.b[:i+1]
			return
		}
	}
}

// title prints a line by itself.
func (p *printer) title(s string) {
	p.word(word{strings.TrimRight(shorten(s, p.Width, p.ellipsis()), " "), strong})
	p.end()
}

// labelWidth is how far the values of fields are indented.
const labelWidth = 11

// field prints a label and words, with line breaks between words where the width
// asks for them, and inside those that are too long for a line.
func (p *printer) field(label string, words ...word) {
	p.word(word{label, faint})
	p.space(labelWidth - textWidth(label))
	p.flow(labelWidth, words)
	p.end()
}

// flow prints words from the column indent on, where the cursor is.
func (p *printer) flow(indent int, words []word) {
	at := indent
	for _, w := range words {
		for part := range strings.SplitSeq(w.text, " ") {
			n := textWidth(part)
			if at > indent {
				if at+1+n <= p.Width {
					p.space(1)
					at++
				} else {
					p.end()
					p.space(indent)
					at = indent
				}
			}
			for n > p.Width-indent { // no blank to break it at
				head := prefix(part, p.Width-indent)
				p.word(word{head, w.style})
				p.end()
				p.space(indent)
				part = part[len(head):]
				n = textWidth(part)
			}
			p.word(word{part, w.style})
			at += n
		}
	}
}

// prefix is as much of the beginning of s as fits into width columns.
func prefix(s string, width int) string {
	for i, r := range s {
		if width -= runeWidth(r); width < 0 {
			return s[:i]
		}
	}
	return s
}

// join puts a comma behind each word but the last, and an empty one out.
func join(words ...word) []word {
	kept := words[:0]
	for _, w := range words {
		if w.text != "" {
			kept = append(kept, w)
		}
	}
	for i := range len(kept) - 1 {
		kept[i].text += ","
	}
	return kept
}
