package conventions

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"portsyncd/internal/lab"
)

// TestModelMutants checks that each line in the list of make model-mutants occurs exactly once in
// the code.
func TestModelMutants(t *testing.T) {
	out, err := exec.Command("go", "run", "./.ci/modelmutants", "-list").CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		lab.Unavailable(t, err.Error())
	}
	if n := strings.Count(string(out), "\n"); err != nil || n < 50 {
		t.Errorf("%d mutants, %v: %s", n, err, out)
	}
}
