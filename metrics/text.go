package metrics

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Label is a name and a value that tell series of one family apart.
type Label struct {
	Name  string // ASCII letters, digits, underscore; not "le", not "quantile"
	Value string // any text; what cannot be seen is shown as \xNN or \uNNNN
}

// appendSampleName appends name{labels} and the space before the value.
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

// appendLabelValue appends v with backslash, double quote and newline escaped,
// as the text format wants it, and nothing else changed.
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

// appendHelp appends v with backslash and newline escaped. Quotes stay.
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

// validText returns v with every byte that is not part of valid UTF-8 spelled as
// \xNN, and every character that cannot be seen (control characters, those that turn
// the direction of writing) as \xNN, \uNNNN or \UNNNNNNNN. An interface name may hold
// any byte but '/' and white space (dev_valid_name in linux/net/core/dev.c), and an
// answer of Redis any byte at all. One byte that is not UTF-8 would make Prometheus
// refuse the whole scrape; an escape sequence would act on the terminal that shows the
// answer. A replacement character for all of them would make two names one.
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

// maxDigits bounds the whole numbers that are written without an exponent:
// below it every whole float64 is exact, as it is below 2^53.
const maxDigits = 1e15

// appendFloat appends v in a short form that parses back to v: whole numbers
// in digits (cheaper to write than an exponent, and easier to read), others as
// strconv's shortest. Negative zero is written as 0.
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
