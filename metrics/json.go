package metrics

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// appendJSONLabels appends the start of a sample: {"labels":{...},
func appendJSONLabels(b []byte, labels []Label) []byte {
	b = append(b, `{"labels":{`...)
	for i, l := range labels {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(b, l.Name)
		b = append(b, ':')
		b = appendJSONString(b, l.Value)
	}
	return append(b, `},`...)
}

// appendJSONString appends v as a JSON string, with quotes, backslashes and control characters
// escaped (RFC 8259, section 7). v must be valid UTF-8.
func appendJSONString(b []byte, v string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// asciiJSON returns a JSON document with DEL and all non-ASCII characters replaced by \u escapes
// (RFC 8259, section 7), so that the document contains no terminal escape sequences.
func asciiJSON(text []byte) []byte {
	var b []byte
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		switch {
		case r < utf8.RuneSelf && r != 0x7f:
			b = append(b, byte(r))
		case r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+r&0x3ff)
		}
	}
	return b
}

// appendJSONFloat is like appendFloat but quotes NaN and infinities, which JSON does not support.
func appendJSONFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		b = append(b, '"')
		b = appendFloat(b, v)
		return append(b, '"')
	}
	return appendFloat(b, v)
}

// appendJSONValue appends the text of v. It quotes NaN, +Inf and -Inf, the only values whose first
// byte is N or whose second byte is I.
func appendJSONValue(b []byte, v value) []byte {
	b = append(b, '"')
	start := len(b)
	b = v.appendValue(b)
	if c := b[start:]; c[0] == 'N' || len(c) > 1 && c[1] == 'I' {
		return append(b, '"')
	}
	copy(b[start-1:], b[start:])
	return b[:len(b)-1]
}
