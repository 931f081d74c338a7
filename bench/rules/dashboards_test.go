package rules

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"portsyncd/internal/switchtest"
)

// TestDashboardsMatchGrafanaModel checks that Grafana's model of dashboards, panels, queries and
// annotations has each member of the dashboards, with the same type.
func TestDashboardsMatchGrafanaModel(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("deploy/grafana/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("dashboards %q, %v", files, err)
	}
	for _, file := range files {
		//lint:ignore SA1019 the dashboards have the classic schema, which Grafana before 12 requires
		var d dashboard.Dashboard
		err := d.UnmarshalJSONStrict([]byte(switchtest.ReadFile(t, file)))
		for line := range strings.Lines(fmt.Sprint(err)) {
			// Grafana has defaults for missing members.
			if line = strings.TrimSpace(line); err != nil && !strings.HasSuffix(line, ": required field is missing from input") {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
}
