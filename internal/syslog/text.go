package syslog

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	// maxLine is the longest datagram, in bytes: what rsyslog takes by default ($MaxMessageSize 8k).
	maxLine = 8192

	// cutMark ends a line that was cut.
	cutMark = "..."
)

// cut shortens a line to limit bytes, not in the middle of a character, and marks that it did.
func cut(line []byte, limit int) []byte {
	if len(line) <= limit {
		return line
	}
	end := limit - len(cutMark)
	for end > 0 && !utf8.RuneStart(line[end]) {
		end--
	}
	return append(line[:end], cutMark...)
}

// clip bounds the work that one huge string makes; what it takes off, cut would take off anyway.
func clip(s string) string {
	return s[:min(len(s), maxLine)]
}

// appendAttr appends " key=value", or one for each member of a group.
func appendAttr(b []byte, group string, a slog.Attr) []byte {
	value := a.Value.Resolve()
	if a.Key == "" && value.Equal(slog.Value{}) {
		return b // slog.Handler: "If an Attr's key and value are both the zero value, ignore the Attr."
	}
	if value.Kind() == slog.KindGroup {
		if a.Key != "" { // the members of a group without a name stand for themselves
			group += a.Key + "."
		}
		for _, member := range value.Group() {
			b = appendAttr(b, group, member)
		}
		return b
	}
	b = append(b, ' ')
	if group != "" {
		b = appendWord(b, group+a.Key)
	} else {
		b = appendWord(b, a.Key)
	}
	b = append(b, '=')
	return appendValue(b, value)
}

// appendValue appends a resolved value that is not a group.
func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendWord(b, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	default:
		// fmt knows error and Stringer, and survives their panics on nil receivers.
		return appendWord(b, fmt.Sprintf("%+v", v.Any()))
	}
}

// appendWord appends s, as a Go string literal if it would otherwise not read as one word.
func appendWord(b []byte, s string) []byte {
	s = clip(s)
	if isWord(s) {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

// isWord tells whether s can stand as a key or a value as it is.
func isWord(s string) bool {
	for i, r := range s {
		if r == ' ' || r == '"' || r == '=' || !isPrintable(s, i, r) {
			return false
		}
	}
	return s != ""
}

// appendPrintable appends s with unprintable characters escaped as in a Go string literal; blanks and quotes stay.
func appendPrintable(b []byte, s string) []byte {
	for i, r := range s {
		if isPrintable(s, i, r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		_, width := utf8.DecodeRuneInString(s[i:])
		mark := len(b)
		b = strconv.AppendQuote(b, s[i:i+width])
		b = append(b[:mark], b[mark+1:len(b)-1]...) // without the quotes
	}
	return b
}

// appendPrintableBytes is appendPrintable for bytes; for printable ASCII it allocates nothing.
func appendPrintableBytes(b, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return appendPrintable(b, string(text))
		}
	}
	return append(b, text...)
}

// isPrintable tells whether r, at s[i:], is a character that shows: no control character, no separator but the ASCII blank, and no
// byte that is not UTF-8.
func isPrintable(s string, i int, r rune) bool {
	if r == utf8.RuneError {
		_, width := utf8.DecodeRuneInString(s[i:])
		return width > 1 // U+FFFD itself, not a sign of bad UTF-8
	}
	return strconv.IsPrint(r)
}
