package toml

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"
)

const (
	// MaxSize is the maximum size of a file in bytes.
	MaxSize = 1 << 20
	// MaxDepth is the maximum nesting depth of tables and arrays in one statement. Each part of a
	// dotted key and each bracket counts as one level.
	MaxDepth = 128
)

// Parse parses a file. It always returns a document that contains everything valid in the file. The
// errors are sorted by position.
func Parse(src []byte) (*Document, []*Error) {
	p := &parser{doc: &Document{Root: newTable(headed), src: src}, src: src}
	p.table = p.doc.Root
	if len(src) > MaxSize {
		p.errorf(0, "file is larger than %d bytes", MaxSize)
		return p.doc, p.errs
	}
	p.document()
	slices.SortStableFunc(p.errs, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return p.doc, p.errs
}

// A parser reads the source once, from start to end. Its methods record errors themselves. The
// result ok tells the caller whether parsing can continue at the current position; an invalid value
// alone does not make it false.
type parser struct {
	doc  *Document
	src  []byte
	pos  int
	errs []*Error

	table *Table   // table of the last [header]
	path  []string // path of the current table or key, for messages
	open  int      // number of array brackets left open by an error
}

func (p *parser) document() {
	if bytes.HasPrefix(p.src, []byte{0xFF, 0xFE}) || bytes.HasPrefix(p.src, []byte{0xFE, 0xFF}) {
		p.errorf(0, "file is in UTF-16, expected UTF-8")
		return
	}
	p.pos = bomLen(p.src)
	for !p.eof() && !p.full() {
		if !p.statement() {
			p.skipToStatement()
		}
	}
	if p.full() && !p.eof() {
		p.errorf(p.pos, tooMany)
	}
}

// statement parses a [header], a key with its value, or an empty line, followed by an optional
// comment and a line end. A value may span several lines.
func (p *parser) statement() bool {
	p.skipBlanks()
	switch {
	case p.eof() || p.at('#') || p.atNewline():
	case p.at('['):
		if !p.header() {
			return false
		}
	default:
		outer := len(p.path)
		defer func() { p.path = p.path[:outer] }()
		if !p.keyValue(p.table, 0) {
			return false
		}
	}
	p.skipBlanks()
	if p.at('#') {
		p.comment()
	}
	if !p.eof() && !p.newline() {
		return p.errorf(p.pos, "expected the end of the line, got %s", p.got())
	}
	return true
}

// header parses [table]. It reports [[array of tables]] as unsupported.
func (p *parser) header() bool {
	start := p.pos
	p.path, p.table = nil, newTable(headed)
	p.pos++
	array := p.accept('[')
	p.skipBlanks()
	parts, ok := p.key(0)
	if !ok {
		return false
	}
	p.push(parts)
	p.skipBlanks()
	switch {
	case array && !bytes.HasPrefix(p.src[p.pos:], []byte("]]")):
		return p.errorf(p.pos, "expected ']]' after the table name, got %s", p.got())
	case array:
		p.pos += len("]]")
		p.errorf(start, "arrays of tables are not supported")
		p.reserve(parts)
	case !p.accept(']'):
		return p.errorf(p.pos, "expected ']' after the table name, got %s", p.got())
	default:
		p.table = p.openTable(parts)
	}
	return true
}

// reserve adds an entry without data for an unsupported array of tables, so that the headers of its
// sub-tables do not cause further errors.
func (p *parser) reserve(path []keyPart) {
	t := p.doc.Root
	for i, part := range path {
		e := t.Lookup(part.name)
		if e == nil {
			v := Value{Offset: part.off}
			if i < len(path)-1 {
				v.Data = newTable(implied)
			}
			t.add(part, v)
			e = t.Lookup(part.name)
		}
		sub, ok := e.Value.Data.(*Table)
		if !ok {
			return
		}
		t = sub
	}
}

// keyValue parses key = value into t. depth is the nesting depth of t within the statement.
// keyValue leaves the key in p.path for later messages; the caller must remove it.
func (p *parser) keyValue(t *Table, depth int) bool {
	parts, ok := p.key(depth)
	if !ok {
		return false
	}
	p.push(parts)
	p.skipBlanks()
	if !p.accept('=') {
		return p.errorf(p.pos, "expected '=' after the key, got %s", p.got())
	}
	p.skipBlanks()
	v := Value{Offset: p.pos}
	v.Data, ok = p.value(depth + len(parts))
	p.define(t, parts, v)
	return ok
}

// A keyPart is a part of a dotted key.
type keyPart struct {
	name string
	off  int
}

// key parses a dotted key.
func (p *parser) key(depth int) ([]keyPart, bool) {
	var parts []keyPart
	for {
		part, ok := p.simpleKey()
		if !ok {
			return nil, false
		}
		parts = append(parts, part)
		if depth+len(parts) > MaxDepth {
			return nil, p.errorf(part.off, "nested deeper than %d levels", MaxDepth)
		}
		end := p.pos
		p.skipBlanks()
		if !p.accept('.') {
			p.pos = end
			return parts, true
		}
		p.skipBlanks()
	}
}

func (p *parser) simpleKey() (keyPart, bool) {
	start := p.pos
	if p.at('"') || p.at('\'') {
		s, ok := p.string()
		if !ok {
			return keyPart{}, false
		}
		if s.multiline {
			return keyPart{}, p.errorf(start, "a multi-line string cannot be a key")
		}
		return keyPart{s.text, start}, !s.bad
	}
	for !p.eof() && isBare(p.src[p.pos]) {
		p.pos++
	}
	if p.pos == start {
		return keyPart{}, p.errorf(start, "expected a key, got %s", p.got())
	}
	return keyPart{string(p.src[start:p.pos]), start}, true
}

func (p *parser) push(parts []keyPart) {
	for _, part := range parts {
		p.path = append(p.path, part.name)
	}
}

// skipToStatement skips to the next line after an error. After an error inside an array, it skips
// to the line after the closing bracket or to the next line that looks like a statement.
func (p *parser) skipToStatement() {
	p.skipLine()
	open := p.open
	p.open = 0
	for open > 0 && !p.eof() {
		line := p.restOfLine()
		if p.atKeyLine() || isHeaderLine(line) {
			return
		}
		p.skipLine()
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("]")) {
			return
		}
	}
}

