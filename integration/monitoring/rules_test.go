package monitoring

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// prometheusDir has the configurations and rules for Prometheus.
const prometheusDir = "deploy/prometheus"

// TestCounterNames checks that each counter has the name that Prometheus recommends,
// except the six that the specification fixes.
func TestCounterNames(t *testing.T) {
	e, err := switchtest.ParseExposition(switchtest.StartDemo(t).Get(t, "/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	fixed := 0
	for _, f := range e.Families {
		if fixedNames[f.Name] {
			fixed++
		} else if strings.HasSuffix(f.Name, "_total") != (f.Kind == "counter") {
			t.Errorf("%s is a %s", f.Name, f.Kind)
		}
		for _, kind := range []string{"counter", "gauge", "histogram", "summary"} {
			if slices.Contains(strings.Split(f.Name, "_"), kind) {
				t.Errorf("%s has the type %s in its name", f.Name, kind)
			}
		}
	}
	if fixed != len(fixedNames) {
		t.Errorf("%d of the %d fixed names are exposed", fixed, len(fixedNames))
	}
}

// TestPrometheusToolRules checks the configurations and rules with promtool and runs the tests
// of the rules.
func TestPrometheusToolRules(t *testing.T) {
	if switchtest.RaceEnabled {
		t.Skip("runs promtool and nothing else")
	}
	switchtest.Parallel(t)
	switchtest.RequireCommand(t, "promtool")
	dir := copyPrometheusDir(t)
	glob := func(pattern string) []string {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		return files
	}
	promtool(t, append([]string{"check", "rules"}, glob("rules/*.yml")...)...)
	for _, config := range glob("prometheus*.yml") {
		promtool(t, "check", "config", config)
	}
	promtool(t, append([]string{"test", "rules"}, glob("tests/*_test.yml")...)...)
}

// promtool runs promtool and returns its output.
func promtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("promtool", args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args[:2], " "), err, out)
	}
	return string(out)
}
