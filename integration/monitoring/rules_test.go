package monitoring

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
	"portsyncd/portsync"
)

// The tests of this file hold the rules and dashboards under deploy to what the
// daemon exposes.

// TestAlertsAreComplete: each alert says how grave it is, in a sentence what is
// wrong, in another one where and how much, and where to read on: a section of the
// runbook that has what one needs at night. A test has it fire, another one has it
// stay quiet.
func TestAlertsAreComplete(t *testing.T) {
	sections := runbook(t)
	tested := alertTests(t)
	alerts := 0
	for _, r := range readRules(t) {
		if r.expr == "" || r.record != "" && !strings.Contains(r.record, ":") {
			t.Errorf("%s: expression %q", r.name(), r.expr)
		}
		if r.alert == "" {
			continue
		}
		alerts++
		if !strings.HasPrefix(r.alert, "Portsyncd") {
			t.Errorf("%s: the name does not begin with Portsyncd", r.alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.severity) {
			t.Errorf("%s: severity %q", r.alert, r.severity)
		}
		if r.summary == "" || strings.Contains(r.summary, "{{") || !strings.HasSuffix(r.summary, ".") {
			t.Errorf("%s: summary %q, want a sentence that is always the same", r.alert, r.summary)
		}
		if !strings.Contains(r.description, "{{ $labels.instance }}") {
			t.Errorf("%s: description %q, want one that names the switch", r.alert, r.description)
		}
		if _, anchor, _ := strings.Cut(r.runbook, "/RUNBOOK.md#"); anchor != strings.ToLower(r.alert) {
			t.Errorf("%s: runbook_url %q", r.alert, r.runbook)
		}
		text, ok := sections[r.alert]
		delete(sections, r.alert)
		for _, part := range []string{"**Meaning.** ", "**Impact.** ", "**Diagnosis.**", "\n    ", "**Remedy.** "} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the runbook (there: %v) has no %q", r.alert, ok, part)
			}
		}
		if got := tested[r.alert]; got != [2]bool{true, true} {
			t.Errorf("%s: tested when it fires and when not: %v", r.alert, got)
		}
		delete(tested, r.alert)
	}
	if alerts < 10 || len(sections) > 0 || len(tested) > 0 {
		t.Errorf("%d alerts; sections %v and tests %v of none", alerts, sections, tested)
	}
}

// TestAlertOfEachReason checks that each reason of health raises an alert, and that the
// section of the runbook about that alert names the reason.
func TestAlertOfEachReason(t *testing.T) {
	own := map[string]string{"audit_mismatch": "PortsyncdAuditMismatch", "disk": "PortsyncdFilesNotWritten",
		"overrun": "PortsyncdNetlinkOverruns", "ports_missing": "PortsyncdPortsMissing"}
	exprs := make(map[string]string)
	for _, r := range readRules(t) {
		exprs[r.alert] = r.expr
	}
	m := regexp.MustCompile(`portsyncd_health_reason\{code!~"([^"]*)"\} == 1`).FindStringSubmatch(exprs["PortsyncdDegraded"])
	if m == nil {
		t.Fatalf("PortsyncdDegraded: expression %q", exprs["PortsyncdDegraded"])
	}
	if got := strings.Split(m[1], "|"); !slices.Equal(got, slices.Sorted(maps.Keys(own))) {
		t.Errorf("PortsyncdDegraded leaves out %q; alerts of their own: %v", got, own)
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
			t.Errorf("%s: the section of %s in the runbook does not name it", c.Code, alert)
		}
	}
}

// runbook returns the sections of the runbook by their heading.
func runbook(t *testing.T) map[string]string {
	t.Helper()
	parts := strings.Split(switchtest.ReadFile(t, prometheusDir+"/RUNBOOK.md"), "\n## ")
	sections := make(map[string]string)
	for _, p := range parts[1:] {
		heading, text, _ := strings.Cut(p, "\n")
		sections[heading] = text
	}
	return sections
}

// alertTests says for each alert whether a test expects that it fires, and whether
// one expects that it does not.
func alertTests(t *testing.T) map[string][2]bool {
	t.Helper()
	tested := make(map[string][2]bool)
	text := switchtest.ReadFile(t, prometheusDir+"/tests/portsyncd-alerts_test.yml")
	for _, m := range regexp.MustCompile(`(?m)^      - alertname: (\w+)\n        eval_time: \w+\n        exp_alerts:( \[\]|\n          - )`).FindAllStringSubmatch(text, -1) {
		got := tested[m[1]]
		if m[2] == " []" {
			got[1] = true
		} else {
			got[0] = true
		}
		tested[m[1]] = got
	}
	return tested
}

