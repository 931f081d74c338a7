package http

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestIdle counts the wake-ups of an idle daemon with every feature configured and a client
// connected: neither metrics nor the HTTP server may poll. Each wake-up of an idle Go program
// shows as some 35 context switches, because the runtime's monitor thread then sleeps briefly
// fifty times before it sleeps long (runtime/proc.go, sysmon).
func TestIdle(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	conf := sw.WriteConfig(fmt.Sprintf("[metrics]\nlisten = [%q, %q]\nprofiling = true\nexport_format = \"both\"\n",
		switchtest.HTTPAddress, "unix:"+filepath.Join(sw.Dir, "s")))
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}, Env: []string{"WATCHDOG_USEC=120000000"}})
	d.AwaitReady()
	sw.AddInterfaces(switchtest.ManyPorts)
	client := switchtest.NewClient(t, switchtest.HTTPAddress) // the client keeps its connection
	client.Get("/metrics.json")
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if client.Scrape().Value(t, `portsyncd_snapshot_saves_total{file="state"}`) == 0 {
			return "the ports are not saved yet"
		}
		return ""
	})
	const window = 5 * time.Second
	// A poll once a second costs some 35 switches a second. On a machine with other load,
	// threads also wait for one another, so the limit is higher for such a window.
	const quietLimit, loadedLimit = 4, 20
	var rate, limit float64
	for range 8 { // single actions, such as a save, may fall into a window
		switches, watch := voluntarySwitches(t, d.Cmd.Process.Pid), switchtest.StartStopwatch()
		time.Sleep(window) // the measurement
		rate = float64(voluntarySwitches(t, d.Cmd.Process.Pid)-switches) / window.Seconds()
		limit = quietLimit
		if watch.Contended() {
			limit = loadedLimit
		}
		t.Logf("%.1f voluntary context switches a second, limit %v", rate, limit)
		if rate <= limit {
			return
		}
	}
	t.Errorf("an idle daemon makes %.1f voluntary context switches a second, want at most %v", rate, limit)
}

// voluntarySwitches returns the voluntary context switches of all threads of a process
// (proc_pid_status(5)).
func voluntarySwitches(t *testing.T, pid int) int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("threads of %d: %d, %v", pid, len(files), err)
	}
	sum := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		_, rest, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
		n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		sum += n
	}
	return sum
}

// TestScrapeTime measures scrapes of a daemon with 512 ports on real links, each over HTTP from
// request to last byte.
func TestScrapeTime(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const ports, scrapes = 512, 50
	begin := time.Now()
	sw.ConfigurePorts(ports)
	d := sw.StartReady()
	sw.AddInterfaces(ports)
	t.Logf("%d ports in sync after %v", ports, time.Since(begin).Round(time.Millisecond))
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	e := client.Scrape()
	perPort := 0
	for series := range e.Samples {
		if strings.Contains(series, `{port="`) {
			perPort++
		}
	}
	if perPort < 3500 {
		t.Errorf("%d series of ports, want at least 3500", perPort)
	}
	for _, form := range []struct{ name, path, header string }{
		{"text", "/metrics", ""},
		{"text, gzip", "/metrics", "Accept-Encoding: gzip"},
		{"JSON", "/metrics.json", ""},
		{"ports", "/ports", ""},
	} {
		var took []time.Duration
		bytes := 0
		for range scrapes {
			headers := []string{form.header}
			if form.header == "" {
				headers = nil
			}
			begin := time.Now()
			bytes = len(client.Get(form.path, headers...))
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		t.Logf("%s: %d bytes, median %v, fastest %v, slowest %v", form.name, bytes, took[scrapes/2], took[0], took[scrapes-1])
		// The limit of the specification. Other processes can delay most scrapes, so the fastest counts.
		if took[0] > 100*time.Millisecond {
			t.Errorf("%s: each scrape takes %v or longer", form.name, took[0])
		}
	}
	t.Logf("%d series, %d of them of ports; %d KiB resident", len(e.Samples), perPort, switchtest.ResidentMemory(t, d.Cmd.Process.Pid)>>10)
}
