package health

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/cli"
	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/switchtest"
	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// These tests cause each health reason on a running daemon and check every output that shows it.

// healthTest is a running daemon whose health a test checks.
type healthTest struct {
	*switchtest.Switch
	*switchtest.Client
	d             *switchtest.Daemon
	lines, states int // numbers of log lines and notifications before the fault
}

// newHealthTest returns a test of a running daemon.
func newHealthTest(sw *switchtest.Switch, d *switchtest.Daemon) *healthTest {
	return &healthTest{Switch: sw, Client: switchtest.NewClient(sw.T, switchtest.HTTPAddress), d: d}
}

// healthFault is a fault and the health reason that it must cause.
type healthFault struct {
	code       string
	begin, end func()
	recurs     bool // the reason comes and goes while the fault lasts
}

// checkFault causes a fault, waits until every output shows its reason, ends the fault, and waits
// until every output shows the daemon as healthy.
func (h *healthTest) checkFault(a healthFault) {
	h.Switch.T.Helper()
	h.lines, h.states = h.Logs.Len(), h.d.Notifications.Len()
	a.begin()
	h.awaitReason(a.code)
	ending := time.Now()
	a.end()
	body := h.Request("GET", "/healthz").Body
	if !a.recurs && time.Since(ending) < switchtest.ReasonHold/4 && !strings.Contains(body, "\n- "+a.code+": ") {
		h.Switch.T.Errorf("%s is not kept after its cause has ended: /healthz says %q", a.code, body)
	}
	h.awaitHealthy()
}

// severityOf returns the severity and the deduction of a reason.
func severityOf(t switchtest.T, code string) portsync.HealthCode {
	t.Helper()
	for _, c := range portsync.HealthCodes {
		if c.Code == code {
			return c
		}
	}
	t.Fatalf("no health reason %s", code)
	return portsync.HealthCode{}
}

// awaitReason waits until a reason is shown by both forms of /healthz, by the metrics, in the log
// and in the status line for the service manager.
func (h *healthTest) awaitReason(code string) {
	t := h.Switch.T
	t.Helper()
	reason := severityOf(t, code)
	status, healthy, severity := http.StatusOK, 1.0, 5
	if reason.Severity == portsync.Unhealthy {
		status, healthy, severity = http.StatusServiceUnavailable, 0, 3
	}
	// Reasons may change between two requests, so all answers are requested again after a difference.
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		a, err := h.TryRequest("GET", "/healthz")
		if err != nil || a.Code != status || !strings.HasPrefix(a.Body, reason.Severity+"\nscore ") ||
			!strings.Contains(a.Body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v, want %d with %s", a.Code, a.Body, err, status, code)
		}
		if want := fmt.Sprintf(" (-%d)\n", reason.Deduction); !strings.Contains(a.Body, want) {
			return fmt.Sprintf("no %q in %q", want, a.Body)
		}
		if wrong := h.documentProblem(status, reason); wrong != "" {
			return wrong
		}
		values := h.Scrape()
		if got := values.Value(t, "portsyncd_healthy"); got != healthy {
			return fmt.Sprintf("%s: portsyncd_healthy is %v, want %v", code, got, healthy)
		}
		if got := values.Value(t, fmt.Sprintf("portsyncd_health_reason{code=%q}", code)); got != 1 {
			return fmt.Sprintf("%s: its series is %v, want 1", code, got)
		}
		return ""
	})
	h.awaitStatusLine(code, "STATUS="+reason.Severity+", score ")
	line := h.AwaitLog(h.lines, switchtest.Timeout, "health ", reason.Severity, code)
	if line.Severity() != severity {
		t.Errorf("severity %d, want %d: %s", line.Severity(), severity, line)
	}
}

// awaitStatusLine waits for a notification after the begin of the fault that begins with a prefix
// and names a reason.
func (h *healthTest) awaitStatusLine(code, prefix string) {
	h.Switch.T.Helper()
	_, ok := h.d.Notifications.Await(h.states, switchtest.Timeout, func(s string) bool {
		return strings.HasPrefix(s, prefix) && strings.Contains(s, code)
	})
	if !ok {
		all, _ := h.d.Notifications.From(h.states)
		h.Switch.T.Errorf("no notification %s with %q within %v, only %q", prefix, code, switchtest.Timeout, all)
	}
}

