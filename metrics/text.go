package metrics

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Label is a label of a series.
type Label struct {
	Name  string // ASCII letters, digits, underscore; not "le", not "quantile"
	Value string // any text; validText escapes unprintable characters
}

// appendSampleName appends name{labels} and a space.
func appendSampleName(b []byte, name string, labels []Label) []byte {
	b = append(b, name...)
	if len(labels) > 0 {
		b = append(b, '{')
		for i, l := range labels {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, l.Name...)
			b = append(b, `="`...)
			b = appendLabelValue(b, l.Value)
			b = append(b, '"')
		}
		b = append(b, '}')
	}
	return append(b, ' ')
}

// appendLabelValue appends v with backslashes, double quotes and line feeds escaped, as required by
// the text format.
func appendLabelValue(b []byte, v string) []byte {
	for i := 0; i < len(v); i++ {
		switch c := v[i]; c {
		case '\\':
			b = append(b, `\\`...)
		case '"':
			b = append(b, `\"`...)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// appendHelp appends v with backslashes and line feeds escaped, as required by the text format.
func appendHelp(b []byte, v string) []byte {
	for i := 0; i < len(v); i++ {
		switch c := v[i]; c {
		case '\\':
			b = append(b, `\\`...)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// validText returns v with invalid UTF-8 bytes replaced by \xNN, and unprintable characters other
// than line feeds replaced by \xNN, \uNNNN or \UNNNNNNNN. An interface name may contain any byte
// except '/' and white space (dev_valid_name in linux/net/core/dev.c), and a Redis reply any byte.
// A single invalid byte would make Prometheus reject the scrape, and an escape sequence could
// control the terminal that displays the text. Different names stay different, unlike with the
// Unicode replacement character.
func validText(v string) string {
	isPlain := func(r rune) bool { return strconv.IsPrint(r) || r == '\n' }
	if utf8.ValidString(v) && strings.IndexFunc(v, func(r rune) bool { return !isPlain(r) }) < 0 {
		return v
	}
	var out strings.Builder
	for i := 0; i < len(v); {
		r, n := utf8.DecodeRuneInString(v[i:])
		switch {
		case n == 1 && (r == utf8.RuneError || !isPlain(r)):
			fmt.Fprintf(&out, `\x%02x`, v[i])
		case isPlain(r):
			out.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			fmt.Fprintf(&out, `\U%08x`, r)
		}
		i += n
	}
	return out.String()
}

// maxDigits is the limit for integers written without an exponent. Below it, each integer is exact
// as a float64 (2^53).
const maxDigits = 1e15

// appendFloat appends the shortest text that parses back to v. It writes integers below maxDigits
// without an exponent, which is faster and easier to read, and negative zero as 0.
func appendFloat(b []byte, v float64) []byte {
	switch {
	case v == math.Trunc(v) && v < maxDigits && v > -maxDigits:
		return strconv.AppendInt(b, int64(v), 10)
	case math.IsNaN(v):
		return append(b, "NaN"...)
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}
