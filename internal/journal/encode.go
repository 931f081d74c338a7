package journal

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"
)

// timeFormat has a fixed width, so that times can be compared as bytes.
const timeFormat = "2006-01-02T15:04:05.000Z"

// maxReason is the maximum length in bytes of an event's Old, New and Reason.
const maxReason = 1024

// AppendJSON appends the event as one JSON object of ASCII characters, without a newline. It omits
// members that do not apply. It does not allocate if b has enough capacity.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, timeFormat)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = appendText(b, "kind", string(e.Kind))
	b = appendText(b, "port", e.Port)
	if !utf8.ValidString(e.Port) {
		b = append(b, `,"port_hex":"`...)
		b = hex.AppendEncode(b, []byte(e.Port))
		b = append(b, '"')
	}
	b = appendText(b, "old", e.Old)
	b = appendText(b, "new", e.New)
	b = appendText(b, "reason", e.Reason)
	b = appendText(b, "boot", e.Boot)
	b = appendCount(b, "count", e.Count)
	b = appendCount(b, "flaps", e.Flaps)
	b = appendCount(b, "span_ms", uint64(max(e.Span, 0)/time.Millisecond))
	b = appendCount(b, "after_ms", uint64(max(e.After, 0)/time.Millisecond))
	b = appendCount(b, "ifindex", uint64(max(e.Index, 0)))
	b = appendText(b, "admin", e.Admin.String())
	b = appendText(b, "oper", e.Oper.String())
	b = appendCount(b, "mtu", uint64(e.MTU))
	b = appendCount(b, "carrier_up", uint64(e.CarrierUp))
	b = appendCount(b, "carrier_down", uint64(e.CarrierDown))
	return append(b, '}')
}

// appendCount appends a numeric member unless n is 0.
func appendCount(b []byte, name string, n uint64) []byte {
	if n == 0 {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendUint(b, n, 10)
}

// appendText appends a string member unless text is empty.
func appendText(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":"`...)
	return append(appendEscaped(b, text[:min(len(text), maxReason)]), '"')
}

// appendEscaped appends text as the contents of a JSON string of ASCII characters. It escapes
// characters that could control a terminal or close a script element, and replaces invalid UTF-8
// with U+FFFD.
func appendEscaped(b []byte, text string) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
			b = append(b, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		i += size
		if r >= 0x10000 { // surrogate pair (RFC 8259, section 7)
			r -= 0x10000
			b = appendUnit(b, 0xd800+uint16(r>>10))
			r = 0xdc00 + r&0x3ff
		}
		b = appendUnit(b, uint16(r))
	}
	return b
}

// appendUnit appends the escape sequence of a UTF-16 code unit.
func appendUnit(b []byte, unit uint16) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[unit>>12], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
}
