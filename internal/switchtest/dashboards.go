package switchtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
)

// DashboardQuery is a PromQL query of a dashboard.
type DashboardQuery struct {
	Dashboard, Title string
	Expr, Legend     string
	Instant          bool
}

// DashboardQueries returns all PromQL queries in the dashboards in deploy/grafana, including those
// of annotations and variables.
func DashboardQueries(t T) []DashboardQuery {
	t.Helper()
	files, err := filepath.Glob("deploy/grafana/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("dashboards %q, %v", files, err)
	}
	var all []DashboardQuery
	for _, file := range files {
		var d struct {
			Title  string
			Panels []struct {
				Title   string
				Targets []struct {
					Expr, LegendFormat string
					Instant            bool
				}
			}
			Templating struct {
				List []struct{ Query any }
			}
			Annotations struct {
				List []struct{ Expr, TitleFormat string }
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				all = append(all, DashboardQuery{d.Title, p.Title, q.Expr, q.LegendFormat, q.Instant})
			}
		}
		for _, a := range d.Annotations.List {
			all = append(all, DashboardQuery{d.Title, "annotation", a.Expr, a.TitleFormat, false})
		}
		for _, v := range d.Templating.List {
			if q, ok := v.Query.(map[string]any); ok {
				inner := labelValues.FindStringSubmatch(q["query"].(string))
				if inner == nil {
					t.Fatalf("%s: variable %v is not a label_values query", file, q)
				}
				all = append(all, DashboardQuery{d.Title, "variable", "group by (" + inner[2] + ") (" + inner[1] + ")", "", true})
			}
		}
	}
	return all
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
