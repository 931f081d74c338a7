package metrics

import "math"

// appendJSONLabels appends the beginning of a sample: {"labels":{...},
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

// appendJSONString appends v as a JSON string (RFC 8259, section 7): quote,
// backslash and control characters are escaped. v must be valid UTF-8.
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

// appendJSONFloat is appendFloat with quotes around what JSON cannot say.
func appendJSONFloat(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		b = append(b, '"')
		b = appendFloat(b, v)
		return append(b, '"')
	}
	return appendFloat(b, v)
}

// appendJSONValue appends v's text, in quotes if it is NaN, +Inf or -Inf. The
// letter tells: no other number has an N or an I in its first two bytes.
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
