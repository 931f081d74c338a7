package monitoring

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// scrapeToken is the bearer token of the scrapes.
const scrapeToken = "a long random token"

// copyPrometheusDir returns a copy of deploy/prometheus with the secrets that its configurations
// name.
func copyPrometheusDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(prometheusDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	switchtest.WriteFile(t, filepath.Join(dir, "secrets", "ca.pem"), switchtest.NewAuthority(t, "authority").PEM)
	switchtest.WriteFile(t, filepath.Join(dir, "secrets", "token"), scrapeToken+"\n")
	return dir
}

// startDeployed starts Prometheus with a shipped configuration, in which only the intervals and
// the target are replaced. It waits until the target was scraped twice.
func startDeployed(t *testing.T, dir, config, target string) *prometheus {
	t.Helper()
	switchtest.WriteFile(t, filepath.Join(dir, "targets", "switches.yml"), "- targets: ["+strconv.Quote(target)+"]\n")
	file := filepath.Join(dir, config)
	text := switchtest.ReadFile(t, file)
	for _, interval := range []string{"scrape_interval: 15s", "scrape_interval: 60s", "evaluation_interval: 15s"} {
		name, _, _ := strings.Cut(interval, ":")
		text = strings.ReplaceAll(text, interval, name+": 1s")
	}
	switchtest.WriteFile(t, file, text)
	recording := filepath.Join(dir, "rules", "portsyncd-recording.yml")
	switchtest.WriteFile(t, recording, strings.ReplaceAll(switchtest.ReadFile(t, recording), "interval: 1m", "interval: 1s"))
	p := startPrometheusWith(t, file)
	p.awaitScrapes(t, 2)
	return p
}

// awaitScrapes waits until a number of scrapes succeeded in the last minute.
func (p *prometheus) awaitScrapes(t *testing.T, n int) {
	t.Helper()
	switchtest.Eventually(t, 6*switchtest.Timeout, func() string {
		query := fmt.Sprintf(`sum_over_time(up{job="portsyncd"}[1m]) >= %d`, n)
		if got, err := p.count(query); err != nil || got != 1 {
			return fmt.Sprintf("%s: %d, %v", query, got, err)
		}
		return ""
	})
}

// deployedInstance is the instance label that the configurations give to a daemon at the default
// address.
const deployedInstance = "127.0.0.1"

// TestPrometheusConfigurations runs Prometheus with prometheus.yml on a daemon, and with
// prometheus-textfile.yml on the daemon's export for node_exporter's textfile collector.
// TestPrometheusDashboards uses the third configuration.
func TestPrometheusConfigurations(t *testing.T) {
	switchtest.Parallel(t)
	switchtest.RequireCommand(t, "prometheus")
	t.Run("plain", func(t *testing.T) {
		sw := switchtest.New(t)
		if sw == nil {
			return
		}
		sw.ConfigurePorts(2)
		sw.StartReady()
		sw.AddInterfaces(2)
		p := startDeployed(t, copyPrometheusDir(t), "prometheus.yml", switchtest.HTTPAddress)
		p.awaitOne(t, `portsyncd_ports_present{job="portsyncd", instance="127.0.0.1"} == 2`)
		p.awaitOne(t, `instance:portsyncd_port_oper_up:sum == 2`)
	})
	t.Run("textfile", func(t *testing.T) {
		switchtest.RequireCommand(t, "prometheus-node-exporter")
		sw := switchtest.NewWithStorage(t)
		if sw == nil {
			return
		}
		sw.WriteSettings("", "save_interval_secs = 1")
		sw.ConfigurePorts(2)
		sw.StartConfigured()
		sw.AddInterfaces(2)
		exporter := exec.Command("prometheus-node-exporter", "--web.listen-address=127.0.0.1:9100",
			"--collector.textfile.directory="+sw.StorageDir)
		exporter.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		said := new(switchtest.Output)
		exporter.Stdout, exporter.Stderr = said, said
		sw.NoError("start node_exporter", exporter.Start())
		sw.T.Cleanup(func() { exporter.Process.Kill(); exporter.Wait() })
		p := startDeployed(t, copyPrometheusDir(t), "prometheus-textfile.yml", "127.0.0.1:9101")
		p.awaitOne(t, `portsyncd_ports_present{job="portsyncd", instance="127.0.0.1"} == 2`)
		if n, err := p.count(`node_scrape_collector_success`); n != 0 || err != nil {
			t.Errorf("%d series of node_exporter in the job portsyncd, %v", n, err)
		}
		if strings.Contains(said.String(), "error gathering") {
			t.Errorf("node_exporter printed: %s", said)
		}
	})
}

