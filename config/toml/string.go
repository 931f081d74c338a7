package toml

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A stringToken is a string that was read up to its closing quote.
type stringToken struct {
	text      string
	multiline bool
	bad       bool // an error in the string was reported
}

// string parses any of the four kinds of strings. It returns false if the closing quote is missing.
func (p *parser) string() (stringToken, bool) {
	quote := p.src[p.pos]
	if bytes.HasPrefix(p.src[p.pos:], bytes.Repeat([]byte{quote}, 3)) {
		return p.multilineString(quote)
	}
	start := p.pos
	p.pos++
	var s stringToken
	var text []byte
	for {
		switch {
		case p.eof() || p.atNewline():
			return s, p.errorf(start, "string is not closed on its line, expected %c", quote)
		case p.accept(quote):
			s.text = string(text)
			return s, true
		default:
			text = p.stringChar(text, &s, quote)
		}
	}
}

// multilineString parses a multi-line basic or literal string, which is enclosed in three quotes. A
// line end immediately after the opening quotes is not part of the text. Line ends are not
// converted.
func (p *parser) multilineString(quote byte) (stringToken, bool) {
	start := p.pos
	p.pos += 3
	p.newline()
	s := stringToken{multiline: true}
	var text []byte
	for {
		switch {
		case p.eof():
			return s, p.errorf(start, "multi-line string is not closed, expected %c%c%c", quote, quote, quote)
		case p.at(quote):
			// The text may end with one or two quotes before the three closing quotes.
			run := p.countQuotes(quote, 5)
			p.pos += run
			if run >= 3 {
				s.text = string(append(text, p.src[p.pos-run:p.pos-3]...))
				return s, true
			}
			text = append(text, p.src[p.pos-run:p.pos]...)
		case p.atNewline():
			n := p.newlineLen()
			text = append(text, p.src[p.pos:p.pos+n]...)
			p.pos += n
		case quote == '"' && p.continuation():
		default:
			text = p.stringChar(text, &s, quote)
		}
	}
}

func (p *parser) countQuotes(quote byte, most int) int {
	n := 0
	for n < most && p.pos+n < len(p.src) && p.src[p.pos+n] == quote {
		n++
	}
	return n
}

// continuation skips a backslash at the end of a line, the line end, and all white space and line
// ends after it. If the backslash starts an escape, continuation returns false and skips nothing.
func (p *parser) continuation() bool {
	start := p.pos
	if !p.accept('\\') {
		return false
	}
	p.skipBlanks()
	if !p.newline() {
		p.pos = start
		return false
	}
	for p.skipBlanks(); p.newline(); p.skipBlanks() {
	}
	return true
}

// stringChar appends the character or escape at the current position to text. It skips an invalid
// character and reports it, at most once per string.
func (p *parser) stringChar(text []byte, s *stringToken, quote byte) []byte {
	if quote == '"' && p.at('\\') {
		start := p.pos
		r, problem := p.escape()
		if problem != "" {
			p.reportInString(s, start, problem)
			return text
		}
		return utf8.AppendRune(text, r)
	}
	size, problem := p.char()
	if problem != "" {
		p.reportInString(s, p.pos, problem+" in a string")
	} else {
		text = append(text, p.src[p.pos:p.pos+size]...)
	}
	p.pos += size
	return text
}

func (p *parser) reportInString(s *stringToken, off int, problem string) {
	if !s.bad {
		p.errorf(off, "%s", problem)
	}
	s.bad = true
}

// escape parses an escape, starting at the backslash. If the escape is invalid, it returns a
// description of the problem and stops after the valid part.
func (p *parser) escape() (r rune, problem string) {
	p.pos++
	if p.eof() || p.atNewline() {
		return 0, `\ at the end of the line is only allowed in a multi-line string`
	}
	c := p.src[p.pos]
	if i := strings.IndexByte(`btnfr"\`, c); i >= 0 {
		p.pos++
		return rune("\b\t\n\f\r\"\\"[i]), ""
	}
	switch c {
	case 'u':
		p.pos++
		return p.unicodeEscape(4)
	case 'U':
		p.pos++
		return p.unicodeEscape(8)
	}
	size, problem := p.char()
	if problem != "" {
		return 0, problem + " in a string" // do not skip it; the caller handles it
	}
	p.pos += size
	return 0, fmt.Sprintf(`\%s is not an escape; expected one of \b \t \n \f \r \" \\ \uXXXX \UXXXXXXXX`, p.src[p.pos-size:p.pos])
}

func (p *parser) unicodeEscape(digits int) (rune, string) {
	end := p.pos
	for end < len(p.src) && end < p.pos+digits && isHexDigit(p.src[end]) {
		end++
	}
	hex := string(p.src[p.pos:end])
	p.pos = end
	if len(hex) < digits {
		return 0, fmt.Sprintf(`expected %d hexadecimal digits in a \u or \U escape, got %d`, digits, len(hex))
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, fmt.Sprintf("U+%s is not a Unicode scalar value", strings.ToUpper(hex))
	}
	return rune(n), ""
}

func isHexDigit(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// Quote returns s as a basic string on one line. s must be valid UTF-8.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7F:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
