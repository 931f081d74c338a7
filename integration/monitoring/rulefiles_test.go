package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

const (
	prometheusDir = "deploy/prometheus"
	grafanaDir    = "deploy/grafana"
)

// rule is an alert or a recording rule of deploy/prometheus/rules.
type rule struct {
	alert, record, expr, severity string
	summary, description, runbook string
}

func (r *rule) name() string { return r.alert + r.record }

var (
	ruleStart = regexp.MustCompile(`^      - (alert|record): (\S+)$`)
	ruleField = regexp.MustCompile(`^ {8,10}(\w+): *(.*)$`)
)

// readRules reads the rules of all files. It knows the layout that they have, not
// YAML: what it does not understand is an error, and where there is a promtool,
// its count of rules is compared.
func readRules(t *testing.T) []rule {
	t.Helper()
	files, err := filepath.Glob(prometheusDir + "/rules/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("rule files %q, %v", files, err)
	}
	var rules []rule
	for _, f := range files {
		rules = append(rules, readRuleFile(t, f)...)
	}
	return rules
}

func readRuleFile(t *testing.T, file string) []rule {
	t.Helper()
	var rules []rule
	block := false // an expression of several lines
	for n, line := range strings.Split(switchtest.ReadFile(t, file), "\n") {
		bare := strings.TrimSpace(line)
		if m := ruleStart.FindStringSubmatch(line); m != nil {
			r := rule{}
			if m[1] == "alert" {
				r.alert = m[2]
			} else {
				r.record = m[2]
			}
			rules, block = append(rules, r), false
			continue
		}
		if bare == "" || strings.HasPrefix(bare, "#") {
			continue
		}
		if block && strings.HasPrefix(line, "          ") {
			rules[len(rules)-1].expr += bare + "\n"
			continue
		}
		m := ruleField.FindStringSubmatch(line)
		if m == nil {
			if bare != "groups:" && bare != "rules:" && !strings.HasPrefix(bare, "- name: ") {
				t.Fatalf("%s:%d: %q is not understood", file, n+1, line)
			}
			continue
		}
		value := m[2]
		if unquoted, ok := strings.CutPrefix(value, "'"); ok {
			value = strings.ReplaceAll(strings.TrimSuffix(unquoted, "'"), "''", "'")
		}
		r := &rules[len(rules)-1]
		switch block = m[1] == "expr" && value == "|"; {
		case block:
		case m[1] == "expr":
			r.expr = value
		case m[1] == "severity":
			r.severity = value
		case m[1] == "summary":
			r.summary = value
		case m[1] == "description":
			r.description = value
		case m[1] == "runbook_url":
			r.runbook = value
		case m[1] != "for" && m[1] != "labels" && m[1] != "annotations":
			t.Fatalf("%s:%d: %q is not understood", file, n+1, line)
		}
	}
	return rules
}

// Shown is a query of a dashboard.
type shown struct {
	dashboard, title string
	expr, legend     string
	instant          bool
}

// readDashboards returns all queries of the dashboards, those of annotations and
// variables among them.
func readDashboards(t *testing.T) []shown {
	t.Helper()
	files, err := filepath.Glob(grafanaDir + "/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("dashboards %q, %v", files, err)
	}
	var all []shown
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
				List []struct{ Expr, Title string }
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
				all = append(all, shown{d.Title, p.Title, q.Expr, q.LegendFormat, q.Instant})
			}
		}
		for _, a := range d.Annotations.List {
			all = append(all, shown{d.Title, "annotation", a.Expr, a.Title, false})
		}
		for _, v := range d.Templating.List {
			if q, ok := v.Query.(map[string]any); ok {
				inner := labelValues.FindStringSubmatch(q["query"].(string))
				if inner == nil {
					t.Fatalf("%s: variable %v is not understood", file, q)
				}
				all = append(all, shown{d.Title, "variable", "group by (" + inner[2] + ") (" + inner[1] + ")", "", true})
			}
		}
	}
	return all
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
