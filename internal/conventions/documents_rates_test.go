package conventions

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
	"portsyncd/internal/warmrestart"
)

// TestRatesInDocuments checks that docs/STATUS.md has the definition of each rate in the code, and
// no other.
func TestRatesInDocuments(t *testing.T) {
	text := switchtest.ReadFile(t, "docs/STATUS.md")
	for _, d := range warmrestart.Rates {
		if row := fmt.Sprintf("\n| %s | `%s` | %s | %s |\n", d.Name, d.Key, d.Count, d.Of); !strings.Contains(text, row) {
			t.Errorf("docs/STATUS.md has no row %s", row)
		}
	}
	if n := len(regexp.MustCompile("(?m)^\\| [A-Za-z ]+ \\| `[a-z_]+_rate` \\| [^|]+ \\| [^|]+ \\|$").FindAllString(text, -1)); n != len(warmrestart.Rates) {
		t.Errorf("docs/STATUS.md has %d rates, want %d", n, len(warmrestart.Rates))
	}
}
