//go:build !race

// The race detector makes these regular expressions fifty times slower and has nothing to find in a
// single goroutine.

package toml

import (
	"regexp"
	"strings"
	"testing"
)

// The definitions of a key line and of a header line as regular expressions.
var (
	keyLine = regexp.MustCompile(strings.ReplaceAll(`^[ \t]*K([ \t]*\.[ \t]*K)*[ \t]*=`,
		"K", `([A-Za-z0-9_-]+|"([^"\\]|\\.)*"|'[^']*')`))
	headerLine = regexp.MustCompile(`^[ \t]*\[\[?[^#,=\[\]{}]+\]\]?[ \t]*(#.*)?\r?$`)
)

// TestLines compares the functions with the regular expressions for all lines of up to seven
// characters of those that have a meaning; with -short, of up to five.
func TestLines(t *testing.T) {
	longest := 7
	if testing.Short() {
		longest = 5
	}
	for _, alphabet := range []string{"a \"\\'.=", "[]#, a\r"} {
		line := make([]byte, 0, longest)
		var extend func()
		extend = func() {
			if got, want := isKeyLine(line), keyLine.Match(line); got != want {
				t.Errorf("isKeyLine(%q) = %v, want %v", line, got, want)
			}
			if got, want := isHeaderLine(line), headerLine.Match(line); got != want {
				t.Errorf("isHeaderLine(%q) = %v, want %v", line, got, want)
			}
			for i := 0; len(line) < cap(line) && i < len(alphabet) && !t.Failed(); i++ {
				line = append(line, alphabet[i])
				extend()
				line = line[:len(line)-1]
			}
		}
		extend()
	}
}