// documentProblem returns what is wrong with /healthz as JSON, or "".
func (h *healthTest) documentProblem(status int, reason portsync.HealthCode) string {
	t := h.Switch.T
	t.Helper()
	a := h.Request("GET", "/healthz", "Accept: application/json")
	var document struct {
		OK bool
		portsync.Health
	}
	if err := json.Unmarshal([]byte(a.Body), &document); err != nil {
		t.Fatalf("%q: %v", a.Body, err)
	}
	if a.Code != status || document.OK != (status == http.StatusOK) || document.Status != reason.Severity || document.Since.IsZero() {
		return fmt.Sprintf("/healthz answers %d %s, want %d and %s", a.Code, a.Body, status, reason.Severity)
	}
	score, found := 100, false
	for _, r := range document.Reasons {
		score -= r.Deduction
		found = found || r.Code == reason.Code && r.Severity == reason.Severity && !r.Since.IsZero() && r.Text != ""
	}
	if !found || document.Score != max(score, 0) {
		return fmt.Sprintf("score %d, want %d, and a reason %s: %s", document.Score, max(score, 0), reason.Code, a.Body)
	}
	return ""
}

// awaitHealthy waits until no reason is left and every output shows that.
func (h *healthTest) awaitHealthy() {
	t := h.Switch.T
	t.Helper()
	switchtest.Eventually(t, 2*switchtest.Timeout, func() string {
		if a, err := h.TryRequest("GET", "/healthz"); err != nil || a.Code != 200 || a.Body != "healthy\nscore 100 of 100\n" {
			return fmt.Sprintf("/healthz answers %d %q, %v, want 200 and healthy", a.Code, a.Body, err)
		}
		values := h.Scrape()
		if got := values.Value(t, "portsyncd_healthy"); got != 1 {
			return fmt.Sprintf("portsyncd_healthy is %v, want 1", got)
		}
		for series, value := range values.Samples {
			if strings.HasPrefix(series, "portsyncd_health_reason{") && value != 0 {
				return fmt.Sprintf("%s is %v, want 0", series, value)
			}
		}
		return ""
	})
	h.awaitStatusLine("cold start", "STATUS=")
	if line := h.AwaitLog(h.lines, switchtest.Timeout, "health is healthy"); line.Severity() != 5 {
		t.Errorf("severity %d, want a notice: %s", line.Severity(), line)
	}
}

// noRate keeps the reason about failed Redis requests out of a test.
const noRate = "[health]\nmax_failure_rate_percent = 100.0\n"

// TestHealthDatabaseDown kills the server, and makes it reply with errors.
func TestHealthDatabaseDown(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith(noRate)
	sw.AddInterfaces(switchtest.ManyPorts)
	h := newHealthTest(sw, d)
	h.checkFault(healthFault{code: "database_down",
		begin: func() { sw.Do("APPL_DB", "SAVE"); r.Stop(); sw.CloseConns() },
		end:   func() { sw.NoError("restart", r.Restart()) }})
	sw.AwaitInSync(switchtest.Timeout)
	h.checkFault(healthFault{code: "database_refusing",
		begin: func() {
			sw.Do("STATE_DB", "CONFIG", "SET", "maxmemory", "1")
			sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1300))
		},
		end: func() { sw.Do("STATE_DB", "CONFIG", "SET", "maxmemory", "0") }})
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}

// TestHealthPortMissing deletes the interface of a configured port. The port must stay visible
// everywhere.
func TestHealthPortMissing(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith("")
	sw.AddInterfaces(switchtest.ManyPorts)
	h := newHealthTest(sw, d)
	h.checkFault(healthFault{code: "ports_missing",
		begin: func() { sw.NoError("delete a link", sw.Links.Delete(switchtest.PortName(0))) },
		end: func() {
			for _, path := range []string{"/ports", "/status"} {
				if a := h.Request("GET", path); !strings.Contains(strings.ReplaceAll(a.Body, " ", ""), `{"name":"`+switchtest.PortName(0)+`","present":false,"init_pending":false,"state":"absent"`) {
					t.Errorf("%s does not show the port as absent: %s", path, a.Body)
				}
			}
			if a := h.Request("GET", "/healthz"); !strings.Contains(a.Body, "a configured port has no interface: "+switchtest.PortName(0)+" (-15)") {
				t.Errorf("/healthz does not name the port: %s", a.Body)
			}
			if a := h.Request("GET", "/"); !strings.Contains(a.Body, `</b> <span>absent</span>`) {
				t.Error("the page does not show the port as absent")
			}
			if r := sw.RunStatus(nil); r.Code != cli.ExitDegraded || !strings.Contains(r.Stdout, "\n"+switchtest.PortName(0)+" ") || !strings.Contains(r.Stdout, "absent") {
				t.Errorf("portsyncd status: %d\n%s", r.Code, r.Stdout)
			}
			h.AwaitValue("portsyncd_ports_missing", 1)
			h.AwaitValue(fmt.Sprintf("portsyncd_port_present{port=%q}", switchtest.PortName(0)), 0)
			sw.AddPort(switchtest.PortName(0))
		}})
	h.AwaitValue("portsyncd_ports_missing", 0)
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}

