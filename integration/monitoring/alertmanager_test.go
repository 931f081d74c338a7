package monitoring

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// alertmanagerConfig is the configuration for Alertmanager.
const alertmanagerConfig = prometheusDir + "/alertmanager.yml"

// TestAlertmanagerNames checks the configuration with amtool, and checks that each alert in the
// configuration has a rule.
func TestAlertmanagerNames(t *testing.T) {
	switchtest.Parallel(t)
	switchtest.RequireCommand(t, "amtool")
	if out, err := exec.Command("amtool", "check-config", alertmanagerConfig).CombinedOutput(); err != nil {
		t.Errorf("amtool check-config: %v\n%s", err, out)
	}
	rules := switchtest.ReadFile(t, prometheusDir+"/rules/portsyncd-alerts.yml")
	names := regexp.MustCompile(`\bPortsyncd[A-Z]\w+`).FindAllString(switchtest.ReadFile(t, alertmanagerConfig), -1)
	if len(names) == 0 {
		t.Error("the configuration names no alert")
	}
	for _, name := range names {
		if !strings.Contains(rules, "- alert: "+name+"\n") {
			t.Errorf("no rule for %s", name)
		}
	}
}

// incident is a set of alerts that fire together on one switch, and the alerts that notify. An
// alert is written as NAME or NAME{LABEL=VALUE,...}.
type incident struct {
	name    string
	firing  []string
	page    []string
	ticket  []string
	display []string // alerts that are neither inhibited nor sent to a receiver
}

var incidents = []incident{
	{
		name: "redis-down",
		firing: []string{"PortsyncdDatabaseDown{severity=critical,component=database}", "PortsyncdDegraded{severity=warning,code=config_db_down}",
			"PortsyncdNoAudits{severity=warning}", "PortsyncdNotReady{severity=warning}", "PortsyncdPortsPending{severity=warning}"},
		page: []string{"PortsyncdDatabaseDown"},
	},
	{
		name: "redis-hangs",
		firing: []string{"PortsyncdStalled{severity=critical}", "PortsyncdDatabaseErrors{severity=warning,kind=io}",
			"PortsyncdSlowWrites{severity=warning}", "PortsyncdNoAudits{severity=warning}"},
		page: []string{"PortsyncdStalled"},
	},
	{
		name: "switch-down",
		firing: []string{"PortsyncdDown{severity=critical}", "PortsyncdCrashLooping{severity=critical}",
			"PortsyncdPortDown{severity=warning,port=Ethernet0}", "PortsyncdRestarted{severity=info}"},
		page: []string{"PortsyncdDown"},
	},
	{
		name: "dumps-fail",
		firing: []string{"PortsyncdUnhealthy{severity=critical}", "PortsyncdKernelOutOfStep{severity=warning,component=kernel}",
			"PortsyncdNotReady{severity=warning}"},
		page: []string{"PortsyncdUnhealthy"},
	},
	{
		name: "crash-loop",
		firing: []string{"PortsyncdCrashLooping{severity=critical}", "PortsyncdDegraded{severity=warning,code=restart_storm}",
			"PortsyncdDegraded{severity=warning,code=snapshot_old}", "PortsyncdRestarted{severity=info}"},
		page:    []string{"PortsyncdCrashLooping"},
		ticket:  []string{"PortsyncdDegraded"},
		display: []string{"PortsyncdRestarted"},
	},
	{
		name:   "ports-pending",
		firing: []string{"PortsyncdPortsPending{severity=warning}", "PortsyncdDegraded{severity=warning,code=port_init_late}"},
		ticket: []string{"PortsyncdPortsPending"},
	},
	{
		name: "line-card",
		firing: []string{"PortsyncdPortsLost{severity=critical}", "PortsyncdPortDown{severity=warning,port=Ethernet0}",
			"PortsyncdPortDown{severity=warning,port=Ethernet4}"},
		page: []string{"PortsyncdPortsLost"},
	},
	{
		name: "flapping",
		firing: []string{"PortsyncdPortFlappingForHours{severity=critical,port=Ethernet0}", "PortsyncdPortFlapping{severity=warning,port=Ethernet0}",
			"PortsyncdPortDown{severity=warning,port=Ethernet4}"},
		page:   []string{"PortsyncdPortFlappingForHours"},
		ticket: []string{"PortsyncdPortDown"},
	},
}

