package syslog

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	// maxLine is the maximum size of a datagram in bytes: the default of rsyslog
	// ($MaxMessageSize 8k).
	maxLine = 8192

	// cutMark is appended to a line that was truncated.
	cutMark = "..."
)

// cut truncates a line to at most limit bytes, including cutMark. It does not split a character.
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

// clip truncates a string to maxLine bytes before it is formatted, because cut would remove the
// rest later.
func clip(s string) string {
	return s[:min(len(s), maxLine)]
}

// appendAttr appends " key=value". For a group, it appends each member.
func appendAttr(b []byte, group string, a slog.Attr) []byte {
	value := a.Value.Resolve()
	if a.Key == "" && value.Equal(slog.Value{}) {
		return b // slog.Handler: "If an Attr's key and value are both the zero value, ignore the Attr."
	}
	if value.Kind() == slog.KindGroup {
		if a.Key != "" { // members of a group without a name are inlined
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
		// fmt calls Error and String, and recovers from panics on nil receivers.
		return appendWord(b, fmt.Sprintf("%+v", v.Any()))
	}
}

// appendWord appends s. If s is not a single word, it is appended as a Go string literal.
func appendWord(b []byte, s string) []byte {
	s = clip(s)
	if isWord(s) {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

// isWord reports whether s can be written as a key or value without quotes.
func isWord(s string) bool {
	for i, r := range s {
		if r == ' ' || r == '"' || r == '=' || !isPrintable(s, i, r) {
			return false
		}
	}
	return s != ""
}

// appendPrintable appends s with unprintable characters escaped as in a Go string literal. It does
// not escape spaces and quotes.
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

// appendPrintableBytes is like appendPrintable but takes bytes. It does not allocate for printable
// ASCII.
func appendPrintableBytes(b, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return appendPrintable(b, string(text))
		}
	}
	return append(b, text...)
}

// isPrintable reports whether r, which starts at s[i], is printable. Invalid UTF-8, control
// characters and separators other than the ASCII space are not printable.
func isPrintable(s string, i int, r rune) bool {
	if r == utf8.RuneError {
		_, width := utf8.DecodeRuneInString(s[i:])
		return width > 1 // U+FFFD itself, not invalid UTF-8
	}
	return strconv.IsPrint(r)
}