func (p *parser) atKeyLine() bool { return isKeyLine(p.restOfLine()) }

// restOfLine returns the rest of the line without the line feed.
func (p *parser) restOfLine() []byte {
	rest, _, _ := bytes.Cut(p.src[p.pos:], []byte("\n"))
	return rest
}

func (p *parser) skipLine() {
	p.pos = min(p.pos+len(p.restOfLine())+1, len(p.src))
}

// comment parses a comment up to the line end and reports the first invalid character in it.
func (p *parser) comment() {
	for good := true; !p.eof() && !p.atNewline(); {
		size, problem := p.char()
		if good && problem != "" {
			good = p.errorf(p.pos, "%s in a comment", problem)
		}
		p.pos += size
	}
}

// char returns the size in bytes of the character at the current position. If the character is not
// allowed in comments and strings, problem says why. TOML allows valid UTF-8 without control
// characters other than tab.
func (p *parser) char() (size int, problem string) {
	c := p.src[p.pos]
	switch {
	case c == '\r':
		return 1, "carriage return without line feed"
	case c < ' ' && c != '\t' || c == 0x7F:
		return 1, fmt.Sprintf("control character U+%04X", c)
	case c < utf8.RuneSelf:
		return 1, ""
	}
	r, size := utf8.DecodeRune(p.src[p.pos:])
	if r == utf8.RuneError && size == 1 {
		return 1, fmt.Sprintf("invalid UTF-8 byte 0x%02X", c)
	}
	return size, ""
}

// got returns a description of the character at the current position for use in error messages.
func (p *parser) got() string {
	switch {
	case p.eof():
		return "the end of the file"
	case p.atNewline():
		return "the end of the line"
	}
	if _, problem := p.char(); problem != "" {
		return problem
	}
	r, _ := utf8.DecodeRune(p.src[p.pos:])
	return fmt.Sprintf("%q", r)
}

func (p *parser) eof() bool { return p.pos >= len(p.src) }

func (p *parser) at(c byte) bool { return !p.eof() && p.src[p.pos] == c }

func (p *parser) accept(c byte) bool {
	if !p.at(c) {
		return false
	}
	p.pos++
	return true
}

// newlineLen returns the length of the line end at the current position, or 0 if there is none.
func (p *parser) newlineLen() int {
	switch {
	case p.at('\n'):
		return 1
	case p.at('\r') && p.pos+1 < len(p.src) && p.src[p.pos+1] == '\n':
		return 2
	}
	return 0
}

func (p *parser) atNewline() bool { return p.newlineLen() > 0 }

func (p *parser) newline() bool {
	n := p.newlineLen()
	p.pos += n
	return n > 0
}

func (p *parser) skipBlanks() {
	for p.at(' ') || p.at('\t') {
		p.pos++
	}
}

// bomLen returns the length of the UTF-8 byte order mark at the start of src, or 0 if there is
// none.
func bomLen(src []byte) int {
	if bytes.HasPrefix(src, []byte("\uFEFF")) {
		return len("\uFEFF")
	}
	return 0
}

func isBare(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || isDigit(c) || c == '_' || c == '-'
}

func isBareKey(s string) bool {
	for i := range len(s) {
		if !isBare(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
