package statusview

import (
	"strings"
	"time"
)

// Terminal describes the terminal or file to which text is printed. The zero value describes a file
// with 80 columns.
type Terminal struct {
	Width  int            // columns; 0: 80
	Height int            // lines; 0: unlimited
	Color  bool           // use SGR sequences (ECMA-48 section 8.3.117)
	ASCII  bool           // use only ASCII characters
	Zone   *time.Location // for times; nil: UTC
}

const (
	defaultWidth = 80
	minWidth     = 40 // narrower terminals wrap the lines
)

// style is the parameter of an SGR sequence, or "".
type style string

const (
	plain  style = ""
	good   style = "32"   // green
	warn   style = "33"   // yellow
	bad    style = "1;31" // bold red
	strong style = "1"
	faint  style = "2"
)

// word is a piece of text in one style. Untrusted text in it has been escaped by Visible.
type word struct {
	text string
	style
}

// printer formats text for a terminal.
type printer struct {
	Terminal
	b     []byte
	start int // index in b of the first byte of the text
	lines int
}

// newPrinter returns a printer that appends to b.
func newPrinter(t Terminal, b []byte) *printer {
	if t.Width <= 0 {
		t.Width = defaultWidth
	}
	t.Width = max(t.Width, minWidth)
	if t.Zone == nil {
		t.Zone = time.UTC
	}
	return &printer{Terminal: t, b: b, start: len(b)}
}

// visible returns untrusted text, escaped for the terminal by Visible.
func (p *printer) visible(s string) string { return Visible(s, p.ASCII) }

// visibleText returns an untrusted sentence, escaped for the terminal by VisibleText.
func (p *printer) visibleText(s string) string { return VisibleText(s, p.ASCII) }

// AppendNotice appends a message for the user to b. It escapes the text and wraps it at the width
// of the terminal.
func AppendNotice(b []byte, text string, t Terminal) []byte {
	p := newPrinter(t, b)
	p.flow(0, []word{{p.visibleText(text), bad}})
	p.end()
	p.cut()
	return p.b
}

// ellipsis returns the mark for omitted text.
func (p *printer) ellipsis() string { return p.either("…", "~") }

// either returns ascii if the terminal supports only ASCII, and text otherwise.
func (p *printer) either(text, ascii string) string {
	if p.ASCII {
		return ascii
	}
	return text
}

// word prints a word in its style.
func (p *printer) word(w word) {
	if !p.Color || w.style == plain || w.text == "" {
		p.b = append(p.b, w.text...)
		return
	}
	p.b = append(append(append(p.b, "\x1b["...), w.style...), 'm')
	p.b = append(append(p.b, w.text...), "\x1b[0m"...)
}

// space prints n blanks.
func (p *printer) space(n int) {
	for range n {
		p.b = append(p.b, ' ')
	}
}

// end ends a line and removes trailing blanks.
func (p *printer) end() {
	for n := len(p.b); n > 0 && p.b[n-1] == ' '; n-- {
		p.b = p.b[:n-1]
	}
	p.b = append(p.b, '\n')
	p.lines++
}

// cut removes the last lines of the output if it has more lines than the terminal.
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

// title prints a heading.
func (p *printer) title(s string) {
	p.word(word{strings.TrimRight(shorten(s, p.Width, p.ellipsis()), " "), strong})
	p.end()
}

// labelWidth is the indentation of the values of fields.
const labelWidth = 11

// field prints a label followed by words. It breaks lines between words, and within words that are
// longer than a line.
func (p *printer) field(label string, words ...word) {
	p.word(word{label, faint})
	p.space(labelWidth - textWidth(label))
	p.flow(labelWidth, words)
	p.end()
}

// flow prints words, starting at column indent. Continuation lines are indented to the same column.
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
			for n > p.Width-indent { // longer than a line
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

// prefix returns the longest prefix of s that is at most width columns wide.
func prefix(s string, width int) string {
	for i, r := range s {
		if width -= runeWidth(r); width < 0 {
			return s[:i]
		}
	}
	return s
}

// join removes empty words and inserts commas between the remaining words.
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
