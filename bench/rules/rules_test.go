// Package rules checks the alerts, recording rules and dashboards under deploy with
// Prometheus' own parsers.
package rules

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"portsyncd/internal/switchtest"
	"portsyncd/portsync"
)

func TestMain(m *testing.M) { switchtest.MainWithoutLock(m) }

const directory = "deploy/prometheus"

var promql = parser.NewParser(parser.Options{})

// readRules returns the rules of all files.
func readRules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	files, err := filepath.Glob(directory + "/rules/*.yml")
	if err != nil || len(files) < 2 {
		t.Fatalf("rule files %q, %v", files, err)
	}
	var rules []rulefmt.Rule
	for _, file := range files {
		groups, errs := rulefmt.ParseFile(file, false, model.LegacyValidation, promql, slog.New(slog.DiscardHandler))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, g := range groups.Groups {
			rules = append(rules, g.Rules...)
		}
	}
	return rules
}

// TestAlertsAreComplete checks that each alert has a severity, a summary, a description that
// names the switch, and a link to a complete section of the runbook, and that promtool tests
// both that it fires and that it does not fire.
func TestAlertsAreComplete(t *testing.T) {
	sections := runbook(t)
	tested := alertTests(t)
	alerts := 0
	for _, r := range readRules(t) {
		if r.Record != "" && !strings.Contains(r.Record, ":") {
			t.Errorf("%s: a recorded name needs a colon", r.Record)
		}
		if r.Alert == "" {
			continue
		}
		alerts++
		if !strings.HasPrefix(r.Alert, "Portsyncd") {
			t.Errorf("%s: the name does not begin with Portsyncd", r.Alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		if r.Annotations["summary"] == "" || strings.Contains(r.Annotations["summary"], "{{") || !strings.HasSuffix(r.Annotations["summary"], ".") {
			t.Errorf("%s: summary %q, want a sentence without variables", r.Alert, r.Annotations["summary"])
		}
		if !strings.Contains(r.Annotations["description"], "{{ $labels.instance }}") {
			t.Errorf("%s: description %q, want {{ $labels.instance }} in it", r.Alert, r.Annotations["description"])
		}
		if _, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "/RUNBOOK.md#"); anchor != strings.ToLower(r.Alert) {
			t.Errorf("%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
		}
		text, ok := sections[r.Alert]
		delete(sections, r.Alert)
		for _, part := range []string{"**Meaning.** ", "**Impact.** ", "**Diagnosis.**", "\n```sh\n", "**Remedy.** "} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the section of the runbook (exists: %v) has no %q", r.Alert, ok, part)
			}
		}
		if got := tested[r.Alert]; got != [2]bool{true, true} {
			t.Errorf("%s: tests that it fires and that it does not: %v", r.Alert, got)
		}
		delete(tested, r.Alert)
	}
	if alerts < 10 || len(sections) > 0 || len(tested) > 0 {
		t.Errorf("%d alerts; sections of the runbook %v and tests %v without an alert", alerts, sections, tested)
	}
}

// TestAlertOfEachReason checks that each reason of health raises an alert, and that the
// section of the runbook about that alert names the reason.
func TestAlertOfEachReason(t *testing.T) {
	own := map[string]string{"audit_mismatch": "PortsyncdAuditMismatch", "disk": "PortsyncdFilesNotWritten",
		"overrun": "PortsyncdNetlinkOverruns", "ports_missing": "PortsyncdPortsMissing"}
	exprs := make(map[string]string)
	for _, r := range readRules(t) {
		exprs[r.Alert] = r.Expr
	}
	m := regexp.MustCompile(`portsyncd_health_reason\{code!~"([^"]*)"\} == 1`).FindStringSubmatch(exprs["PortsyncdDegraded"])
	if m == nil {
		t.Fatalf("PortsyncdDegraded: expression %q", exprs["PortsyncdDegraded"])
	}
	if got := strings.Split(m[1], "|"); !slices.Equal(got, slices.Sorted(maps.Keys(own))) {
		t.Errorf("PortsyncdDegraded excludes %q; reasons with an alert of their own: %v", got, own)
	}
	sections := runbook(t)
	for _, c := range portsync.HealthCodes {
		alert := own[c.Code]
		switch {
		case c.Severity == portsync.Unhealthy:
			alert = "PortsyncdUnhealthy"
		case alert == "":
			alert = "PortsyncdDegraded"
		}
		if exprs[alert] == "" || !strings.Contains(sections[alert], "`"+c.Code+"`") {
			t.Errorf("%s: the section of %s in the runbook does not name the reason", c.Code, alert)
		}
	}
}

