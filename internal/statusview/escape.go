package statusview

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Interface names can contain any bytes except blanks, slashes, colons and NUL (dev_valid_name in
// the kernel's net/core/dev.c), and errors and reasons quote output of other programs. This file
// escapes such text to keep control characters, bidirectional controls, and invisible and combining
// characters out of terminals and pages.

// Visible returns a name or another single value with an escape sequence for each byte or character
// that a terminal or browser might not show as a single visible character: \\ for a backslash, \xff for
// an invalid UTF-8 byte, and \u202e or \U000e0001 for other characters. Different strings always have
// different results. If ascii is true, Visible escapes all non-ASCII characters.
func Visible(s string, ascii bool) string { return escape(s, ascii, `\\`) }

// VisibleText is like Visible, but for sentences: it does not change backslashes. The author of a
// sentence has already escaped the names and values that it quotes.
func VisibleText(s string, ascii bool) string { return escape(s, ascii, `\`) }

// escape returns s as described for Visible, with the given text for each backslash.
func escape(s string, ascii bool, backslash string) string {
	if isPlainASCII(s) {
		return s
	}
	var b []byte
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\\':
			b = append(b, backslash...)
		case r < utf8.RuneSelf && r >= ' ' && r != 0x7f:
			b = append(b, byte(r))
		case size == 1: // a control character or invalid UTF-8
			b = append(b, `\x`...)
			b = appendHex(b, uint32(s[i]), 2)
		case !ascii && isPlain(r):
			b = utf8.AppendRune(b, r)
		case r < 0x10000:
			b = appendHex(append(b, `\u`...), uint32(r), 4)
		default:
			b = appendHex(append(b, `\U`...), uint32(r), 8)
		}
		i += size
	}
	return string(b)
}

// visible escapes an untrusted name or value for a page. The result is not yet escaped for HTML.
func visible(s string) string { return Visible(s, false) }

// visibleText is like visible, but for sentences.
func visibleText(s string) string { return VisibleText(s, false) }

// isPlainASCII reports whether s contains only ASCII characters that need no escaping.
func isPlainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

// appendHex appends v as a hexadecimal number, padded with zeros to the given number of digits.
func appendHex(b []byte, v uint32, digits int) []byte {
	s := strconv.FormatUint(uint64(v), 16)
	return append(append(b, strings.Repeat("0", digits-len(s))...), s...)
}

// isPlain reports whether a non-ASCII character can be shown unescaped: its width is known, it does
// not combine with other characters, and it is written from left to right. Symbols other than
// currency signs are escaped because the width of emoji depends on the terminal.
func isPlain(r rune) bool {
	return r == utf8.RuneError || // the JSON decoder substitutes it for invalid bytes
		unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.Sc) && !within(r, joining) && !within(r, rightToLeft)
}

// joining lists letters that are invisible or combine with the previous letter: fillers and
// conjoining Hangul (Unicode 15, Scripts.txt and DerivedCoreProperties.txt).
var joining = [][2]rune{{0x115f, 0x11ff}, {0x3164, 0x3164}, {0xd7b0, 0xd7ff}, {0xffa0, 0xffa0}}

// rightToLeft lists the blocks of right-to-left scripts. A single right-to-left letter reverses the
// order of the digits and punctuation after it (UAX #9, DerivedBidiClass.txt).
var rightToLeft = [][2]rune{{0x0590, 0x08ff}, {0xfb1d, 0xfdff}, {0xfe70, 0xfeff}, {0x10800, 0x10fff}, {0x1e800, 0x1efff}}

// wide lists the ranges of letters, numbers and punctuation that occupy two columns (UAX #11,
// EastAsianWidth.txt, classes W and F).
var wide = [][2]rune{
	{0x1100, 0x115e}, {0x2329, 0x232a}, {0x2e80, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff},
	{0xfe10, 0xfe19}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x16fe0, 0x18dff}, {0x1aff0, 0x1b2ff},
	{0x20000, 0x3fffd},
}

// within reports whether the character r is in one of the ranges, whose bounds are inclusive.
func within(r rune, ranges [][2]rune) bool {
	for _, x := range ranges {
		if x[0] <= r && r <= x[1] {
			return true
		}
	}
	return false
}

// textWidth returns the width of s in columns. Untrusted text in s must have been escaped by
// Visible.
func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if r >= 0x1100 && within(r, wide) {
		return 2
	}
	return 1
}

// shorten truncates s to at most width columns by replacing the middle with mark. It keeps the end
// because that is where port names differ.
func shorten(s string, width int, mark string) string {
	if textWidth(s) <= width {
		return s
	}
	room := width - textWidth(mark)
	if room <= 0 {
		return strings.Repeat(".", max(width, 0))
	}
	head, w := 0, 0
	for i, r := range s {
		if w += runeWidth(r); w > room/2 {
			break
		}
		head = i + utf8.RuneLen(r)
	}
	tail, w := len(s), 0
	for tail > head {
		r, size := utf8.DecodeLastRuneInString(s[:tail])
		if w += runeWidth(r); w > room-room/2 {
			break
		}
		tail -= size
	}
	return s[:head] + mark + s[tail:]
}
