package conventions

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"portsyncd/config"
	"portsyncd/internal/daemon"
	"portsyncd/internal/switchtest"
	"portsyncd/portsync"
)

// The tests in this file compare the documents with the program.

// operatorDocuments are the documents that name metrics.
var operatorDocuments = []string{"README_DEPLOYMENT.md", "docs/HEALTH.md", "docs/METRICS.md", "docs/PUSH.md",
	"docs/STATUS.md", "docs/TROUBLESHOOTING.md", "docs/THREAT_MODEL.md"}

// commandDocuments are the documents that name go test commands and Makefile targets.
var commandDocuments = []string{"README.md", "README_DEPLOYMENT.md", "CONTRIBUTING.md", "ARCHITECTURE.md",
	"docs/BENCHMARKS.md", "docs/BUILDING.md", "docs/RELIABILITY.md"}

// TestVersionInDocuments checks that README.md and CHANGELOG.md name the current version.
func TestVersionInDocuments(t *testing.T) {
	if !strings.Contains(switchtest.ReadFile(t, "README.md"), "portsyncd "+daemon.Release) {
		t.Errorf(`README.md does not mention "portsyncd %s"`, daemon.Release)
	}
	newest := regexp.MustCompile(`(?m)^## (\S+)`).FindStringSubmatch(switchtest.ReadFile(t, "CHANGELOG.md"))
	if newest == nil || newest[1] != daemon.Release {
		t.Errorf("CHANGELOG.md begins with %q, want version %s", newest, daemon.Release)
	}
}

// TestStatusInDocuments checks that the example in docs/STATUS.md is the output for the test data of
// package statusview.
func TestStatusInDocuments(t *testing.T) {
	if example := switchtest.ReadFile(t, "internal/statusview/testdata/status-3-80.txt"); !strings.Contains(switchtest.ReadFile(t, "docs/STATUS.md"), "```text\n"+example+"```\n") {
		t.Errorf("docs/STATUS.md does not have this output of portsyncd status:\n%s", example)
	}
}

// TestLinksInDocuments checks that each relative link leads to a file, and each link to a heading
// of a document to one that it has.
func TestLinksInDocuments(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^):]*))?\)`)
	walk(t, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		for _, m := range link.FindAllStringSubmatch(switchtest.ReadFile(t, name), -1) {
			target := name
			if m[1] != "" {
				target = path.Join(path.Dir(name), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			} else if m[2] != "" && !slices.Contains(anchors(switchtest.ReadFile(t, target)), m[2]) {
				t.Errorf("%s links to %s#%s: no such heading", name, m[1], m[2])
			}
		}
	})
}

// anchors returns the anchors of the headings of a Markdown document, as GitHub makes them.
func anchors(text string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^a-z0-9_ -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestPathsInDocuments checks that each path in backquotes in a document exists. Paths in the state
// directory and the names of benchmarks are excluded.
func TestPathsInDocuments(t *testing.T) {
	quoted := regexp.MustCompile("`((?:\\.ci|bench|config|deploy|docs|integration|internal|metrics|netlinkraw|portsync|systemd|testdata)/[^` ]*)`")
	excluded := regexp.MustCompile(`^metrics/[a-z-]+\.(jsonl?|prom)$|^bench/[a-z]+\.[A-Z]`)
	walk(t, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		for _, m := range quoted.FindAllStringSubmatch(switchtest.ReadFile(t, name), -1) {
			if found, err := filepath.Glob(m[1]); len(found) == 0 && !excluded.MatchString(m[1]) {
				t.Errorf("%s names %s, which does not exist (%v)", name, m[1], err)
			}
		}
	})
}

// TestCommandsInDocuments checks that each go test command in a document selects at least one test.
func TestCommandsInDocuments(t *testing.T) {
	tests := make(map[string][]string) // by directory
	for _, s := range sources(t) {
		for _, d := range s.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				tests[s.dir] = append(tests[s.dir], f.Name.Name)
			}
		}
	}
	command := regexp.MustCompile("go test ([^`\n]*)")
	pattern := regexp.MustCompile(`-run '?([^' ]+)'?`)
	for _, name := range commandDocuments {
		for _, c := range command.FindAllStringSubmatch(switchtest.ReadFile(t, name), -1) {
			run := pattern.FindStringSubmatch(c[1])
			if run == nil {
				continue
			}
			top, _, _ := strings.Cut(run[1], "/") // of a subtest
			matches, err := regexp.Compile(top)
			if err != nil {
				t.Errorf("%s: %s: %v", name, c[0], err)
				continue
			}
			for _, dir := range regexp.MustCompile(`(?:^| )\.(\S*)`).FindAllStringSubmatch(c[1], -1) {
				under, all := strings.CutSuffix(strings.Trim(dir[1], "/"), "/...")
				found := false
				for where, names := range tests {
					found = found || (where == under || all && strings.HasPrefix(where, under+"/")) && slices.ContainsFunc(names, matches.MatchString)
				}
				if !found {
					t.Errorf("%s: %s: no such test in .%s", name, c[0], dir[1])
				}
			}
		}
	}
}

