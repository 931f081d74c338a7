package conventions

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// The tests in this file check the source against the rules of CONTRIBUTING.md.

// leafImports is the only package outside the standard library that packages may import.
const leafImports = "golang.org/x/sys/unix"

// imports lists the packages of this module that each package may import. Packages that are not
// listed may import none.
var imports = map[string][]string{
	"":                     {"internal/cli"},
	"config":               {"config/toml", "internal/smallfile"},
	"internal/cli":         {"config", "internal/daemon", "internal/demo", "internal/journal", "internal/smallfile", "internal/snapshot", "internal/statusview", "internal/transport", "internal/warmrestart", "metrics", "portsync"},
	"internal/daemon":      {"config", "internal/backoff", "internal/journal", "internal/push", "internal/snapshot", "internal/sonicdb", "internal/statusview", "internal/syslog", "internal/warmrestart", "metrics", "netlinkraw", "portsync", "systemd"},
	"internal/demo":        {"config", "internal/daemon", "internal/lab", "internal/sonicdb", "internal/syslog", "metrics", "netlinkraw", "portsync"},
	"internal/journal":     {"internal/ring", "internal/snapshot", "netlinkraw"},
	"internal/lab":         {"internal/sonicdb", "netlinkraw"},
	"internal/push":        {"internal/backoff", "internal/smallfile", "internal/syslog", "internal/transport", "metrics"},
	"internal/sonicdb":     {"internal/smallfile"},
	"internal/snapshot":    {"internal/smallfile"},
	"internal/statusview":  {"internal/journal", "internal/jsonlimit", "internal/warmrestart", "internal/warmrestart/stats", "portsync"},
	"internal/warmrestart": {"internal/backoff", "internal/jsonlimit", "internal/snapshot", "internal/syslog", "internal/warmrestart/stats", "metrics", "netlinkraw"},
	"metrics":              {"internal/backoff", "internal/smallfile", "internal/transport"},
	"netlinkraw":           {"internal/backoff"},
	"portsync":             {"internal/backoff", "internal/journal", "internal/ring", "internal/snapshot", "internal/sonicdb", "internal/syslog", "internal/warmrestart", "internal/warmrestart/stats", "metrics", "netlinkraw", "systemd"},
}

// testOnly lists the packages that only tests may import.
var testOnly = []string{"internal/lab", "internal/switchtest"}

// source is one Go file of the product module.
type source struct {
	path, dir string // relative to the root, with slashes; the root's dir is ""
	text      []byte
	*ast.File
	test bool
}

// sources reads the Go files of the product module. It skips the nested module bench, and
// directories that the go command ignores.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	walk(t, func(name string) {
		if path.Ext(name) != ".go" || strings.HasPrefix(name, "bench/") || strings.HasPrefix(name, ".") {
			return
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		dir := path.Dir(name)
		if dir == "." {
			dir = ""
		}
		all = append(all, source{path: name, dir: dir, text: text, File: f, test: strings.HasSuffix(name, "_test.go")})
	})
	if len(all) < 50 {
		t.Fatalf("only %d sources found", len(all))
	}
	return all
}

// walk calls f for each file of the tree. It skips the directories of git, of build results, of
// vendored modules and of test data.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	switchtest.LogDirectory()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "dist" || name == "vendor" || d.Name() == "testdata" || name == filepath.Join("bench", "results")):
			return fs.SkipDir
		case d.Type().IsRegular():
			f(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOneRequirement checks that go.mod requires golang.org/x/sys and nothing else.
func TestOneRequirement(t *testing.T) {
	var required []string
	block := false
	for line := range strings.Lines(switchtest.ReadFile(t, "go.mod")) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "require" && words[1] == "(":
			block = true
		case words[0] == ")":
			block = false
		case words[0] == "require":
			required = append(required, words[1])
		case block:
			required = append(required, words[0])
		case words[0] != "module" && words[0] != "go":
			t.Errorf("go.mod: unexpected line %q", line)
		}
	}
	if !slices.Equal(required, []string{"golang.org/x/sys"}) {
		t.Errorf("go.mod requires %q, want golang.org/x/sys alone", required)
	}
}

// TestImports checks that packages import only what the list imports allows, and that none uses
// cgo, unsafe or go:linkname.
func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		for _, spec := range s.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !mayImport(&s, name) {
				t.Errorf("%s imports %q", s.path, name)
			}
		}
		if bytes.Contains(s.text, []byte("\n//go:linkname")) {
			t.Errorf("%s uses go:linkname", s.path)
		}
	}
}

// mayImport reports whether the file s may import the package name.
func mayImport(s *source, name string) bool {
	own, isOurs := strings.CutPrefix(name, "portsyncd/")
	switch {
	case name == "unsafe" || name == "C":
		return false
	case isOurs && (s.test || s.dir == "internal/switchtest") && (slices.Contains(testOnly, own) || path.Dir(s.dir) == "integration" || path.Dir(s.dir) == "internal"):
		return true
	case isOurs && own == s.dir:
		return s.test // an example, of package foo_test
	case isOurs:
		return slices.Contains(imports[s.dir], own)
	case strings.Contains(name, "."):
		return name == leafImports
	}
	return true
}

// TestPackageComments checks that each package has exactly one package comment.
func TestPackageComments(t *testing.T) {
	documented := make(map[string][]string)
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		files := documented[s.dir]
		if s.Doc != nil {
			files = append(files, s.path)
		}
		documented[s.dir] = files
	}
	for dir, files := range documented {
		if len(files) != 1 {
			t.Errorf("package in %q has %d package comments %q, want 1", "./"+dir, len(files), files)
		}
	}
}

// TestNoUnfinishedWork checks that no text file has a note about unfinished work or a path of the machine
// that it was written on.
func TestNoUnfinishedWork(t *testing.T) {
	loose := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b|/wo` + `rk/|/ro` + `ot/|proxy\.golang\.` + `org`)
	walk(t, func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return // a picture, which can contain any bytes
		}
		for i, line := range strings.Split(string(text), "\n") {
			if word := loose.FindString(line); word != "" {
				t.Errorf("%s:%d: unexpected %q", name, i+1, word)
			}
		}
	})
}

// TestNothingCompiledAtInit requires that no package compiles a regular expression or parses a
// template when it is initialized, because the initialization of all packages delays the start of
// the daemon. Such a value belongs in a function, for example of sync.OnceValue.
func TestNothingCompiledAtInit(t *testing.T) {
	found := 0
	for _, s := range sources(t) {
		if s.test || s.dir == "internal/switchtest" { // not in the binary
			continue
		}
		for _, call := range callsAtInit(s.File) {
			if slices.Contains([]string{"regexp", "template"}, call) {
				t.Errorf("%s: calls package %s when the package is initialized", s.path, call)
			}
			found++
		}
	}
	if found == 0 {
		t.Error("no calls found at all")
	}
}

// callsAtInit returns the package names, or other qualifiers, of the functions that f calls in the
// initial values of its variables and in its init functions. Function literals are skipped.
func callsAtInit(f *ast.File) (packages []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.FuncDecl:
			return n.Recv == nil && n.Name.Name == "init"
		case *ast.CallExpr:
			if fun, ok := n.Fun.(*ast.SelectorExpr); ok {
				if p, ok := fun.X.(*ast.Ident); ok {
					packages = append(packages, p.Name)
				}
			}
		}
		return true
	})
	return packages
}
