package conventions

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// sourceNames has the names of the program that the tables of SPECIFICATION.md may use.
type sourceNames struct {
	identifiers map[string]bool // "package.Name" and "package.Type.Member"
	tests       map[string]bool
	text        string // the source without tests
	unit        string // the text of portsyncd.service
	settings    map[string]string
}

func readSourceNames(t *testing.T) *sourceNames {
	t.Helper()
	p := &sourceNames{identifiers: map[string]bool{}, tests: map[string]bool{},
		unit: switchtest.ReadFile(t, "portsyncd.service"), settings: switchtest.ExampleSettings(t)}
	var text strings.Builder
	for _, s := range sources(t) {
		if !s.test {
			text.Write(s.text)
		}
		for _, d := range s.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				switch {
				case s.test:
					p.tests[d.Name.Name] = true
				case d.Recv == nil:
					p.identifiers[s.Name.Name+"."+d.Name.Name] = true
				default:
					p.identifiers[s.Name.Name+"."+receiver(d)+"."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				if !s.test {
					p.declare(s.Name.Name, d)
				}
			}
		}
	}
	p.text = text.String()
	return p
}

// receiver returns the name of the type of a method.
func receiver(d *ast.FuncDecl) string {
	name := ""
	ast.Inspect(d.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return true
	})
	return name
}

// declare adds the names that d declares.
func (p *sourceNames) declare(pkg string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, id := range spec.Names {
				p.identifiers[pkg+"."+id.Name] = true
			}
		case *ast.TypeSpec:
			p.identifiers[pkg+"."+spec.Name.Name] = true
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					for _, id := range field.Names {
						p.identifiers[pkg+"."+spec.Name.Name+"."+id.Name] = true
					}
				}
			}
		}
	}
}

// has reports whether name is a Go identifier, a setting, a line of the unit, a metric, a file name,
// an HTTP path, or a member of a JSON object.
func (p *sourceNames) has(name string) bool {
	_, isSetting := p.settings[name]
	return p.identifiers[name] || isSetting ||
		strings.Contains(name, "=") && strings.Contains(p.unit, "\n"+name+"\n") ||
		regexp.MustCompile(`^(portsyncd_[a-z_]+|/[a-z.]+|[a-z-]+\.[a-z]+)$`).MatchString(name) && strings.Contains(p.text, `"`+name+`"`) ||
		regexp.MustCompile(`^[a-z_]+$`).MatchString(name) && regexp.MustCompile(`json:"`+name+`[",]`).MatchString(p.text)
}

// TestSpecification checks the tables of SPECIFICATION.md: each name in a column "here" exists in
// the program, and each name in a column "tests" is a test.
func TestSpecification(t *testing.T) {
	p := readSourceNames(t)
	text := switchtest.ReadFile(t, "docs/SPECIFICATION.md")
	quoted := regexp.MustCompile("`([^`]+)`")
	commands := []string{"portsyncd report"}
	columns, found := []string(nil), 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			columns = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if columns == nil {
			columns = cells
			continue
		}
		if strings.HasPrefix(line, "|---") || columns[0] != "specification" {
			continue
		}
		if len(cells) != len(columns) || slices.Contains(cells, "") {
			t.Errorf("%d cells, want %d: %s", len(cells), len(columns), line)
			continue
		}
		found++
		for i, column := range columns {
			names := quoted.FindAllStringSubmatch(cells[i], -1)
			if (column == "here" || column == "tests") && len(names) == 0 {
				t.Errorf("%s: %s names nothing", cells[0], column)
			}
			for _, m := range names {
				switch {
				case column == "here" && !p.has(m[1]) && !slices.Contains(commands, m[1]):
					t.Errorf("%s: %s does not exist", cells[0], m[1])
				case column == "tests" && !p.tests[m[1]]:
					t.Errorf("%s: test %s does not exist", cells[0], m[1])
				}
			}
		}
	}
	if found < 55 {
		t.Errorf("only %d rows found", found)
	}
	for _, m := range regexp.MustCompile("`([a-z]+\\.[A-Z][A-Za-z.]*)`").FindAllStringSubmatch(text, -1) {
		if !p.identifiers[m[1]] {
			t.Errorf("%s does not exist", m[1])
		}
	}
}
