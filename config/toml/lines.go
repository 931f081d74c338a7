package toml

import "bytes"

// This file recognizes lines that look like a statement. The parser uses it to find the next
// statement after an array without a closing bracket.

const blanks = " \t"

// isKeyLine reports whether a line starts with "key =". The key may be dotted or quoted.
func isKeyLine(line []byte) bool {
	for {
		rest, ok := cutKey(bytes.TrimLeft(line, blanks))
		rest = bytes.TrimLeft(rest, blanks)
		if !ok || len(rest) == 0 || rest[0] != '.' {
			return ok && len(rest) > 0 && rest[0] == '='
		}
		line = rest[1:]
	}
}

// cutKey removes a bare key or a quoted key from the start of a line. It returns false if the line
// starts with something else.
func cutKey(line []byte) (rest []byte, ok bool) {
	if len(line) > 0 && (line[0] == '"' || line[0] == '\'') {
		quote := line[0]
		for i := 1; i < len(line); i++ {
			switch {
			case line[i] == quote:
				return line[i+1:], true
			case line[i] == '\\' && quote == '"':
				i++
			}
		}
		return nil, false
	}
	n := 0
	for n < len(line) && isBare(line[n]) {
		n++
	}
	return line[n:], n > 0
}

// isHeaderLine reports whether a line is a table header, [name] or [[name]], which a comment may
// follow.
func isHeaderLine(line []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(line, blanks), []byte("["))
	if !ok {
		return false
	}
	rest = bytes.TrimPrefix(rest, []byte("["))
	end := bytes.IndexAny(rest, "#,=[]{}")
	if end <= 0 || rest[end] != ']' {
		return false
	}
	rest = bytes.TrimPrefix(rest[end+1:], []byte("]"))
	rest = bytes.TrimLeft(rest, blanks)
	return len(rest) == 0 || rest[0] == '#' || string(rest) == "\r"
}