// TestHealthStall delays each reply for longer than the daemon allows work to take, but not for so
// long that it closes the connection.
func TestHealthStall(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith(noRate + "max_stall_seconds = 1\n")
	sw.AddInterfaces(switchtest.ManyPorts)
	stop := func() {}
	newHealthTest(sw, d).checkFault(healthFault{code: "stalled",
		begin: func() {
			db.SetFault(lab.Fault{Delay: 1500 * time.Millisecond})
			stop = changeLinkSlowly(sw, 50*time.Millisecond)
		},
		end: func() {
			db.SetFault(lab.Fault{})
			stop()
		},
		recurs: true})
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}

// TestHealthWriteErrors makes the server reject a few writes and then accept many more.
func TestHealthWriteErrors(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith("[health]\nmax_failure_rate_percent = 10.0\n")
	sw.AddInterfaces(switchtest.ManyPorts)
	h := newHealthTest(sw, d)
	h.checkFault(healthFault{code: "failure_rate",
		begin: func() {
			db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
			sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1300))
		},
		end: func() {
			db.SetFault(lab.Fault{})
			// The number of failures depends on how long the test took to see the reason.
			failures := h.Scrape().Value(t, `portsyncd_database_errors_total{kind="refused"}`)
			for n := range max(200, 40*int(failures)) { // one at a time, each in its own request
				mtu := strconv.Itoa(1400 + n%500)
				sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1400+n%500))
				switchtest.Eventually(t, switchtest.Timeout, func() string {
					if got := db.Hash(sw.Databases["STATE_DB"].Number, "PORT_TABLE|"+switchtest.PortName(0))["mtu"]; got != mtu {
						return "mtu is " + got + ", want " + mtu
					}
					return ""
				})
			}
		}})
	sw.CheckAfterFault(d)
}

// TestHealthAuditMismatch writes a port's row from another process.
func TestHealthAuditMismatch(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith("[health]\naudit_interval_secs = 1\n")
	sw.AddInterfaces(switchtest.ManyPorts)
	stop := func() {}
	newHealthTest(sw, d).checkFault(healthFault{code: "audit_mismatch",
		begin: func() { stop = writeWrongField(sw, "PORT_TABLE|"+switchtest.PortName(0)) },
		end:   func() { stop() }})
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}

// writeWrongField writes a wrong field to a row of STATE_DB again and again until the returned
// function is called.
func writeWrongField(sw *switchtest.Switch, key string) (stop func()) {
	at := sw.Databases["STATE_DB"]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "tcp", Address: at.TCPAddress(), DB: at.Number, DialTimeout: time.Minute, IOTimeout: time.Minute})
	sw.NoError("connect to STATE_DB", err)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer conn.Close()
		for err == nil {
			_, err = conn.Do("HSET", key, "mtu", "1")
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
		sw.NoError("write the row", err)
	}
}