// TestTargetsInDocuments checks that each Makefile target that a document names exists.
func TestTargetsInDocuments(t *testing.T) {
	targets := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^([a-z -]+):(?: |$)`).FindAllStringSubmatch(switchtest.ReadFile(t, "Makefile"), -1) {
		for _, name := range strings.Fields(m[1]) {
			targets[name] = true
		}
	}
	// In backquotes, in $(...), or on a line of its own.
	command := regexp.MustCompile("(?m)[`(]make (?:-s )?([a-z][a-z-]*)|^make ([a-z][a-z-]*)(?:$| +#| [A-Z]+=)")
	named := 0
	for _, file := range commandDocuments {
		for _, m := range command.FindAllStringSubmatch(switchtest.ReadFile(t, file), -1) {
			if named++; !targets[m[1]+m[2]] {
				t.Errorf("%s names %q, which the Makefile does not have", file, m[0])
			}
		}
	}
	if named < 10 {
		t.Errorf("the documents name %d targets", named)
	}
}

// TestNamesInDocuments checks that each test, fuzz target and benchmark that a document names
// exists.
func TestNamesInDocuments(t *testing.T) {
	declared := make(map[string]bool)
	for _, s := range sources(t) {
		for _, d := range s.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test {
				declared[f.Name.Name] = true
			}
		}
	}
	for _, name := range []string{"docs/THREAT_MODEL.md", "docs/RELIABILITY.md", "docs/PROTOCOL.md", "docs/SPECIFICATION.md"} {
		found := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)`").FindAllStringSubmatch(switchtest.ReadFile(t, name), -1)
		if len(found) < 10 {
			t.Errorf("%s names %d tests", name, len(found))
		}
		for _, m := range found {
			if !declared[m[1]] {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
	}
}

// rows returns the rows of the Markdown tables in text whose first cell is one word in backquotes
// that matches pattern. The key is that word, the value the other cells.
func rows(t *testing.T, text, pattern string) map[string][]string {
	t.Helper()
	first := regexp.MustCompile("^`(" + pattern + ")`$")
	found := make(map[string][]string)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		m := first.FindStringSubmatch(cells[0])
		if m == nil {
			continue
		}
		if found[m[1]] != nil {
			t.Errorf("two rows for %s", m[1])
		}
		if i := slices.Index(cells, ""); i >= 0 {
			t.Errorf("%s has an empty cell", m[1])
		}
		found[m[1]] = cells[1:]
	}
	return found
}

// TestSettingsInDocuments checks that docs/SETTINGS.md has a row for each key of the example file,
// with the same default and the right way to apply a change.
func TestSettingsInDocuments(t *testing.T) {
	documented := rows(t, switchtest.ReadFile(t, "docs/SETTINGS.md"), `[a-z_]+\.[a-z0-9_]+`)
	example := switchtest.ExampleSettings(t)
	for key, value := range example {
		cells := documented[key]
		if len(cells) != 3 {
			t.Errorf("%s: want a row with default, values and effect, got %q", key, cells)
			continue
		}
		if cells[0] != "`"+value+"`" {
			t.Errorf("%s: the default is documented as %s, the example file says %s", key, cells[0], value)
		}
		effect := "restart"
		if slices.Contains(config.LiveKeys(), key) {
			effect = "reload"
		}
		if cells[2] != effect {
			t.Errorf("%s: documented as applied by %q, want %q", key, cells[2], effect)
		}
	}
	for key := range documented {
		if example[key] == "" {
			t.Errorf("%s is documented and not in the example file", key)
		}
	}
}

// TestMetricsInDocuments checks that docs/METRICS.md has a row, with meaning and use, for each
// family of the daemon itself, and that no operator document names a family that does not exist.
func TestMetricsInDocuments(t *testing.T) {
	documented := rows(t, switchtest.ReadFile(t, "docs/METRICS.md"), `(?:portsyncd|process|go)_[a-z0-9_]+`)
	d := switchtest.StartDemo(t)
	exposed := families(d.Get(t, "/metrics"))
	if len(exposed) < 20 {
		t.Fatalf("only %d families", len(exposed))
	}
	for name := range exposed {
		if strings.HasPrefix(name, "portsyncd_") && len(documented[name]) != 2 {
			t.Errorf("%s: want a row with meaning and use, got %q", name, documented[name])
		}
	}
	known := func(name string) bool {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		// Simulated links have no netlink socket, so its metrics are absent.
		return exposed[name] || exposed[base] || d.Simulated && strings.HasPrefix(name, "portsyncd_netlink_")
	}
	for name := range documented {
		if !known(name) {
			t.Errorf("%s is documented and not exposed", name)
		}
	}
	for _, file := range operatorDocuments {
		for _, name := range regexp.MustCompile(`\bportsyncd_[a-z0-9_]*[a-z0-9]\b`).FindAllString(switchtest.ReadFile(t, file), -1) {
			if !known(name) {
				t.Errorf("%s mentions %s, which is not exposed", file, name)
			}
		}
	}
}

// TestHealthInDocuments checks that docs/HEALTH.md has a row for each health reason, with its
// severity and deduction, and no other rows, and that docs/RELIABILITY.md knows their number.
func TestHealthInDocuments(t *testing.T) {
	_, reasons, _ := strings.Cut(switchtest.ReadFile(t, "docs/HEALTH.md"), "\n| code |")
	documented := rows(t, reasons, `[a-z_]+`)
	for _, c := range portsync.HealthCodes {
		cells := documented[c.Code]
		if len(cells) != 4 || cells[0] != c.Severity || cells[1] != strconv.Itoa(c.Deduction) {
			t.Errorf("%s: %q, want a row with %s, %d, when and what to do", c.Code, cells, c.Severity, c.Deduction)
		}
	}
	if len(documented) != len(portsync.HealthCodes) {
		t.Errorf("%d reasons are documented, there are %d", len(documented), len(portsync.HealthCodes))
	}
	if want := fmt.Sprintf("of %d reasons are caused in the running daemon", len(portsync.HealthCodes)); !strings.Contains(switchtest.ReadFile(t, "docs/RELIABILITY.md"), want) {
		t.Errorf("docs/RELIABILITY.md does not say %q", want)
	}
}

// families returns the names in the TYPE lines of an exposition.
func families(exposition string) map[string]bool {
	names := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(exposition, -1) {
		names[m[1]] = true
	}
	return names
}
