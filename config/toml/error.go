package toml

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxErrors bounds the problems reported for one file. When it is reached, one
// more error says that reading stopped there.
const MaxErrors = 50

const tooMany = "too many errors, the rest of the file was not read"

// An Error is one problem at one place of the file.
type Error struct {
	Line, Col int    // from 1; columns count characters, not bytes
	Key       string // full path of the key or table concerned; "" outside of any
	Msg       string
	Quotes    bool // Msg repeats what is written as the value

	unsupported bool
}

// Error returns "line:col: key: message".
func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Msg)
	}
	return fmt.Sprintf("%d:%d: %s: %s", e.Line, e.Col, e.Key, e.Msg)
}

// Is makes errors.Is(e, errors.ErrUnsupported) true for valid TOML that this
// package refuses on purpose, as listed in the package comment.
func (e *Error) Is(target error) bool {
	return e.unsupported && target == errors.ErrUnsupported
}

// errorf records a problem at byte offset off, and returns false so that a
// function can report and give up in one line.
func (p *parser) errorf(off int, format string, args ...any) bool {
	p.report(off, false, format, args...)
	return false
}

// quoteError is errorf with a problem that repeats what is written as the value.
func (p *parser) quoteError(off int, problem string) {
	n := len(p.errs)
	p.errorf(off, "%s", problem)
	if len(p.errs) > n {
		p.errs[n].Quotes = true
	}
}

// refusef records valid TOML that is not supported.
func (p *parser) refusef(off int, format string, args ...any) bool {
	p.report(off, true, format, args...)
	return false
}

func (p *parser) report(off int, unsupported bool, format string, args ...any) {
	if len(p.errs) > MaxErrors {
		return
	}
	msg := fmt.Sprintf(format, args...)
	if p.full() {
		msg, unsupported = tooMany, false
	}
	line, col := p.doc.Position(off)
	p.errs = append(p.errs, &Error{Line: line, Col: col, Key: FormatKey(p.path...), Msg: msg, unsupported: unsupported})
}

// full reports whether no more problems are wanted. Loops over foreign input ask
// it, so that a hostile file costs no more than reading it once.
func (p *parser) full() bool { return len(p.errs) >= MaxErrors }

// Position turns a byte offset of the source into line and column, both from 1.
// Columns count characters; an undecodable byte counts as one, the byte order
// mark as none. The cost is proportional to the offset, hence offsets in the
// tree and positions only for what is shown to a reader.
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

// FormatKey writes a key path for people: parts joined by dots, those that are
// not bare keys in quotes, cut when it grows beyond a readable line.
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

// Abbreviate cuts foreign text to a length that fits into a message.
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
