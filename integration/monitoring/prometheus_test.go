package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// escapedPorts are valid interface names that text and JSON must escape (dev_valid_name in
// net/core/dev.c forbids slash, colon and white space).
var escapedPorts = []string{`Ethernet"\90`, "Ethernet\xff\xfe", "Ethernet\x019", "Ethernetßλ"}

// escapedPortsClient starts a daemon that has processed all kinds of events, with ports whose
// names must be escaped, and returns a client for it.
func escapedPortsClient(sw *switchtest.Switch) *switchtest.Client {
	sw.T.Helper()
	sw.ConfigurePorts(4)
	sw.StartWith("[health]\naudit_interval_secs = 1\n")
	for _, name := range escapedPorts {
		sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+name, "lanes", "0")
		sw.AddPort(name)
	}
	sw.AddInterfaces(4)
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(3)))
	sw.AwaitInSync(switchtest.Timeout)
	client := switchtest.NewClient(sw.T, switchtest.HTTPAddress)
	client.AwaitValue("portsyncd_port_table_rows", float64(4+len(escapedPorts))) // the first audit
	return client
}

// TestPrometheusToolDaemon checks the metrics of a daemon with promtool, which must complain about
// the six names that the specification fixes and about nothing else.
func TestPrometheusToolDaemon(t *testing.T) {
	switchtest.RequireCommand(t, "promtool")
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(escapedPortsClient(sw).Get("/metrics"))
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
		t.Errorf("promtool complains about\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestPrometheusDaemon runs Prometheus on a daemon. A query for each family must return as many
// series as the daemon exposes, with the unescaped names of ports, and Prometheus must know the
// families' types and help.
func TestPrometheusDaemon(t *testing.T) {
	switchtest.RequireCommand(t, "prometheus")
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	client := escapedPortsClient(sw)
	server := startPrometheus(t, switchtest.HTTPAddress)
	switchtest.Eventually(t, 2*switchtest.Timeout, func() string {
		// The second scrape also counts the first.
		if n, err := server.count("count_over_time(up[5m]) >= 2"); err != nil || n != 1 {
			return fmt.Sprintf("targets scraped twice: %d, %v", n, err)
		}
		return ""
	})
	// After a scrape that took too long, the result of a query is empty.
	e, answered := client.Scrape(), 0
	switchtest.Eventually(t, 3*switchtest.Timeout, func() string {
		answered = 0
		for _, f := range e.Families {
			got := server.series(t, f)
			if len(got) == 0 || len(got) != len(f.Series) {
				return fmt.Sprintf("query for %s: %d series, the daemon exposes %d", f.Name, len(got), len(f.Series))
			}
			answered += len(got)
		}
		return ""
	})
	metadata := server.metadata(t)
	for _, f := range e.Families {
		if m := metadata[f.Name]; len(m) != 1 || m[0].Type != f.Kind || escapeHelp(m[0].Help) != f.Help {
			t.Errorf("metadata of %s: %+v, want %s %q", f.Name, m, f.Kind, f.Help)
		}
	}
	t.Logf("%d families, %d series", len(e.Families), answered)

	want := map[string]bool{switchtest.PortName(0): true, switchtest.PortName(1): true, switchtest.PortName(2): true, switchtest.PortName(3): true} // the last is missing
	for _, name := range escapedPorts {
		want[switchtest.LabelValue(name)] = true
	}
	switchtest.Eventually(t, 3*switchtest.Timeout, func() string {
		ports := make(map[string]bool)
		for _, labels := range server.series(t, switchtest.Family{Name: "portsyncd_port_oper_up"}) {
			ports[labels["port"]] = true
		}
		if !maps.Equal(ports, want) {
			return fmt.Sprintf("Prometheus has the ports %q, want %q", slices.Collect(maps.Keys(ports)), slices.Collect(maps.Keys(want)))
		}
		return ""
	})
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
		server.awaitOne(t, query)
	}
}

// escapeHelp escapes help as the text format does.
func escapeHelp(help string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(help)
}

// query requests the server's HTTP API.
func (p *prometheus) query(t *testing.T, path string, data any) {
	t.Helper()
	text, err := switchtest.Fetch("http://" + p.address + "/api/v1/" + path)
	if err != nil {
		t.Fatal(err)
	}
	answer := struct{ Data any }{data}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// series returns the labels of a family's series.
func (p *prometheus) series(t *testing.T, f switchtest.Family) []map[string]string {
	t.Helper()
	selector := f.Name
	if f.Kind == "histogram" || f.Kind == "summary" {
		selector = fmt.Sprintf(`{__name__=~"%s(_bucket|_sum|_count)?"}`, f.Name)
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

// about is Prometheus' metadata of a family.
type about struct{ Type, Help string }

// metadata returns what Prometheus knows of the families.
func (p *prometheus) metadata(t *testing.T) map[string][]about {
	t.Helper()
	data := make(map[string][]about)
	p.query(t, "metadata", &data)
	return data
}
