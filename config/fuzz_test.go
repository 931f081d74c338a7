package config

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"portsyncd/config/toml"
)

// FuzzParse checks for any file that the number of errors is bounded and their positions are in the
// file, and that Parse reads back the output of Effective.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile(examplePath)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse("portsyncd.conf", src)
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) || len(errs) == 0 || len(errs) > toml.MaxErrors+1 {
				t.Fatalf("error %#v, want 1 to %d Errors", err, toml.MaxErrors+1)
			}
			checkPositions(t, src, errs)
			if strings.Count(err.Error(), "\n") != len(errs)-1 {
				t.Errorf("an error has more than one line: %q", err)
			}
		}
		checkRoundTrip(t, c)
	})
}

// checkPositions checks that each error is at a character of the file or at the end of a line, and
// that the errors are sorted.
func checkPositions(t *testing.T, src []byte, errs Errors) {
	t.Helper()
	lines := strings.Split(strings.TrimPrefix(string(src), "\uFEFF"), "\n")
	line, col := 1, 1
	for _, e := range errs {
		if e.Line < 1 || e.Line > len(lines) || e.Col < 1 || e.Col > utf8.RuneCountInString(lines[e.Line-1])+1 {
			t.Errorf("position outside of the file: %v", e)
		}
		if e.Line < line || e.Line == line && e.Col < col {
			t.Errorf("out of order: %v", e)
		}
		line, col = e.Line, e.Col
	}
}

// checkRoundTrip checks that Parse reads back the output of Effective for c, which Parse may have
// returned with an error.
func checkRoundTrip(t *testing.T, c Config) {
	t.Helper()
	var text bytes.Buffer
	if err := c.Effective(&text, nowhere); err != nil {
		t.Fatal(err)
	}
	again, err := Parse("effective", text.Bytes())
	if err != nil {
		t.Fatalf("Parse of the output of Effective: %v\n%s", err, &text)
	}
	if d := c.Diff(again); d != nil {
		t.Fatalf("Parse of the output of Effective differs in %v", d)
	}
}