// runbook returns the sections of the runbook by their heading.
func runbook(t *testing.T) map[string]string {
	t.Helper()
	parts := strings.Split(switchtest.ReadFile(t, directory+"/RUNBOOK.md"), "\n## ")
	sections := make(map[string]string)
	for _, p := range parts[1:] {
		heading, text, _ := strings.Cut(p, "\n")
		sections[heading] = text
	}
	return sections
}

// alertTests returns for each alert whether a promtool test expects that it fires, and whether
// one expects that it does not.
func alertTests(t *testing.T) map[string][2]bool {
	t.Helper()
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(switchtest.ReadFile(t, directory+"/tests/portsyncd-alerts_test.yml")), &file); err != nil {
		t.Fatal(err)
	}
	tested := make(map[string][2]bool)
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			got := tested[a.Alertname]
			got[switchtest.BoolToInt(len(a.ExpAlerts) == 0)] = true
			tested[a.Alertname] = got
		}
	}
	return tested
}

// TestNamesInRules checks that the daemon exposes each metric that a rule or a dashboard names,
// with each label that the query uses and each value that it selects.
func TestNamesInRules(t *testing.T) {
	d := switchtest.StartDemo(t)
	known := newKnownNames(t, d.Get(t, "/metrics"))
	rules := readRules(t)
	// Prometheus writes the series ALERTS for active alerts.
	alerts := make(map[string]bool)
	known.values["ALERTS"] = map[string]map[string]bool{"alertname": alerts, "alertstate": {"pending": true, "firing": true}}
	for _, r := range rules {
		known.recorded[r.Record] = r.Record != ""
		if r.Alert != "" {
			alerts[r.Alert] = true
		}
	}
	check := func(where, expr, text string) {
		for _, problem := range known.problems(expr, text) {
			if d.Simulated && strings.HasPrefix(problem, "no portsyncd_netlink_") {
				continue // simulated links have no netlink socket
			}
			t.Errorf("%s: %s, in %s", where, problem, expr)
		}
	}
	for _, r := range rules {
		check(r.Alert+r.Record, r.Expr, r.Annotations["description"])
	}
	for _, q := range switchtest.DashboardQueries(t) {
		check(q.Dashboard+", "+q.Title, q.Expr, q.Legend)
	}
}

