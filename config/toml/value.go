package toml

import "strings"

// value parses a TOML value of any type. depth is the number of enclosing tables and arrays.
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
			return nil, p.errorf(p.pos, "nested deeper than %d levels", MaxDepth)
		}
		return p.array(depth + 1)
	case p.at('{'):
		if depth >= MaxDepth {
			return nil, p.errorf(p.pos, "nested deeper than %d levels", MaxDepth)
		}
		return p.inlineTable(depth + 1)
	}
	return p.scalar()
}

// array parses [value, value]. Line ends, comments and a trailing comma are allowed. If an element
// is invalid, the result is nil.
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

// notClosed reports an array without a closing bracket, detected at a line that starts with "key
// =". The lines before it may be statements rather than elements, so notClosed discards their
// errors, and parsing resumes after the line with the opening bracket.
func (p *parser) notClosed(start, errsBefore int) bool {
	p.errs = p.errs[:errsBefore]
	line, _ := p.doc.Position(p.pos)
	p.pos = start
	return p.errorf(start, "array is not closed, expected ']' before the key on line %d", line)
}

// skipToElement skips white space, line ends and comments inside an array. It reports whether it
// skipped a line end.
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

// inlineTable parses { key = value, key = value } on one line, without a trailing comma. An inline
// table over several lines, which TOML 1.1 allows, is reported as one error and read to its end.
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
		p.pos = end // the next line is not part of the table
		return nil, false
	}
	p.pos++
	if !good {
		return nil, true
	}
	t.made = enclosed
	return t, true
}

// withinLine skips white space, line ends and comments in an inline table. It returns false if the
// table contains a line end or comment, which it reports only once. good is false if one has
// already been reported.
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

// scalar parses a boolean or a number.
func (p *parser) scalar() (any, bool) {
	start := p.pos
	tok := p.token()
	switch {
	case tok == "":
		return nil, p.errorf(start, "expected a value, got %s", p.got())
	case tok == "true", tok == "false":
		return tok == "true", true
	}
	v, problem := parseNumber(tok)
	if problem != "" {
		p.quoteError(start, problem)
		return nil, true
	}
	return v, true
}

// token returns the characters from the current position up to the end of a number, date, boolean
// or bare word.
func (p *parser) token() string {
	start := p.pos
	for !p.eof() && strings.IndexByte(" \t\r\n,]}#=\"'", p.src[p.pos]) < 0 {
		size, problem := p.char()
		if problem != "" {
			break
		}
		p.pos += size
	}
	return string(p.src[start:p.pos])
}
