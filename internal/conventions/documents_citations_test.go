package conventions

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// TestCitations checks that each document cited in a comment or in another document exists, and that
// the sections and defects of PROTOCOL.md and the invariants of ARCHITECTURE.md that are cited by
// number exist.
func TestCitations(t *testing.T) {
	protocol, architecture := switchtest.ReadFile(t, "docs/PROTOCOL.md"), switchtest.ReadFile(t, "ARCHITECTURE.md")
	_, invariants, _ := strings.Cut(architecture, "\n## Invariants\n")
	invariants, _, _ = strings.Cut(invariants, "\n## ")
	numbered := []struct {
		citation *regexp.Regexp // the group matches the numbers
		has      func(number string) bool
	}{
		{regexp.MustCompile(`PROTOCOL\.md sections? (\d+(?:(?:, | and | to |, and )\d+)*)`),
			func(n string) bool { return strings.Contains(protocol, "\n## "+n+". ") }},
		{regexp.MustCompile(`PROTOCOL\.md (D\d+(?:(?:, | and |, and )D\d+)*)`),
			func(n string) bool { return strings.Contains(protocol, "\n- **D"+n+" ") }},
		{regexp.MustCompile(`ARCHITECTURE\.md, invariants? (\d+(?:(?:, | and |, and )\d+)*)`),
			func(n string) bool { return strings.Contains(invariants, "\n"+n+". ") }},
	}
	documents := map[string]bool{}
	var citing []string
	walk(t, func(name string) {
		switch path.Ext(name) {
		case ".md":
			documents[path.Base(name)] = true
			citing = append(citing, name)
		case ".go":
			citing = append(citing, name)
		}
	})
	for _, pattern := range []string{"testdata/*.txt", "testdata/scenarios/README.md", "portsync/testdata/transcripts/*.txt"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %q, %v", pattern, names, err)
		}
		citing = append(citing, names...)
	}
	lineBreak := regexp.MustCompile(`\s*\n\s*(?://|#)?\s*`)
	cited := 0
	for _, name := range citing {
		text := lineBreak.ReplaceAllString(switchtest.ReadFile(t, name), " ")
		for _, d := range regexp.MustCompile(`\b[A-Z][A-Z_]{3,}\.md\b`).FindAllString(text, -1) {
			if !documents[d] {
				t.Errorf("%s cites %s, which does not exist", name, d)
			}
		}
		for _, n := range numbered {
			for _, m := range n.citation.FindAllStringSubmatch(text, -1) {
				for _, number := range regexp.MustCompile(`\d+`).FindAllString(m[1], -1) {
					if cited++; !n.has(number) {
						t.Errorf("%s: %s: no %s", name, m[0], number)
					}
				}
			}
		}
	}
	if cited < 30 {
		t.Errorf("only %d citations found", cited)
	}
}

// TestScenariosInDocuments checks that PROTOCOL.md cites each scenario in brackets, and that each
// scenario that it cites exists.
func TestScenariosInDocuments(t *testing.T) {
	names, err := filepath.Glob("testdata/scenarios/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%q, %v", names, err)
	}
	var cited []string
	for _, m := range regexp.MustCompile(`\[([a-z]+(?:_[a-z]+)*(?:,\s+[a-z_]+)*)\](?:[^(]|$)`).FindAllStringSubmatch(switchtest.ReadFile(t, "docs/PROTOCOL.md"), -1) {
		for _, name := range strings.Split(m[1], ",") {
			name = strings.TrimSpace(name)
			cited = append(cited, name)
			if _, err := os.Stat("testdata/scenarios/" + name + ".json"); err != nil {
				t.Errorf("docs/PROTOCOL.md: [%s]: %v", name, err)
			}
		}
	}
	for _, file := range names {
		if name := strings.TrimSuffix(path.Base(file), ".json"); !slices.Contains(cited, name) {
			t.Errorf("docs/PROTOCOL.md does not refer to scenario %s", name)
		}
	}
}
