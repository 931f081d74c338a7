package monitoring

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"portsyncd/internal/switchtest"
)

// fixedNames are the counters without "_total" in their names, because the specification fixes
// these names.
var fixedNames = map[string]bool{
	"portsyncd_warm_restarts": true, "portsyncd_cold_starts": true,
	"portsyncd_eoiu_detected": true, "portsyncd_eoiu_timeouts": true,
	"portsyncd_state_recoveries": true, "portsyncd_corruptions_detected": true,
}

// prometheus is a Prometheus server for one test.
type prometheus struct{ address string }

// startPrometheus starts a server that scrapes target each second.
func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	switchtest.WriteFile(t, file, fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: portsyncd
    static_configs: [{targets: [%q]}]
`, target))
	return startPrometheusWith(t, file)
}

// startPrometheusWith starts a server with a configuration.
func startPrometheusWith(t *testing.T, file string) *prometheus {
	t.Helper()
	const address = "127.0.0.1:9090" // in the network namespace of the test
	startServer(t, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(t.TempDir(), "data"),
		"--web.listen-address="+address, "--log.level=warn")
	return &prometheus{address: address}
}

// startServer starts a server that is killed at the end of the test. The output of the server is
// logged if the test fails.
func startServer(t *testing.T, command string, args ...string) {
	t.Helper()
	cmd := exec.Command(command, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output := new(switchtest.Output)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s printed: %s", command, output)
		}
	})
}

// count returns how many series or values a query returns.
func (p *prometheus) count(query string) (int, error) {
	text, err := switchtest.Fetch("http://" + p.address + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return 0, err
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("query %s: %s", query, answer.Error)
	}
	return len(answer.Data.Result), nil
}
