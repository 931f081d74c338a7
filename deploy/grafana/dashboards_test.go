package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFilesAreCurrent checks that the JSON files match the output of this program.
func TestFilesAreCurrent(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	all := dashboards()
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".json") && all[f.Name()].uid == "" {
			t.Errorf("nothing describes %s", f.Name())
		}
	}
	for name, d := range all {
		want, err := render(d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what is described (%v); run: go run ./deploy/grafana", name, err)
		}
	}
}

// fileDashboard and the types below are the parts of the JSON files that TestRules checks.
type fileDashboard struct {
	UID, Title, Description string
	SchemaVersion           int
	Tags                    []string
	Panels                  []filePanel
	Templating              struct {
		List []struct {
			Name, Type string
			Query      any
			Datasource fileSource
		}
	}
	Annotations struct {
		List []struct {
			Expr, Title, TitleFormat string
			Datasource               fileSource
		}
	}
}

type fileSource struct{ Type, UID string }

type filePanel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  gridPos
	Datasource               fileSource
	Targets                  []struct {
		RefID, Expr, LegendFormat, Format string
		Instant, Range                    bool
		Datasource                        fileSource
	}
	FieldConfig struct {
		Defaults struct {
			Unit  string
			Links []struct{ URL string }
		}
	}
}

func read(t *testing.T, name string) *fileDashboard {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	d := new(fileDashboard)
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

// kinds are the panel types that model.go supports.
var kinds = []string{"row", "stat", "timeseries", "table", "state-timeline", "heatmap", "bargauge"}

// units of Grafana's @grafana/data valueFormats that are used.
var units = []string{"short", "s", "ops", "bytes", "none", "percentunit", "dateTimeFromNow"}

// TestRules checks that Grafana can import each dashboard and that each panel is complete.
func TestRules(t *testing.T) {
	uids := make(map[string]string)
	for name := range dashboards() {
		d := read(t, name)
		if other := uids[d.UID]; other != "" || d.UID+".json" != name || len(d.UID) > 40 {
			t.Errorf("%s: uid %q, of %q too; want the name of the file, at most 40 characters", name, d.UID, other)
		}
		uids[d.UID] = name
		if d.Title == "" || d.Description == "" || d.SchemaVersion != schemaVersion || !slices.Equal(d.Tags, []string{"portsyncd"}) {
			t.Errorf("%s: title %q, description %q, schema %d, tags %q", name, d.Title, d.Description, d.SchemaVersion, d.Tags)
		}
		checkVariables(t, name, d)
		checkGrid(t, name, d)
		for i := range d.Panels {
			checkPanel(t, name, &d.Panels[i])
		}
		for _, a := range d.Annotations.List {
			checkQuery(t, name, "annotation", a.Expr, a.Datasource)
			if a.Title != "" || !strings.Contains(a.TitleFormat, "{{instance}}") {
				t.Errorf("%s: annotation with title %q and titleFormat %q, want {{instance}} in titleFormat", name, a.Title, a.TitleFormat)
			}
		}
	}
	for name := range dashboards() {
		for _, p := range read(t, name).Panels {
			for _, l := range p.FieldConfig.Defaults.Links {
				uid := regexp.MustCompile(`^/d/([^?]+)\?`).FindStringSubmatch(l.URL)
				if uid == nil || uids[uid[1]] == "" {
					t.Errorf("%s, %s: links to %q, where nothing is", name, p.Title, l.URL)
				}
			}
		}
	}
}

// checkVariables checks that the data source comes first, because the other variables use it, and that
// each variable is used.
func checkVariables(t *testing.T, name string, d *fileDashboard) {
	t.Helper()
	list := d.Templating.List
	if len(list) == 0 || list[0].Name != "datasource" || list[0].Type != "datasource" || list[0].Query != "prometheus" {
		t.Fatalf("%s: the first variable is no choice of a Prometheus", name)
	}
	for _, v := range list[1:] {
		if v.Datasource.UID != "${datasource}" || v.Type != "query" {
			t.Errorf("%s: variable %s is a %s of %+v", name, v.Name, v.Type, v.Datasource)
		}
		used := slices.ContainsFunc(d.Panels, func(p filePanel) bool {
			return len(p.Targets) > 0 && strings.Contains(p.Targets[0].Expr, "$"+v.Name)
		})
		if !used {
			t.Errorf("%s: nothing uses $%s", name, v.Name)
		}
	}
}

// checkGrid checks that panels have unique ids, lie inside the grid and do not overlap.
func checkGrid(t *testing.T, name string, d *fileDashboard) {
	t.Helper()
	taken, ids := make(map[[2]int]string), make(map[int]bool)
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID < 1 {
			t.Errorf("%s, %s: id %d", name, p.Title, p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.X < 0 || g.W < 1 || g.H < 1 || g.X+g.W > gridWidth {
			t.Errorf("%s, %s: lies at %+v", name, p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s: %q lies on %q", name, p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	height := 0
	for at := range taken {
		height = max(height, at[1]+1)
	}
	if len(taken) != height*gridWidth {
		t.Errorf("%s: the rows have gaps", name)
	}
}

func checkPanel(t *testing.T, name string, p *filePanel) {
	t.Helper()
	if !slices.Contains(kinds, p.Type) || p.Title == "" {
		t.Errorf("%s, %q: a %q", name, p.Title, p.Type)
	}
	if p.Type == "row" {
		return
	}
	if len(p.Description) < 15 || !strings.HasSuffix(p.Description, ".") && !strings.HasSuffix(p.Description, "?") {
		t.Errorf("%s, %s: description %q", name, p.Title, p.Description)
	}
	if !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
		t.Errorf("%s, %s: unit %q", name, p.Title, p.FieldConfig.Defaults.Unit)
	}
	if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
		t.Errorf("%s, %s: %d queries of %+v", name, p.Title, len(p.Targets), p.Datasource)
	}
	refs := make(map[string]bool)
	for _, q := range p.Targets {
		if refs[q.RefID] || q.RefID == "" || q.LegendFormat == "" || q.Instant == q.Range {
			t.Errorf("%s, %s: query %+v", name, p.Title, q)
		}
		refs[q.RefID] = true
		checkQuery(t, name, p.Title, q.Expr, q.Datasource)
	}
}

var (
	selector = regexp.MustCompile(`\b(?:portsyncd|process|go)_\w+(\{[^}]*\})?|\bup\{[^}]*\}`)
	window   = regexp.MustCompile(`\[([^\]]+)\]`)
)

// checkQuery checks that each query selects the chosen job, and that its ranges follow the zoom and the
// scrape interval. Only a table may have a fixed range, which its title or description must mention.
func checkQuery(t *testing.T, name, title, expr string, source fileSource) {
	t.Helper()
	if source.UID != "${datasource}" {
		t.Errorf("%s, %s: asks %+v", name, title, source)
	}
	found := selector.FindAllString(expr, -1)
	if len(found) == 0 {
		t.Errorf("%s, %s: no series in %s", name, title, expr)
	}
	for _, s := range found {
		if !strings.Contains(s, `job="$job"`) {
			t.Errorf("%s, %s: %s is of every job", name, title, s)
		}
	}
	for _, w := range window.FindAllStringSubmatch(expr, -1) {
		fixed := w[1] == "5m" || w[1] == "1h"
		if w[1] != "$__rate_interval" && w[1] != "$__range" && !(fixed && title == "Switches") {
			t.Errorf("%s, %s: window %s", name, title, w[1])
		}
	}
}