// TestNamesInRules: each metric that a rule or a dashboard names is one that the
// daemon exposes, with the labels that are asked for and, where a label has a
// known set of values, with that value.
func TestNamesInRules(t *testing.T) {
	d := switchtest.StartDemo(t)
	e, err := switchtest.ParseExposition(d.Get(t, "/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	known := newKnownNames(e)
	rules := readRules(t)
	for _, r := range rules {
		if r.record != "" {
			known.recorded[r.record] = true
		}
	}
	check := func(where, expr, legend string) {
		for _, problem := range known.problems(expr, legend) {
			if d.Simulated && strings.HasPrefix(problem, "no portsyncd_netlink_") {
				continue // without a kernel's socket there is nothing to count about it
			}
			t.Errorf("%s: %s, in %s", where, problem, expr)
		}
	}
	for _, r := range rules {
		check(r.name(), r.expr, r.description)
	}
	for _, q := range readDashboards(t) {
		check(q.dashboard+", "+q.title, q.expr, q.legend)
	}
}

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

// TestKnownNames: TestNamesInRules finds what is wrong.
func TestKnownNames(t *testing.T) {
	e, err := switchtest.ParseExposition("# HELP a_total A.\n# TYPE a_total counter\na_total{kind=\"x\"} 1\na_total{kind=\"y\"} 1\n" +
		"# HELP b B.\n# TYPE b gauge\nb 1\n")
	if err != nil {
		t.Fatal(err)
	}
	known := newKnownNames(e)
	known.recorded["level:a:sum"] = true
	for query, want := range map[string]string{
		`sum by (job, kind) (rate(a_total{job="$job", kind="x"}[5m])) > 0.5 and on (job, instance) b == 1`: "",
		`topk(10, level:a:sum) or vector(0)`: "",
		`a_totl > 0`:                         "no a_totl",
		`rate(c[5m]) / b`:                    "no c",
		`a_total{knd="x"}`:                   "a_total has no label knd",
		`a_total{kind="z"}`:                  `no a_total with kind="z"`,
		`sum by (port) (a_total)`:            "label port of none of its series",
		`b and on (kind) b`:                  "label kind of none of its series",
		`level:b:sum`:                        "no level:b:sum",
		`a_total offset 5m unless b{x=~"y"}`: "b has no label x",
	} {
		if got := strings.Join(known.problems(query, ""), "; "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := known.problems("b", "{{kind}}"); len(got) != 1 {
		t.Errorf("a legend of a label that is not there: %q", got)
	}
}

// knownNames is what there is to ask for.
type knownNames struct {
	labels   map[string]map[string]map[string]bool // values by metric and label
	recorded map[string]bool
}

func newKnownNames(e switchtest.Exposition) *knownNames {
	k := &knownNames{labels: make(map[string]map[string]map[string]bool), recorded: make(map[string]bool)}
	for series := range e.Samples {
		name, labels := labelsOf(series)
		if k.labels[name] == nil {
			k.labels[name] = make(map[string]map[string]bool)
		}
		for l, v := range labels {
			if k.labels[name][l] == nil {
				k.labels[name][l] = make(map[string]bool)
			}
			k.labels[name][l][v] = true
		}
	}
	k.labels["up"] = nil // Prometheus' own
	return k
}

var (
	inBrackets  = regexp.MustCompile(`\[[^\]]*\]`)
	labelLists  = regexp.MustCompile(`\b(?:by|on|without|ignoring|group_left|group_right) *\(([^)]*)\)`)
	metricName  = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*(\(|\{[^}]*\})?`)
	labelMatch  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	legendLabel = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?(\w+) ?\}\}`)
	keywords    = []string{"and", "or", "unless", "bool", "offset", "inf", "nan", "m", "s", "h", "d"}
)

// targetLabels are those that Prometheus adds.
var targetLabels = []string{"job", "instance"}

// problems says what a query names that does not exist.
func (k *knownNames) problems(expr, legend string) (all []string) {
	var asked []string // labels by which is grouped or that are shown
	for _, m := range labelLists.FindAllStringSubmatch(expr, -1) {
		asked = append(asked, strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	for _, m := range legendLabel.FindAllStringSubmatch(legend, -1) {
		asked = append(asked, m[1])
	}
	bare := inBrackets.ReplaceAllString(labelLists.ReplaceAllString(expr, " "), " ")
	bare = strings.NewReplacer("offset 5m", "").Replace(bare)
	has := make(map[string]bool)
	anyLabel := false
	for _, m := range metricName.FindAllStringSubmatch(bare, -1) {
		name, selector := m[1], m[2]
		switch {
		case selector == "(" || slices.Contains(keywords, strings.ToLower(name)):
			continue
		case k.recorded[name]:
			anyLabel = true // its own query is checked
			continue
		}
		labels, ok := k.labels[name]
		if !ok {
			all = append(all, "no "+name)
			continue
		}
		for l := range labels {
			has[l] = true
		}
		all = append(all, k.badMatchers(name, selector)...)
	}
	for _, l := range asked {
		if !has[l] && !anyLabel && !slices.Contains(targetLabels, l) && len(all) == 0 {
			all = append(all, "label "+l+" of none of its series")
		}
	}
	return all
}

// badMatchers says what of {label="value", ...} fits no series.
func (k *knownNames) badMatchers(name, selector string) (all []string) {
	for _, m := range labelMatch.FindAllStringSubmatch(selector, -1) {
		label, op, value := m[1], m[2], m[3]
		values := k.labels[name][label]
		switch {
		case slices.Contains(targetLabels, label):
		case values == nil:
			all = append(all, name+" has no label "+label)
		case op == "=" && !strings.HasPrefix(value, "$") && !values[value]:
			all = append(all, fmt.Sprintf("no %s with %s=%q", name, label, value))
		}
	}
	return all
}

// TestPrometheusToolRules has promtool check the configurations and rules, and
// run the tests of the rules.
func TestPrometheusToolRules(t *testing.T) {
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
	rules := glob("rules/*.yml")
	out := promtool(t, append([]string{"check", "rules"}, rules...)...)
	total := 0
	for _, m := range regexp.MustCompile(`SUCCESS: (\d+) rules found`).FindAllStringSubmatch(out, -1) {
		n := 0
		fmt.Sscan(m[1], &n)
		total += n
	}
	if read := len(readRules(t)); total != read {
		t.Errorf("promtool finds %d rules, this test %d", total, read)
	}
	for _, config := range glob("prometheus*.yml") {
		promtool(t, "check", "config", config)
	}
	promtool(t, append([]string{"test", "rules"}, glob("tests/*_test.yml")...)...)
}

func promtool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("promtool", args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args[:2], " "), err, out)
	}
	return string(out)
}
