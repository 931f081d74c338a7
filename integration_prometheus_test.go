package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// awkwardPorts are names that an interface can have and that text and JSON must
// escape (dev_valid_name in net/core/dev.c: no slash, no colon, no blank).
var awkwardPorts = []string{`Ethernet"\90`, "Ethernet\xff\xfe", "Ethernet\x019", "Ethernetßλ"}

// awkwardSite has a daemon that has seen all kinds of events, with ports of
// awkward names among others.
func awkwardSite(c *cell) *site {
	c.t.Helper()
	c.configure(4)
	c.startWith("[health]\naudit_interval_secs = 1\n")
	for _, name := range awkwardPorts {
		c.do("APPL_DB", "HSET", "PORT_TABLE:"+name, "lanes", "0")
		c.addPort(name)
	}
	c.plug(4)
	c.must("delete", c.links.Delete(portName(3)))
	c.awaitInStep(patience)
	s := newSite(c.t, httpAddress)
	s.awaitValue("portsyncd_port_table_rows", float64(4+len(awkwardPorts))) // the first audit
	return s
}

// TestPrometheusToolDaemon has promtool look at a daemon on real links: it
// objects to the six names that the specification fixes and to nothing else.
func TestPrometheusToolDaemon(t *testing.T) {
	require(t, "promtool")
	c := newCell(t)
	if c == nil {
		return
	}
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(awkwardSite(c).get("/metrics"))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(got)
	var want []string
	for name := range fixedNames {
		want = append(want, name+` counter metrics should have "_total" suffix`)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("promtool objects to\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPrometheusDaemon has a real Prometheus scrape a daemon on real links. It
// must answer a query for each family with as many series as the daemon exposes
// and the names of ports as they are, and know the families' types and help.
func TestPrometheusDaemon(t *testing.T) {
	require(t, "prometheus")
	c := newCell(t)
	if c == nil {
		return
	}
	s := awkwardSite(c)
	server := startPrometheus(t, httpAddress)
	eventually(t, 2*patience, func() string {
		// The second scrape: nothing that the first one set off is missing.
		if n, err := server.count("count_over_time(up[5m]) >= 2"); err != nil || n != 1 {
			return fmt.Sprintf("targets scraped twice: %d, %v", n, err)
		}
		return ""
	})
	if n, err := server.count("up == 1"); n != 1 {
		t.Fatalf("targets up: %d, %v", n, err)
	}
	e := s.scrape()
	metadata := server.metadata(t)
	answered := 0
	for _, f := range e.families {
		got := server.series(t, f)
		if len(got) == 0 || len(got) != len(f.series) {
			t.Errorf("query for %s: %d series, the daemon exposes %d", f.name, len(got), len(f.series))
		}
		answered += len(got)
		if m := metadata[f.name]; len(m) != 1 || m[0].Type != f.kind || escapeHelp(m[0].Help) != f.help {
			t.Errorf("metadata of %s: %+v, want %s %q", f.name, m, f.kind, f.help)
		}
	}
	t.Logf("%d families, %d series", len(e.families), answered)

	ports := make(map[string]bool)
	for _, labels := range server.series(t, family{name: "portsyncd_port_oper_up"}) {
		ports[labels["port"]] = true
	}
	want := map[string]bool{portName(0): true, portName(1): true, portName(2): true, portName(3): true} // the last is missing
	for _, name := range awkwardPorts {
		want[shownName(name)] = true
	}
	if !maps.Equal(ports, want) {
		t.Errorf("Prometheus knows ports %q, want %q", slices.Collect(maps.Keys(ports)), slices.Collect(maps.Keys(want)))
	}
	for _, query := range []string{
		"portsyncd_ports_present == 7",
		"portsyncd_ports_missing == 1",
		"portsyncd_ports_configured == 4",
		"portsyncd_port_config_done_ports - portsyncd_port_table_rows == -4",
		"sum(portsyncd_port_oper_up) == 7",
		"histogram_quantile(0.99, portsyncd_event_latency_seconds_bucket) > 0",
		"time() - portsyncd_last_progress_timestamp_seconds < 60",
		"portsyncd_sync_duration_seconds_count == 1",
	} {
		if n, err := server.count(query); err != nil || n != 1 {
			t.Errorf("%s: %d results, %v", query, n, err)
		}
	}
}

// escapeHelp writes help as the text format does.
func escapeHelp(help string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help)
}

// query asks the server's HTTP API.
func (p *prometheus) query(t *testing.T, path string, data any) {
	t.Helper()
	text, err := fetch("http://" + p.address + "/api/v1/" + path)
	if err != nil {
		t.Fatal(err)
	}
	answer := struct{ Data any }{data}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// series returns the labels of a family's series.
func (p *prometheus) series(t *testing.T, f family) []map[string]string {
	t.Helper()
	selector := f.name
	if f.kind == "histogram" || f.kind == "summary" {
		selector = fmt.Sprintf(`{__name__=~"%s(_bucket|_sum|_count)?"}`, f.name)
	}
	var data struct {
		Result []struct{ Metric map[string]string }
	}
	p.query(t, "query?query="+url.QueryEscape(selector), &data)
	var all []map[string]string
	for _, r := range data.Result {
		all = append(all, r.Metric)
	}
	return all
}

// about is what Prometheus knows of a family.
type about struct{ Type, Help string }

func (p *prometheus) metadata(t *testing.T) map[string][]about {
	t.Helper()
	data := make(map[string][]about)
	p.query(t, "metadata", &data)
	return data
}
