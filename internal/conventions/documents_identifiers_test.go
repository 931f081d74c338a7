package conventions

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// foreignIdentifiers are names in the documents that are declared elsewhere.
var foreignIdentifiers = map[string]bool{
	"AllocsPerRun":          true, // package testing
	"VmHWM":                 true, // /proc/PID/status
	"TestAlertOfEachReason": true, // module bench
}

// TestIdentifiersInDocuments checks that the Go identifiers that the developers' documents name in
// backquotes are declared: words of mixed case such as timedConn, State.Step and warmrestart.Analyze.
// A benchmark may be named without its prefix.
func TestIdentifiersInDocuments(t *testing.T) {
	declared := make(map[string]bool)
	for _, s := range sources(t) {
		declared[s.Name.Name] = true
		for _, id := range declarations(s.File) {
			declared[strings.TrimPrefix(id.Name, "Benchmark")], declared[id.Name] = true, true
		}
	}
	quoted := regexp.MustCompile("`([A-Za-z]\\w*(?:\\.[A-Za-z]\\w*)*)(?:\\(\\))?`")
	mixed := regexp.MustCompile(`[a-z].*[A-Z]|[A-Z].*[a-z]`)
	found := 0
	for _, document := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/RELIABILITY.md", "docs/BENCHMARKS.md"} {
		for _, m := range quoted.FindAllStringSubmatch(switchtest.ReadFile(t, document), -1) {
			for part := range strings.SplitSeq(m[1], ".") {
				if !mixed.MatchString(part) {
					continue
				}
				found++
				if !declared[part] && !foreignIdentifiers[part] {
					t.Errorf("%s names %s: %s is not declared", document, m[1], part)
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d identifiers found", found)
	}
}

// declarations returns the identifiers that a file declares at the top level, and the fields and
// methods of its types.
func declarations(f *ast.File) (all []*ast.Ident) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BlockStmt:
			return false
		case *ast.FuncDecl:
			all = append(all, n.Name)
		case *ast.ValueSpec:
			all = append(all, n.Names...)
		case *ast.TypeSpec:
			all = append(all, n.Name)
		case *ast.Field:
			all = append(all, n.Names...)
		}
		return true
	})
	return all
}
