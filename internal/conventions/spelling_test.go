package conventions

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// TestAmericanSpelling checks that source and documents spell words as Go's own documentation does.
// It knows the words that have occurred here; the aria-labelledby of HTML is the exception.
func TestAmericanSpelling(t *testing.T) {
	british := regexp.MustCompile(`(?i)(col|fav|behavi|neighb|hon)our|(synchron|initial|serial|recogn|organ|optim|normal|minim|maxim|summar|author)is(e|ed|es|ing)\b|` +
		`analys(e|ed|er|ing)\b|labelled|cancelled|misspelt|\btowards\b|\b(centre|metre|licence|defence)\b`)
	walk(t, func(name string) {
		switch path.Ext(name) {
		case ".go", ".md", ".yml", ".example", ".service":
		default:
			return
		}
		if strings.HasSuffix(name, "/spelling_test.go") {
			return
		}
		for i, line := range strings.Split(switchtest.ReadFile(t, name), "\n") {
			if word := british.FindString(strings.ReplaceAll(line, "aria-labelledby", "")); word != "" {
				t.Errorf("%s:%d: %q is British spelling", name, i+1, word)
			}
		}
	})
}
