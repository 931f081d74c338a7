package conventions

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// TestCommentsBeginWithName checks that the doc comment of each function and type begins with its name,
// possibly after an article, as go doc and Go's conventions expect.
func TestCommentsBeginWithName(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				checkComment(t, &s, d.Doc, d.Name)
			case *ast.GenDecl:
				if len(d.Specs) == 1 && d.Tok == token.TYPE {
					checkComment(t, &s, d.Doc, d.Specs[0].(*ast.TypeSpec).Name)
				}
			}
		}
	}
}

func checkComment(t *testing.T, s *source, doc *ast.CommentGroup, name *ast.Ident) {
	text := doc.Text()
	for _, article := range []string{"", "A ", "An ", "The "} {
		if rest, ok := strings.CutPrefix(text, article+name.Name); ok && (rest == "" || strings.ContainsAny(rest[:1], " ,:;.'\n")) {
			return
		}
	}
	if text != "" && !strings.HasPrefix(name.Name, "Example") {
		first, _, _ := strings.Cut(text, "\n")
		t.Errorf("%s: the comment of %s begins with %q", s.path, name.Name, first)
	}
}
