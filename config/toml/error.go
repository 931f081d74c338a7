package toml

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxErrors is the maximum number of errors reported for one file. If it is reached, a further
// error says that the rest of the file was not read.
const MaxErrors = 50

const tooMany = "too many errors; the rest of the file was not read"

// An Error is a problem at a position in the file.
type Error struct {
	Line, Col int    // 1-based; columns count characters, not bytes
	Key       string // full path of the key or table, or "" if there is none
	Msg       string
	Quotes    bool // Msg contains the value, which may be a secret
	Element   bool // the value is an element of an array
}

// Error returns "line:col: key: message".
func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Msg)
	}
	return fmt.Sprintf("%d:%d: %s: %s", e.Line, e.Col, e.Key, e.Msg)
}

// errorf records an error at byte offset off. It returns false, so that callers can report an error
// and return in one statement.
func (p *parser) errorf(off int, format string, args ...any) bool {
	if len(p.errs) > MaxErrors {
		return false
	}
	msg := fmt.Sprintf(format, args...)
	if p.full() {
		msg = tooMany
	}
	line, col := p.doc.Position(off)
	p.errs = append(p.errs, &Error{Line: line, Col: col, Key: FormatKey(p.path...), Msg: msg})
	return false
}

// quoteError records an error at off whose message contains the problem and the invalid value.
func (p *parser) quoteError(off int, problem string) {
	n := len(p.errs)
	p.errorf(off, "%s", problem)
	if len(p.errs) > n {
		p.errs[n].Quotes, p.errs[n].Element = true, p.open > 0
	}
}

// full reports whether the parser has recorded MaxErrors errors. Loops over the input then stop,
// which bounds the time needed for a hostile file.
func (p *parser) full() bool { return len(p.errs) >= MaxErrors }

// Position returns the line and column of a byte offset, both starting at 1. Columns count
// characters; an invalid UTF-8 byte counts as one, and a byte order mark is not counted. Because
// Position takes time proportional to the offset, the tree stores offsets.
func (d *Document) Position(off int) (line, col int) {
	before := d.src[:off]
	line = 1
	for i, c := range before {
		if c == '\n' {
			line++
			before = d.src[i+1 : off]
		}
	}
	if line == 1 {
		before = before[min(bomLen(d.src), len(before)):]
	}
	return line, utf8.RuneCount(before) + 1
}

// FormatKey formats a key path for messages. The parts are joined by dots, and parts that are not
// bare keys are quoted. Long paths are truncated.
func FormatKey(path ...string) string {
	var b strings.Builder
	for i, part := range path {
		if i > 0 {
			b.WriteByte('.')
		}
		if isBareKey(part) {
			b.WriteString(Abbreviate(part))
		} else {
			fmt.Fprintf(&b, "%q", Abbreviate(part))
		}
		if b.Len() > 200 {
			b.WriteString("...")
			break
		}
	}
	return b.String()
}

// Abbreviate truncates s to 60 characters for use in a message.
func Abbreviate(s string) string {
	const most = 60
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "..."
		}
	}
	return s
}
