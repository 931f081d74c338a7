package security

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// TestDependencyIsPinned checks that go.mod names one version of the only dependency and replaces
// nothing, that go.sum has the checksums of that version alone, and that the local copy has these
// checksums.
func TestDependencyIsPinned(t *testing.T) {
	mod := switchtest.ReadFile(t, "go.mod")
	version := regexp.MustCompile(`golang\.org/x/sys (v[0-9.]+)\n`).FindStringSubmatch(mod)
	if version == nil {
		t.Fatalf("go.mod has no version of golang.org/x/sys:\n%s", mod)
	}
	for _, directive := range []string{"replace", "exclude", "retract", "toolchain"} {
		if regexp.MustCompile(`(?m)^` + directive + `\b`).MatchString(mod) {
			t.Errorf("go.mod has a directive %q", directive)
		}
	}
	checksums := regexp.MustCompile(`^golang\.org/x/sys ` + regexp.QuoteMeta(version[1]) + ` h1:\S{44}\n` +
		`golang\.org/x/sys ` + regexp.QuoteMeta(version[1]) + `/go\.mod h1:\S{44}\n$`)
	if sum := switchtest.ReadFile(t, "go.sum"); !checksums.MatchString(sum) {
		t.Errorf("go.sum must have the checksums of version %s only:\n%s", version[1], sum)
	}
	if _, err := exec.LookPath("go"); err != nil {
		lab.Unavailable(t, err.Error())
	}
	out, err := exec.Command("go", "mod", "verify").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all modules verified") {
		t.Errorf("go mod verify: %v: %s", err, bytes.TrimSpace(out))
	}
}
