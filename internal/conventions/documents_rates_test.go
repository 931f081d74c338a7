package conventions

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
	"portsyncd/internal/warmrestart"
)

// TestRatesInDocuments: the guide has the definition of each rate as the code has it.
func TestRatesInDocuments(t *testing.T) {
	guide := switchtest.ReadFile(t, "README_DEPLOYMENT.md")
	for _, d := range warmrestart.Rates {
		if row := fmt.Sprintf("\n| %s | `%s` | %s | %s |\n", d.Name, d.Key, d.Count, d.Of); !strings.Contains(guide, row) {
			t.Errorf("README_DEPLOYMENT.md has no row %s", row)
		}
	}
	if n := len(regexp.MustCompile("(?m)^\\| [a-z ]+ \\| `[a-z_]+_rate` \\| [^|]+ \\| [^|]+ \\|$").FindAllString(guide, -1)); n != len(warmrestart.Rates) {
		t.Errorf("README_DEPLOYMENT.md has %d rates, want %d", n, len(warmrestart.Rates))
	}
}