// awaitOne waits until a query has one result.
func (p *prometheus) awaitOne(t *testing.T, query string) {
	t.Helper()
	switchtest.Eventually(t, 3*switchtest.Timeout, func() string {
		if n, err := p.count(query); err != nil || n != 1 {
			return fmt.Sprintf("%s: %d results, %v", query, n, err)
		}
		return ""
	})
}

// TestPrometheusDashboards runs Prometheus with prometheus-tls.yml on a daemon whose ports flap
// and that is restarted. Each query of the dashboards must have data, all rules must be evaluated
// without an error, the table of all ports must have each column for each port, and the alerts about flaps
// and restarts must fire.
func TestPrometheusDashboards(t *testing.T) {
	switchtest.RequireCommand(t, "prometheus")
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	dir := copyPrometheusDir(t)
	authority := switchtest.NewAuthority(t, "authority")
	cert, key := authority.Issue("switch")
	switchtest.WriteFile(t, dir+"/secrets/ca.pem", authority.PEM)
	switchtest.WriteFile(t, sw.Dir+"/cert.pem", cert)
	switchtest.WriteFile(t, sw.Dir+"/key.pem", key)
	sw.WriteSettings("", fmt.Sprintf("save_interval_secs = 1\ntls_cert_file = %q\ntls_key_file = %q\nbearer_token_sha256 = \"%x\"\n[health]\naudit_interval_secs = 1\n",
		sw.Dir+"/cert.pem", sw.Dir+"/key.pem", sha256.Sum256([]byte(scrapeToken))))
	sw.ConfigurePorts(switchtest.ManyPorts)
	sw.Do("CONFIG_DB", "HSET", "PORT|"+switchtest.PortName(0), "description", tableDescription)
	daemon := sw.StartConfigured()
	sw.AddInterfaces(switchtest.ManyPorts)
	stop := flaps(sw.Switch, switchtest.ManyPorts)
	p := startDeployed(t, dir, "prometheus-tls.yml", switchtest.HTTPAddress)
	p.awaitScrapes(t, 4)
	daemon.Signal(syscall.SIGTERM)
	daemon.Wait(switchtest.ExitTimeout)
	sw.StartConfigured()
	p.awaitScrapes(t, 9)
	for _, alert := range []string{"PortsyncdPortFlapping", "PortsyncdRestarted"} {
		query := fmt.Sprintf(`count(ALERTS{alertname=%q, alertstate="firing"})`, alert)
		p.awaitOne(t, query)
	}
	stop()

	queries := switchtest.DashboardQueries(t)
	for _, q := range queries {
		switchtest.Eventually(t, 3*switchtest.Timeout, func() string { return p.hasData(q) })
	}
	t.Logf("%d queries of dashboards have data", len(queries))
	switchtest.Eventually(t, 3*switchtest.Timeout, func() string { return p.portTableProblem(t, sw.Switch, queries) })
	p.checkRules(t)
}

// tableDescription is the description of the first port in CONFIG_DB.
const tableDescription = "spine 1, \"rack\" 4"

