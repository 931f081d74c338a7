package statusview

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An interface may be named by any 15 bytes but blanks, slash, colon and NUL
// (dev_valid_name in the kernel's net/core/dev.c), and an error or a reason may
// quote whatever a server said. Such text reaches a terminal only as what is
// seen to be there: what could steer the terminal, turn the direction of
// writing, hide, or join with its neighbour, is spelled out.

// Visible returns text that may quote anything as it may go to a terminal or onto
// a page: with a backslash sequence for each byte and character that is not plain
// to see, \\ for the backslash, \xff for a byte that is not UTF-8, \u202e or
// \U000e0001 for a character, so that different texts look different. With ascii,
// for a terminal that shows nothing else, everything beyond ASCII is spelled so.
func Visible(s string, ascii bool) string {
	if isPlainASCII(s) {
		return s
	}
	var b []byte
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\\':
			b = append(b, `\\`...)
		case r < utf8.RuneSelf && r >= ' ' && r != 0x7f:
			b = append(b, byte(r))
		case size == 1: // a control character, or no UTF-8
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

func isPlainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

func appendHex(b []byte, v uint32, digits int) []byte {
	s := strconv.FormatUint(uint64(v), 16)
	return append(append(b, strings.Repeat("0", digits-len(s))...), s...)
}

// isPlain reports whether a character beyond ASCII may be shown: one whose width
// is certain, that stands by itself, and is written from left to right. Symbols
// other than money are not: how wide an emoji is depends on the terminal.
func isPlain(r rune) bool {
	return r == utf8.RuneError || // what a decoder of JSON has put in place of bad bytes
		unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.Sc) && !within(r, joining) && !within(r, rightToLeft)
}

// joining are letters that are invisible or join with the letter before: fillers
// and conjoining Hangul (Unicode 15, Scripts.txt and DerivedCoreProperties.txt).
var joining = [][2]rune{{0x115f, 0x11ff}, {0x3164, 0x3164}, {0xd7b0, 0xd7ff}, {0xffa0, 0xffa0}}

// rightToLeft are the blocks of scripts that are written so: one letter of them
// turns around digits and punctuation that follow (UAX #9, DerivedBidiClass.txt).
var rightToLeft = [][2]rune{{0x0590, 0x08ff}, {0xfb1d, 0xfdff}, {0xfe70, 0xfeff}, {0x10800, 0x10fff}, {0x1e800, 0x1efff}}

// wide are the ranges of UAX #11 (EastAsianWidth.txt, classes W and F) that have
// letters, numbers or punctuation: two columns each.
var wide = [][2]rune{
	{0x1100, 0x115e}, {0x2329, 0x232a}, {0x2e80, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff},
	{0xfe10, 0xfe19}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x16fe0, 0x18dff}, {0x1aff0, 0x1b2ff},
	{0x20000, 0x3fffd},
}

func within(r rune, ranges [][2]rune) bool {
	for _, x := range ranges {
		if x[0] <= r && r <= x[1] {
			return true
		}
	}
	return false
}

// textWidth is how many columns s takes; s is of our own characters, or was made
// visible.
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

// shorten cuts s to at most width columns, with mark in the place of what is cut
// out of its middle: ports differ at the end of their names.
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