// TestAlertmanagerIncidents runs Alertmanager with the configuration and checks that each incident
// sends only the expected notifications.
func TestAlertmanagerIncidents(t *testing.T) {
	switchtest.RequireCommand(t, "prometheus-alertmanager")
	switchtest.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	notified := new(notifications)
	receivers := httptest.NewServer(notified)
	defer receivers.Close()
	text := switchtest.ReadFile(t, alertmanagerConfig)
	for from, to := range map[string]string{
		"https://pager.invalid/portsyncd": receivers.URL + "/page", "https://tickets.invalid/portsyncd": receivers.URL + "/ticket",
		"group_wait: 45s": "group_wait: 5s",
	} {
		if !strings.Contains(text, from) {
			t.Fatalf("%s does not contain %q", alertmanagerConfig, from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	dir := t.TempDir()
	switchtest.WriteFile(t, filepath.Join(dir, "alertmanager.yml"), text)
	const address = "127.0.0.1:9093"
	startServer(t, "prometheus-alertmanager", "--config.file="+filepath.Join(dir, "alertmanager.yml"), "--storage.path="+dir,
		"--web.listen-address="+address, "--cluster.listen-address=", "--log.level=warn")
	api := "http://" + address + "/api/v2/alerts"
	switchtest.Eventually(t, 3*switchtest.Timeout, func() string {
		if _, err := switchtest.Fetch(api); err != nil {
			return err.Error()
		}
		return ""
	})

	var want, unmuted []string
	var alerts []map[string]map[string]string
	for _, in := range incidents {
		for _, a := range in.firing {
			alerts = append(alerts, map[string]map[string]string{"labels": alertLabels(a, in.name)})
		}
		for receiver, names := range map[string][]string{"page": in.page, "ticket": in.ticket, "": in.display} {
			for _, name := range names {
				unmuted = append(unmuted, in.name+" "+name)
				if receiver != "" {
					want = append(want, receiver+" "+in.name+" "+name)
				}
			}
		}
	}
	body, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(api, "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s", api, resp.Status)
	}
	slices.Sort(want)
	slices.Sort(unmuted)
	switchtest.Eventually(t, 6*switchtest.Timeout, func() string {
		if got := notified.sorted(); !slices.Equal(got, want) {
			return fmt.Sprintf("notifications:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return ""
	})
	if got := unmutedAlerts(t, api); !slices.Equal(got, unmuted) {
		t.Errorf("alerts that are not inhibited: %q, want %q", got, unmuted)
	}
}

// alertLabels returns the labels of an alert in the form of incident.firing.
func alertLabels(alert, instance string) map[string]string {
	name, list, _ := strings.Cut(strings.TrimSuffix(alert, "}"), "{")
	labels := map[string]string{"alertname": name, "job": "portsyncd", "instance": instance}
	for l := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(l, "=")
		labels[key] = value
	}
	return labels
}

// unmutedAlerts returns the alerts that are not inhibited as "INSTANCE NAME", sorted.
func unmutedAlerts(t *testing.T, api string) (names []string) {
	t.Helper()
	text, err := switchtest.Fetch(api + "?inhibited=false")
	if err != nil {
		t.Fatal(err)
	}
	var alerts []struct{ Labels map[string]string }
	if err := json.Unmarshal([]byte(text), &alerts); err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		names = append(names, a.Labels["instance"]+" "+a.Labels["alertname"])
	}
	slices.Sort(names)
	return names
}

// notifications is an HTTP handler that records the alerts in the notifications of Alertmanager as
// "RECEIVER INSTANCE NAME".
type notifications struct {
	mu   sync.Mutex
	sent []string
}

func (n *notifications) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct {
		Alerts []struct{ Labels map[string]string }
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range message.Alerts {
		n.sent = append(n.sent, strings.TrimPrefix(r.URL.Path, "/")+" "+a.Labels["instance"]+" "+a.Labels["alertname"])
	}
}

// sorted returns the recorded alerts.
func (n *notifications) sorted() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(slices.Values(n.sent))
}
