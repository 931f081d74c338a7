package toml

import (
	"fmt"
	"strings"
)

// value reads any value. depth is the number of tables and arrays around it.
func (p *parser) value(depth int) (data any, ok bool) {
	switch {
	case p.at('"') || p.at('\''):
		s, ok := p.string()
		if !ok || s.bad {
			return nil, ok
		}
		return s.text, true
	case p.at('['):
		if depth >= MaxDepth {
			return nil, p.refusef(p.pos, "nested deeper than %d levels", MaxDepth)
		}
		return p.array(depth + 1)
	case p.at('{'):
		if depth >= MaxDepth {
			return nil, p.refusef(p.pos, "nested deeper than %d levels", MaxDepth)
		}
		return p.inlineTable(depth + 1)
	}
	return p.scalar()
}

// array reads [value, value], with line ends, comments and a trailing comma
// where they are allowed. One bad element makes the whole array nil.
func (p *parser) array(depth int) (any, bool) {
	start, errsBefore := p.pos, len(p.errs)
	p.pos++
	p.open++
	values, good := []Value{}, true
	for {
		if p.skipToElement() && p.atKeyLine() {
			return nil, p.notClosed(start, errsBefore)
		}
		if p.accept(']') {
			break
		}
		if p.eof() || p.at(',') {
			return nil, p.errorf(p.pos, "expected a value or ']' in an array, got %s", p.got())
		}
		v := Value{Offset: p.pos}
		var ok bool
		if v.Data, ok = p.value(depth); !ok || p.full() {
			return nil, false
		}
		good = good && v.Data != nil
		values = append(values, v)
		if p.skipToElement() && p.atKeyLine() {
			return nil, p.notClosed(start, errsBefore)
		}
		if !p.at(']') && !p.accept(',') {
			return nil, p.errorf(p.pos, "expected ',' or ']' in an array, got %s", p.got())
		}
	}
	p.open--
	if !good {
		return nil, true
	}
	return values, true
}

// notClosed reports an array whose bracket was forgotten, which shows at a line
// that begins with key =. What was taken for elements may have been statements,
// so their errors do not count, and reading resumes after the opening line.
func (p *parser) notClosed(start, errsBefore int) bool {
	p.errs = p.errs[:errsBefore]
	line, _ := p.doc.Position(p.pos)
	p.pos = start
	return p.errorf(start, "array is not closed, expected ']' before the key on line %d", line)
}

// skipToElement passes over blanks, line ends and comments inside an array. It
// reports whether there was a line end.
func (p *parser) skipToElement() (onNewLine bool) {
	for {
		p.skipBlanks()
		if p.at('#') {
			p.comment()
		}
		if !p.newline() {
			return onNewLine
		}
		onNewLine = true
	}
}

// inlineTable reads { key = value, key = value }: one line, no trailing comma.
// One that goes on over several lines, as later versions of TOML have it, is
// reported once and read to its end.
func (p *parser) inlineTable(depth int) (any, bool) {
	p.pos++
	t, outer := newTable(headed), len(p.path)
	good := p.withinLine(true)
	for first := true; !p.at('}') || !first && good; first = false {
		if !p.keyValue(t, depth) || p.full() {
			return nil, false
		}
		p.path = p.path[:outer]
		end := p.pos
		p.skipBlanks()
		comma := p.accept(',')
		good = p.withinLine(good)
		if comma {
			continue
		}
		if p.at('}') {
			break
		}
		if good {
			return nil, p.errorf(p.pos, "expected ',' or '}' in an inline table, got %s", p.got())
		}
		p.pos = end // the next line is no part of it
		return nil, false
	}
	p.pos++
	if !good {
		return nil, true
	}
	t.made = enclosed
	return t, true
}

// withinLine passes over blanks in an inline table, and over line ends and
// comments too, which it reports unless an earlier one was: it returns false then.
func (p *parser) withinLine(good bool) bool {
	p.skipBlanks()
	if !p.at('#') && !p.atNewline() {
		return good
	}
	if good {
		p.errorf(p.pos, "expected the end of the inline table on its line, got %s", p.got())
	}
	p.skipToElement()
	return false
}

// scalar reads what has no quotes and no brackets: a boolean, a number or a date.
func (p *parser) scalar() (any, bool) {
	start := p.pos
	tok := p.token()
	switch {
	case tok == "":
		return nil, p.errorf(start, "expected a value, got %s", p.got())
	case tok == "true", tok == "false":
		return tok == "true", true
	case looksLikeDateTime(tok):
		if !validDateTime(tok) {
			p.quoteError(start, fmt.Sprintf("invalid date or time %q", Abbreviate(tok)))
		} else {
			p.refusef(start, "dates and times are not supported")
		}
		return nil, true
	}
	v, problem := parseNumber(tok)
	if problem != "" {
		p.quoteError(start, problem)
		return nil, true
	}
	return v, true
}

// token takes the characters up to one that ends a scalar. RFC 3339 lets a space
// stand between date and time, the one token with a blank inside.
func (p *parser) token() string {
	start := p.pos
	p.skipScalar()
	if isDate(string(p.src[start:p.pos])) && p.pos+1 < len(p.src) && p.src[p.pos] == ' ' && isDigit(p.src[p.pos+1]) {
		p.pos++
		p.skipScalar()
	}
	return string(p.src[start:p.pos])
}

func (p *parser) skipScalar() {
	for !p.eof() && strings.IndexByte(" \t\r\n,]}#=\"'", p.src[p.pos]) < 0 {
		size, problem := p.char()
		if problem != "" {
			return
		}
		p.pos += size
	}
}