// TestKnownNames checks that problems finds each kind of wrong name.
func TestKnownNames(t *testing.T) {
	known := newKnownNames(t, "# HELP a_total A.\n# TYPE a_total counter\na_total{kind=\"x\"} 1\na_total{kind=\"y\"} 1\n"+
		"# HELP b B.\n# TYPE b gauge\nb 1\n")
	known.recorded["level:a:sum"] = true
	for query, want := range map[string]string{
		`sum by (job, kind) (rate(a_total{job="$job", kind="x"}[5m])) > 0.5 and on (job, instance) b == 1`: "",
		`topk(10, level:a:sum) or vector(0)`: "",
		`sum by (port) (level:a:sum)`:        "",
		`a_totl > 0`:                         "no a_totl",
		`rate(c[5m]) / b`:                    "no c",
		`a_total{knd="x"}`:                   "a_total has no label knd",
		`a_total{kind="z"}`:                  `no a_total with kind="z"`,
		`sum by (port) (a_total)`:            "no series with the label port",
		`b and on (kind) b`:                  "no series with the label kind",
		`level:b:sum`:                        "no level:b:sum",
		`a_total offset 5m unless b{x=~"y"}`: "b has no label x",
	} {
		if got := strings.Join(known.problems(query, ""), "; "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := known.problems("b", "{{kind}}"); len(got) != 1 {
		t.Errorf("a legend with a label that b does not have: %q", got)
	}
}

// knownNames is what a query may name.
type knownNames struct {
	values   map[string]map[string]map[string]bool // by metric and label
	recorded map[string]bool                       // names of recording rules
}

func newKnownNames(t *testing.T, exposition string) *knownNames {
	t.Helper()
	e, err := switchtest.ParseExposition(exposition)
	if err != nil {
		t.Fatal(err)
	}
	k := &knownNames{recorded: make(map[string]bool)}
	k.values = map[string]map[string]map[string]bool{"up": nil} // Prometheus adds it
	for series := range e.Samples {
		metric, err := promql.ParseMetric(series)
		if err != nil {
			t.Fatalf("%s: %v", series, err)
		}
		name := metric.Get(model.MetricNameLabel)
		if k.values[name] == nil {
			k.values[name] = make(map[string]map[string]bool)
		}
		// ParseMetric omits labels with an empty value.
		for _, m := range labelName.FindAllStringSubmatch(series, -1) {
			if k.values[name][m[1]] == nil {
				k.values[name][m[1]] = make(map[string]bool)
			}
		}
		metric.Range(func(l labels.Label) {
			if k.values[name][l.Name] == nil {
				k.values[name][l.Name] = make(map[string]bool)
			}
			k.values[name][l.Name][l.Value] = true
		})
	}
	return k
}

// labelName matches the name of a label in a series. Quotes within a value are escaped.
var labelName = regexp.MustCompile(`(\w+)="`)

// targetLabels are the labels that Prometheus adds to each series.
var targetLabels = []string{"job", "instance"}

// shownLabel matches a label in the legend of a dashboard and in the description of an alert.
var shownLabel = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?(\w+) ?\}\}`)

// variables are the variables of dashboards that stand for a duration.
var variables = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h")

// problems returns what a query and the text shown with its result name and does not exist.
func (k *knownNames) problems(query, text string) (all []string) {
	expr, err := promql.ParseExpr(variables.Replace(query))
	if err != nil {
		return []string{err.Error()}
	}
	var used []string
	has, recorded := make(map[string]bool), false
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.AggregateExpr:
			used = append(used, n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				used = append(append(used, n.VectorMatching.MatchingLabels...), n.VectorMatching.Include...)
			}
		case *parser.VectorSelector:
			if k.recorded[n.Name] {
				recorded = true // its own query is checked
				break
			}
			values, ok := k.values[n.Name]
			if !ok {
				all = append(all, "no "+n.Name)
				break
			}
			for label := range values {
				has[label] = true
			}
			for _, m := range n.LabelMatchers {
				switch {
				case m.Name == model.MetricNameLabel || slices.Contains(targetLabels, m.Name):
				case values[m.Name] == nil:
					all = append(all, n.Name+" has no label "+m.Name)
				case m.Type == labels.MatchEqual && !strings.HasPrefix(m.Value, "$") && !values[m.Name][m.Value]:
					all = append(all, fmt.Sprintf("no %s with %s=%q", n.Name, m.Name, m.Value))
				}
			}
		}
		return nil
	})
	for _, m := range shownLabel.FindAllStringSubmatch(text, -1) {
		used = append(used, m[1])
	}
	for _, label := range used {
		if !has[label] && !recorded && !slices.Contains(targetLabels, label) {
			all = append(all, "no series with the label "+label)
		}
	}
	return all
}