// changeLinkSlowly changes a link, too slowly to overrun the daemon, until the returned function
// is called.
func changeLinkSlowly(sw *switchtest.Switch, every time.Duration) (stop func()) {
	links, quit, ended := switchtest.DialLinks(sw.T), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for mtu := 1400; ; mtu = 1400 + (mtu+1)%100 {
			links.SetMTU(switchtest.PortName(0), mtu)
			select {
			case <-quit:
				return
			case <-time.After(every):
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// TestHealthOverrun checks that health reports messages that the kernel dropped. The reason lasts
// a minute, which only a long run waits for.
func TestHealthOverrun(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	h := newHealthTest(sw, d)
	h.lines, h.states = sw.Logs.Len(), d.Notifications.Len()
	d.Signal(syscall.SIGSTOP)
	sw.Overrun(switchtest.ManyPorts)
	d.Signal(syscall.SIGCONT)
	h.awaitReason("overrun")
	sw.AwaitInSync(switchtest.Timeout)
	if switchtest.LongRun() {
		h.awaitReasonGone("overrun", time.Minute+switchtest.Timeout)
		h.awaitHealthy()
	}
	sw.CheckAfterFault(d)
}

// TestHealthStartFailing makes the server reject what a start writes. The daemon must be
// unhealthy.
func TestHealthStartFailing(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", sw.WriteConfig(noRate)}})
	h := newHealthTest(sw, d)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		a, err := h.TryRequest("GET", "/healthz")
		if err != nil || a.Code != 503 || !strings.Contains(a.Body, "\n- start_incomplete: the initial sync is not complete (-40)\n") {
			return fmt.Sprintf("/healthz answers %d %q, %v", a.Code, a.Body, err)
		}
		return ""
	})
	h.AwaitValue(`portsyncd_health_reason{code="start_incomplete"}`, 1)
	h.AwaitValue("portsyncd_healthy", 0)
	db.SetFault(lab.Fault{})
	d.AwaitReady()
	if a := h.Request("GET", "/healthz"); a.Body != "healthy\nscore 100 of 100\n" {
		t.Errorf("after the start /healthz answers %d %q", a.Code, a.Body) // no reason is kept from the start
	}
	sw.AddInterfaces(1)
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if l.Has("health is") {
			t.Errorf("the start is logged as a change of health: %s", l)
		}
	}
	sw.CheckAfterFault(d)
}

// TestHealthReadOnlyDisk makes the disk read-only for so long that the files on it become old.
func TestHealthReadOnlyDisk(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	at := sw.MountDisk()
	sw.WriteSettings("", "save_interval_secs = 1")
	d := sw.BringUpSaved(switchtest.FewPorts)
	sw.AwaitRestarts(1)
	h := newHealthTest(sw.Switch, d)
	h.checkFault(healthFault{code: "snapshot_old",
		begin: func() {
			sw.Remount(at, unix.MS_RDONLY)
			h.awaitReason("disk")
		},
		end: func() { sw.Remount(at, 0) }})
	sw.CheckAfterFault(d)
}

// TestHealthCrashLoop kills the daemon as often as SONiC restarts it. The first start does not
// follow a crash.
func TestHealthCrashLoop(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	d := sw.BringUpSaved(switchtest.FewPorts)
	for n := 1; n <= 3; n++ {
		sw.AwaitRestarts(n)
		h := newHealthTest(sw.Switch, d)
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if a, err := h.TryRequest("GET", "/healthz"); err != nil || a.Body != "healthy\nscore 100 of 100\n" {
				return fmt.Sprintf("start %d: /healthz says %q, %v", n, a.Body, err)
			}
			return ""
		})
		d.Kill()
		d = sw.StartConfigured()
	}
	newHealthTest(sw.Switch, d).awaitReason("restart_storm")
	sw.CheckSelfReport(d, "restart_storm")
}

// TestHealthRequestedRestarts stops and starts the daemon, first without and then with a warm
// restart requested by SONiC. Health and report must not count these as crashes.
func TestHealthRequestedRestarts(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	d := sw.BringUpSaved(switchtest.FewPorts)
	for n := 1; n <= 4; n++ {
		want := warmrestart.Stopped
		if n == 1 {
			want = ""
		}
		if r := sw.AwaitRestarts(n); r.Ended != want || r.Requested {
			t.Errorf("start %d: %+v, want the end of the previous process as %q", n, r, want)
		}
		d.Signal(syscall.SIGTERM)
		d.Wait(switchtest.Timeout)
		d = sw.StartConfigured()
	}
	sw.Do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
	for n := 5; n <= 7; n++ {
		sw.AwaitRestarts(n)
		d.Kill() // as SONiC ends the container
		d = sw.StartConfigured()
		if r := sw.AwaitRestarts(n + 1); !r.Requested {
			t.Errorf("start %d: %+v, want a start requested by SONiC", n+1, r)
		}
	}
	sw.CheckSelfReport(d)
	out, err := exec.Command(sw.Binary, "report", "-c", sw.ConfigPath).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No storms of restarts or link messages") {
		t.Errorf("report: %v\n%s", err, out)
	}
}
