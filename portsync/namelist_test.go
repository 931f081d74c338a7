package portsync

import (
	"strings"
	"testing"
)

// TestNameList checks that nameList returns the first mostNames names and the number of the
// others.
func TestNameList(t *testing.T) {
	names := strings.Fields("a b c d e f g h i j")
	for n, want := range map[int]string{0: "", 1: "a", 2: "a, b", mostNames: "a, b, c, d, e, f, g, h",
		mostNames + 1: "a, b, c, d, e, f, g, h and 1 more", mostNames + 2: "a, b, c, d, e, f, g, h and 2 more"} {
		if got := nameList(names[:n]); got != want {
			t.Errorf("of %d: %q, want %q", n, got, want)
		}
	}
}
