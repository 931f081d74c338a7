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

	// cutMark is the end of a line that was cut.
	cutMark = "..."
)

// cut shortens a line to at most limit bytes, without splitting a character, and appends cutMark.
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

// clip shortens a string to maxLine bytes before it is formatted; cut would remove the rest anyway.
func clip(s string) string {
	return s[:min(len(s), maxLine)]
}

// appendAttr appends " key=value", for a group once for each member.
func appendAttr(b []byte, group string, a slog.Attr) []byte {
	value := a.Value.Resolve()
	if a.Key == "" && value.Equal(slog.Value{}) {
		return b // slog.Handler: "If an Attr's key and value are both the zero value, ignore the Attr."
	}
	if value.Kind() == slog.KindGroup {
		if a.Key != "" { // the members of a group without a name are inlined
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
		// fmt calls Error and String, and recovers panics on nil receivers.
		return appendWord(b, fmt.Sprintf("%+v", v.Any()))
	}
}

// appendWord appends s, as a Go string literal if it is not a single word.
func appendWord(b []byte, s string) []byte {
	s = clip(s)
	if isWord(s) {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

// isWord reports whether s can be a key or a value without quotes.
func isWord(s string) bool {
	for i, r := range s {
		if r == ' ' || r == '"' || r == '=' || !isPrintable(s, i, r) {
			return false
		}
	}
	return s != ""
}

// appendPrintable appends s with unprintable characters escaped as in a Go string literal. It does
// not escape blanks and quotes.
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

// appendPrintableBytes is appendPrintable for bytes. It does not allocate for printable ASCII.
func appendPrintableBytes(b, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return appendPrintable(b, string(text))
		}
	}
	return append(b, text...)
}

// isPrintable reports whether r, which begins at s[i], is printable: valid UTF-8, and neither a
// control character nor a separator other than the ASCII blank.
func isPrintable(s string, i int, r rune) bool {
	if r == utf8.RuneError {
		_, width := utf8.DecodeRuneInString(s[i:])
		return width > 1 // U+FFFD itself, not invalid UTF-8
	}
	return strconv.IsPrint(r)
}
