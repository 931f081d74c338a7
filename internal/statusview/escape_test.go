package statusview

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"portsyncd/internal/journal"
)

// TestVisible checks which bytes and characters are escaped, with and without ASCII.
func TestVisible(t *testing.T) {
	f := func(s, want, ascii string) {
		t.Helper()
		if got := Visible(s, false); got != want {
			t.Errorf("Visible(%q) = %q, want %q", s, got, want)
		}
		if got := Visible(s, true); got != ascii {
			t.Errorf("Visible(%q) in ASCII = %q, want %q", s, got, ascii)
		}
	}
	same := func(s string) { t.Helper(); f(s, s, s) }
	same("")
	same("Ethernet0")
	same(` !"#$%&'()*+,-./:;<=>?@[]^_{|}~`)
	f(`\`, `\\`, `\\`)
	f("\x00\t\n\x1b\x7f", `\x00\x09\x0a\x1b\x7f`, `\x00\x09\x0a\x1b\x7f`)
	f("\x80\xff\xc3", `\x80\xff\xc3`, `\x80\xff\xc3`)
	f("\ufffd", "\ufffd", `\ufffd`)
	f("ä端", "ä端", `\u00e4\u7aef`)
	f("\u0085\u009b", `\u0085\u009b`, `\u0085\u009b`)                                                       // C1 control characters
	f("\u00a0\u00ad\u200b\u2028\ufeff", `\u00a0\u00ad\u200b\u2028\ufeff`, `\u00a0\u00ad\u200b\u2028\ufeff`) // special blanks and invisible characters
	f("\u202e\u2066\u061c", `\u202e\u2066\u061c`, `\u202e\u2066\u061c`)                                     // bidirectional controls
	f("אب", `\u05d0\u0628`, `\u05d0\u0628`)
	f("e\u0301", `e\u0301`, `e\u0301`)
	f("\u1160\u3164", `\u1160\u3164`, `\u1160\u3164`)
	f("\U0001f600\U000e0001", `\U0001f600\U000e0001`, `\U0001f600\U000e0001`)
}

// TestQuotedOnce checks that backslashes in sentences, which come from quoted names and values, are
// shown as they are, in the text output and on the page.
func TestQuotedOnce(t *testing.T) {
	const sentence = `no interface: Ethernet\x1b[2J, open "a\\b"`
	if got, want := VisibleText(sentence+"\x1b\xff\u202e", false), sentence+`\x1b\xff\u202e`; got != want {
		t.Errorf("VisibleText returns %q, want %q", got, want)
	}
	s := troubled()
	text := func(n int) string { return strconv.Itoa(n) + sentence }
	s.Health.Reasons[0].Text, s.Start.Reason, s.Databases[0].Error = text(0), text(1), text(2)
	s.Restarts[len(s.Restarts)-1].Reason, s.Pending[0].Why = text(3), text(4)
	s.Events = []journal.Event{{Time: s.Time, Kind: journal.Reload, Reason: text(5)}}
	shown := string(s.AppendText(nil, Terminal{Width: 1000})) + string(AppendEvents(nil, s.Events, Terminal{}))
	page := readPage(t, s).text
	for n := range 6 {
		if !strings.Contains(shown, text(n)) {
			t.Errorf("the text output does not have %s:\n%s", text(n), shown)
		}
		if !strings.Contains(page, text(n)) {
			t.Errorf("the page does not have %s:\n%s", text(n), page)
		}
	}
}

// unescape reverses Visible.
func unescape(t *testing.T, s string) string {
	t.Helper()
	var b []byte
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		digits := 0
		if r == '\\' {
			digits = map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
		}
		switch {
		case digits > 0:
			v, err := strconv.ParseUint(s[2:2+digits], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			if digits == 2 {
				b = append(b, byte(v))
			} else {
				b = utf8.AppendRune(b, rune(v))
			}
			size = 2 + digits
		case r == '\\':
			b = append(b, '\\')
			size = 2
		default:
			b = append(b, s[:size]...)
		}
		s = s[size:]
	}
	return string(b)
}

// FuzzVisible checks that the result of Visible has no special characters, has the computed width,
// and can be reversed.
func FuzzVisible(f *testing.F) {
	for _, name := range hostileNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, ascii := range []bool{false, true} {
			shown := Visible(s, ascii)
			for _, r := range shown {
				if r < ' ' || r == 0x7f || ascii && r > 0x7f || unicode.In(r, unicode.C, unicode.M, unicode.Zl, unicode.Zp) {
					t.Errorf("Visible(%q) has %q", s, r)
				}
			}
			if back := unescape(t, shown); back != s {
				t.Errorf("Visible(%q) = %q, which unescapes to %q", s, shown, back)
			}
			for _, width := range []int{0, 1, 3, 10} {
				short := shorten(shown, width, "…")
				if textWidth(short) > width || textWidth(shown) <= width && short != shown {
					t.Errorf("shorten(%q, %d) = %q, too wide or shortened without need", shown, width, short)
				}
			}
		}
	})
}

// TestShorten checks that the middle of a name is removed, with wide characters counted as two
// columns.
func TestShorten(t *testing.T) {
	f := func(s string, width int, want string) {
		t.Helper()
		if got := shorten(s, width, "…"); got != want {
			t.Errorf("shorten(%q, %d) = %q, want %q", s, width, got, want)
		}
	}
	f("Ethernet0", 9, "Ethernet0")
	f("Ethernet0", 8, "Eth…net0")
	f("Ethernet0", 2, "…0")
	f("Ethernet0", 1, ".")
	f("Ethernet0", 0, "")
	f("端口端口", 7, "端…端口"[:len("端")]+"…口")
	f(strings.Repeat("端", 4), 8, strings.Repeat("端", 4))
}
