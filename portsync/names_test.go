package portsync

import (
	"strings"
	"testing"
)

// TestNameList: the first mostNames names, and how many more there are.
func TestNameList(t *testing.T) {
	names := strings.Fields("a b c d e f g h i j")
	for n, want := range map[int]string{0: "", 1: "a", 2: "a, b", mostNames: "a, b, c, d, e, f, g, h",
		mostNames + 1: "a, b, c, d, e, f, g, h and 1 more", mostNames + 2: "a, b, c, d, e, f, g, h and 2 more"} {
		if got := nameList(names[:n]); got != want {
			t.Errorf("of %d: %q, want %q", n, got, want)
		}
	}
}

// TestPrintable: text of CONFIG_DB is cut between characters, and what does not
// print is escaped.
func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		s    string
		most int
		want string
	}{
		{"", 4, ""}, {"abcd", 4, "abcd"}, {"abcde", 4, "abcd..."},
		{"abcé", 4, "abc..."}, {"abéf", 4, "abé..."}, {"\U0001F600x", 3, "..."},
		{"\x80\x80\x80", 2, "..."}, {"a\nb", 4, `a\nb`}, {`"a"`, 4, `"a"`}, {"\xff", 4, `\xff`},
	} {
		if got := printable(c.s, c.most); got != c.want {
			t.Errorf("%q cut at %d: %q, want %q", c.s, c.most, got, c.want)
		}
	}
}