// portTableProblem joins the queries of the table of all ports by the label port, as Grafana's
// transformation does, and checks the cells. It returns what is wrong, or "". After a scrape that took
// too long, the result of a query can be empty.
func (p *prometheus) portTableProblem(t *testing.T, sw *switchtest.Switch, queries []switchtest.DashboardQuery) string {
	t.Helper()
	rows := make(map[string]map[string]string) // column to cell, by port
	for _, q := range queries {
		if q.Title != "All ports" {
			continue
		}
		if !q.Instant {
			t.Errorf("%s is not an instant query, so its times would keep Grafana from joining the rows", q.Legend)
		}
		expr := strings.NewReplacer("$__range", "2m", "$job", "portsyncd", "$instance", deployedInstance).Replace(q.Expr)
		var data struct {
			Result []struct {
				Metric map[string]string
				Value  []any
			}
		}
		p.query(t, "query?query="+url.QueryEscape(expr), &data)
		for _, r := range data.Result {
			port := r.Metric["port"]
			if rows[port] == nil {
				rows[port] = make(map[string]string)
			}
			if rows[port][q.Legend] != "" {
				t.Errorf("%s has two values for %s, and so two rows", port, q.Legend)
			}
			rows[port][q.Legend] = fmt.Sprint(r.Value[1])
			for label, value := range r.Metric {
				rows[port][label] = value
			}
		}
	}
	if len(rows) != switchtest.ManyPorts {
		return fmt.Sprintf("the table has %d rows, want %d", len(rows), switchtest.ManyPorts)
	}
	flapped := 0.0
	for port, row := range rows {
		config := sw.Row("CONFIG_DB", "PORT|"+port)
		if row["alias"] != config["alias"] || row["description"] != config["description"] || config["speed"] == "" ||
			row["speed"] != config["speed"] || row["Link"] != "1" && row["Link"] != "0" || row["Admin"] != "1" {
			return fmt.Sprintf("row of %s: %q, CONFIG_DB has %q", port, row, config)
		}
		ms, err := strconv.ParseFloat(row["Last change"], 64)
		if age := time.Since(time.UnixMilli(int64(ms))); err != nil || age < -time.Second || age > 5*time.Minute {
			return fmt.Sprintf("%s changed last %v ago: %q", port, age, row["Last change"])
		}
		n, err := strconv.ParseFloat(row["Link-down transitions"], 64)
		if err != nil {
			return fmt.Sprintf("%s has %q link-down transitions", port, row["Link-down transitions"])
		}
		flapped += n
	}
	if rows[switchtest.PortName(0)]["description"] != tableDescription || flapped == 0 {
		return fmt.Sprintf("row of the first port %q, %v link-down transitions in all", rows[switchtest.PortName(0)], flapped)
	}
	return ""
}

// flaps takes the cables of ports out in turn and puts them back until the returned function is
// called.
func flaps(sw *switchtest.Switch, ports int) (stop func()) {
	sw.T.Helper()
	links, quit, ended := switchtest.DialLinks(sw.T), make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			peer := switchtest.PeerName(switchtest.PortName(i / 2 % ports))
			if err := links.SetUp(peer, i%2 == 1); err != nil {
				ended <- err
				return
			}
			select {
			case <-quit:
				ended <- nil
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(quit)
		sw.NoError("flap", <-ended)
	}
}

// hasData sends a query as Grafana does and returns what is wrong with the result, or "".
func (p *prometheus) hasData(q switchtest.DashboardQuery) string {
	expr := strings.NewReplacer("$__rate_interval", "10s", "$__range", "2m",
		"$job", "portsyncd", "$instance", deployedInstance, "$port", switchtest.PortName(0)).Replace(q.Expr)
	if strings.Contains(expr, "$") {
		return "a variable is left in " + expr
	}
	path := "query?query=" + url.QueryEscape(expr)
	if !q.Instant {
		now := time.Now().Unix()
		path = fmt.Sprintf("query_range?query=%s&start=%d&end=%d&step=1", url.QueryEscape(expr), now-120, now)
	}
	text, err := switchtest.Fetch("http://" + p.address + "/api/v1/" + path)
	if err != nil {
		return fmt.Sprintf("%s, %s: %s: %v", q.Dashboard, q.Title, expr, err)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Value  []any
				Values [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return err.Error()
	}
	for _, r := range answer.Data.Result {
		for _, v := range append(r.Values, r.Value) {
			if len(v) == 2 && isNumber(v[1]) {
				return ""
			}
		}
	}
	return fmt.Sprintf("%s, %s: no data for %s: %.300s", q.Dashboard, q.Title, expr, text)
}

// isNumber reports whether a value of a result is a finite number.
func isNumber(v any) bool {
	s, _ := v.(string)
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// checkRules checks that the server has loaded all rule files and evaluates every rule.
func (p *prometheus) checkRules(t *testing.T) {
	t.Helper()
	var data struct {
		Groups []struct {
			File  string
			Rules []struct{ Name, Health, LastError string }
		}
	}
	p.query(t, "rules", &data)
	loaded := make(map[string]bool)
	for _, g := range data.Groups {
		loaded[filepath.Base(g.File)] = true
		for _, r := range g.Rules {
			if r.Health != "ok" || r.LastError != "" {
				t.Errorf("rule %s: %s %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	files, err := filepath.Glob(prometheusDir + "/rules/*.yml")
	if err != nil || len(files) == 0 || len(files) != len(loaded) {
		t.Errorf("the server has rules of %v, want those of %q (%v)", loaded, files, err)
	}
}
