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

// These tests cause what health tells of on the running daemon, one thing after
// the other, and look at all places where it shows.

// patient is a daemon whose health is looked at.
type patient struct {
	*switchtest.Switch
	*switchtest.Client
	d             *switchtest.Daemon
	lines, states int // what was said before the fault
}

// newPatient is for a daemon that runs.
func newPatient(sw *switchtest.Switch, d *switchtest.Daemon) *patient {
	return &patient{Switch: sw, Client: switchtest.NewClient(sw.T, switchtest.HTTPAddress), d: d}
}

// ailment is a fault and what it makes of the daemon's health.
type ailment struct {
	code       string
	begin, end func()
	recurs     bool // it comes and goes by itself until its end
}

// suffers causes a fault, waits until it shows everywhere, ends it, and waits
// until that shows.
func (p *patient) suffers(a ailment) {
	p.Switch.T.Helper()
	p.lines, p.states = p.Logs.Len(), p.d.Notifications.Len()
	a.begin()
	p.awaitSick(a.code)
	ending := time.Now()
	a.end()
	body := p.Request("GET", "/healthz").Body
	if !a.recurs && time.Since(ending) < switchtest.ReasonHold/4 && !strings.Contains(body, "\n- "+a.code+": ") {
		p.Switch.T.Errorf("%s does not linger: /healthz says %q", a.code, body)
	}
	p.awaitWell()
}

// severityOf returns what a reason of a code does.
func severityOf(t switchtest.T, code string) portsync.HealthCode {
	t.Helper()
	for _, c := range portsync.HealthCodes {
		if c.Code == code {
			return c
		}
	}
	t.Fatalf("there is no reason %s", code)
	return portsync.HealthCode{}
}

// awaitSick waits until a reason shows: in both forms of /healthz, in the
// metrics, in the log and in the status line of the service manager.
func (p *patient) awaitSick(code string) {
	t := p.Switch.T
	t.Helper()
	reason := severityOf(t, code)
	status, healthy, severity := http.StatusOK, 1.0, 5
	if reason.Severity == portsync.Unhealthy {
		status, healthy, severity = http.StatusServiceUnavailable, 0, 3
	}
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		a, err := p.TryRequest("GET", "/healthz")
		if err != nil || a.Code != status || !strings.HasPrefix(a.Body, reason.Severity+"\nscore ") ||
			!strings.Contains(a.Body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v, want %d with %s", a.Code, a.Body, err, status, code)
		}
		if want := fmt.Sprintf(" (-%d)\n", reason.Deduction); !strings.Contains(a.Body, want) {
			return fmt.Sprintf("no %q in %q", want, a.Body)
		}
		return ""
	})
	p.checkDocument(status, reason)
	values := p.Scrape()
	if got := values.Value(t, "portsyncd_healthy"); got != healthy {
		t.Errorf("%s: portsyncd_healthy is %v, want %v", code, got, healthy)
	}
	if got := values.Value(t, fmt.Sprintf("portsyncd_health_reason{code=%q}", code)); got != 1 {
		t.Errorf("%s: its series is %v, want 1", code, got)
	}
	p.awaitState(code, "STATUS="+reason.Severity+", score ")
	line := p.AwaitLog(p.lines, switchtest.Timeout, "health ", reason.Severity, code)
	if line.Severity() != severity {
		t.Errorf("severity %d, want %d: %s", line.Severity(), severity, line)
	}
}

// AwaitState waits for a notification since the fault that begins with a prefix
// and names a code.
func (p *patient) awaitState(code, prefix string) {
	p.Switch.T.Helper()
	_, ok := p.d.Notifications.Await(p.states, switchtest.Timeout, func(s string) bool {
		return strings.HasPrefix(s, prefix) && strings.Contains(s, code)
	})
	if !ok {
		all, _ := p.d.Notifications.From(p.states)
		p.Switch.T.Errorf("no notification %s with %q within %v, only %q", prefix, code, switchtest.Timeout, all)
	}
}

// checkDocument asks for /healthz as JSON.
func (p *patient) checkDocument(status int, reason portsync.HealthCode) {
	t := p.Switch.T
	t.Helper()
	a := p.Request("GET", "/healthz", "Accept: application/json")
	var h struct {
		OK bool
		portsync.Health
	}
	if err := json.Unmarshal([]byte(a.Body), &h); err != nil {
		t.Fatalf("%q: %v", a.Body, err)
	}
	if a.Code != status || h.OK != (status == http.StatusOK) || h.Status != reason.Severity || h.Since.IsZero() {
		t.Errorf("/healthz answers %d %s, want %d and %s", a.Code, a.Body, status, reason.Severity)
	}
	score, found := 100, false
	for _, r := range h.Reasons {
		score -= r.Deduction
		found = found || r.Code == reason.Code && r.Severity == reason.Severity && !r.Since.IsZero() && r.Text != ""
	}
	if !found || h.Score != max(score, 0) {
		t.Errorf("score %d, want %d, and a reason %s: %s", h.Score, max(score, 0), reason.Code, a.Body)
	}
}

// awaitWell waits until there is no reason left, and that is told.
func (p *patient) awaitWell() {
	t := p.Switch.T
	t.Helper()
	switchtest.Eventually(t, 2*switchtest.Timeout, func() string {
		if a, err := p.TryRequest("GET", "/healthz"); err != nil || a.Code != 200 || a.Body != "healthy\nscore 100 of 100\n" {
			return fmt.Sprintf("/healthz answers %d %q, %v, want 200 and healthy", a.Code, a.Body, err)
		}
		return ""
	})
	values := p.Scrape()
	if got := values.Value(t, "portsyncd_healthy"); got != 1 {
		t.Errorf("portsyncd_healthy is %v, want 1", got)
	}
	for series, value := range values.Samples {
		if strings.HasPrefix(series, "portsyncd_health_reason{") && value != 0 {
			t.Errorf("%s is %v, want 0", series, value)
		}
	}
	p.awaitState("cold start", "STATUS=")
	if line := p.AwaitLog(p.lines, switchtest.Timeout, "health is healthy"); line.Severity() != 5 {
		t.Errorf("severity %d, want a notice: %s", line.Severity(), line)
	}
}

// noRate keeps failed exchanges out of what a test looks at.
const noRate = "[health]\nmax_failure_rate_percent = 100.0\n"

// TestHealthOfDatabase kills the server, and has it refuse.
func TestHealthOfDatabase(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith(noRate)
	sw.AddInterfaces(switchtest.ManyPorts)
	p := newPatient(sw, d)
	p.suffers(ailment{code: "database_down",
		begin: func() { sw.Do("APPL_DB", "SAVE"); r.Stop(); sw.CloseConns() },
		end:   func() { sw.NoError("restart", r.Restart()) }})
	sw.AwaitInSync(switchtest.Timeout)
	p.suffers(ailment{code: "database_refusing",
		begin: func() {
			sw.Do("STATE_DB", "CONFIG", "SET", "maxmemory", "1")
			sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1300))
		},
		end: func() { sw.Do("STATE_DB", "CONFIG", "SET", "maxmemory", "0") }})
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}

// TestHealthOfPorts takes the interface of a configured port away. The port stays
// visible everywhere.
func TestHealthOfPorts(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith("")
	sw.AddInterfaces(switchtest.ManyPorts)
	p := newPatient(sw, d)
	p.suffers(ailment{code: "ports_missing",
		begin: func() { sw.NoError("delete a link", sw.Links.Delete(switchtest.PortName(0))) },
		end: func() {
			for _, path := range []string{"/ports", "/status"} {
				if a := p.Request("GET", path); !strings.Contains(strings.ReplaceAll(a.Body, " ", ""), `{"name":"`+switchtest.PortName(0)+`","present":false,"init_pending":false,"state":"absent"`) {
					t.Errorf("%s does not show the port as absent: %s", path, a.Body)
				}
			}
			if a := p.Request("GET", "/healthz"); !strings.Contains(a.Body, "a configured port has no interface: "+switchtest.PortName(0)+" (-15)") {
				t.Errorf("/healthz does not name the port: %s", a.Body)
			}
			if a := p.Request("GET", "/"); !strings.Contains(a.Body, `</b> <span>absent</span>`) {
				t.Error("the page does not show the port as absent")
			}
			if r := sw.RunStatus(nil); r.Code != cli.ExitDegraded || !strings.Contains(r.Stdout, "\n"+switchtest.PortName(0)+" ") || !strings.Contains(r.Stdout, "absent") {
				t.Errorf("portsyncd status: %d\n%s", r.Code, r.Stdout)
			}
			p.AwaitValue("portsyncd_ports_missing", 1)
			p.AwaitValue(fmt.Sprintf("portsyncd_port_present{port=%q}", switchtest.PortName(0)), 0)
			sw.AddPort(switchtest.PortName(0))
		}})
	p.AwaitValue("portsyncd_ports_missing", 0)
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}

// TestHealthOfWork has the server take longer for each answer than work may wait,
// and not as long as would end the connection.
func TestHealthOfWork(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith(noRate + "max_stall_seconds = 1\n")
	sw.AddInterfaces(switchtest.ManyPorts)
	stop := func() {}
	newPatient(sw, d).suffers(ailment{code: "stalled",
		begin: func() {
			db.SetFault(lab.Fault{Delay: 1500 * time.Millisecond})
			stop = nudge(sw, 50*time.Millisecond)
		},
		end: func() {
			db.SetFault(lab.Fault{})
			stop()
		},
		recurs: true})
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}

// TestHealthOfExchanges has the server refuse writes of which there are few, and
// then answer many more.
func TestHealthOfExchanges(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith("[health]\nmax_failure_rate_percent = 10.0\n")
	sw.AddInterfaces(switchtest.ManyPorts)
	p := newPatient(sw, d)
	p.suffers(ailment{code: "failure_rate",
		begin: func() {
			db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
			sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1300))
		},
		end: func() {
			db.SetFault(lab.Fault{})
			for n := range 200 { // one at a time, so that each is an exchange
				mtu := strconv.Itoa(1400 + n)
				sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1400+n))
				switchtest.Eventually(t, switchtest.Timeout, func() string {
					if got := db.Hash(sw.Databases["STATE_DB"].Number, "PORT_TABLE|"+switchtest.PortName(0))["mtu"]; got != mtu {
						return "mtu is " + got + ", want " + mtu
					}
					return ""
				})
			}
		}})
}

// TestHealthOfAudit has another process write a port's row.
func TestHealthOfAudit(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith("[health]\naudit_interval_secs = 1\n")
	sw.AddInterfaces(switchtest.ManyPorts)
	stop := func() {}
	newPatient(sw, d).suffers(ailment{code: "audit_mismatch",
		begin: func() { stop = spoil(sw, "PORT_TABLE|"+switchtest.PortName(0)) },
		end:   func() { stop() }})
	sw.AwaitInSync(switchtest.Timeout)
}

// spoil writes a wrong field of a row of STATE_DB again and again, until the
// returned function is called.
func spoil(sw *switchtest.Switch, key string) (stop func()) {
	at := sw.Databases["STATE_DB"]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "tcp", Address: at.TCPAddress(), DB: at.Number})
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

// nudge changes a link now and then, not so often that messages are lost, until
// the returned function is called.
func nudge(sw *switchtest.Switch, every time.Duration) (stop func()) {
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

// TestHealthOfKernel has the kernel drop messages. That counts for a minute, which
// only the thorough run waits for.
func TestHealthOfKernel(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	p := newPatient(sw, d)
	p.lines, p.states = sw.Logs.Len(), d.Notifications.Len()
	d.Signal(syscall.SIGSTOP)
	sw.Overrun(switchtest.ManyPorts)
	d.Signal(syscall.SIGCONT)
	p.awaitSick("overrun")
	sw.AwaitInSync(switchtest.Timeout)
	if switchtest.LongRun() {
		p.outlast("overrun", time.Minute+switchtest.Timeout)
		p.awaitWell()
	}
}

// TestHealthOfStart has the server refuse what a start writes: that is unhealthy,
// and no change to tell of.
func TestHealthOfStart(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", sw.WriteConfig(noRate)}})
	p := newPatient(sw, d)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		a, err := p.TryRequest("GET", "/healthz")
		if err != nil || a.Code != 503 || !strings.Contains(a.Body, "\n- start_incomplete: the initial sync is not complete (-40)\n") {
			return fmt.Sprintf("/healthz answers %d %q, %v", a.Code, a.Body, err)
		}
		return ""
	})
	p.AwaitValue(`portsyncd_health_reason{code="start_incomplete"}`, 1)
	p.AwaitValue("portsyncd_healthy", 0)
	db.SetFault(lab.Fault{})
	d.AwaitReady()
	if a := p.Request("GET", "/healthz"); a.Body != "healthy\nscore 100 of 100\n" {
		t.Errorf("after the start /healthz answers %d %q", a.Code, a.Body) // nothing lingers
	}
	sw.AddInterfaces(1)
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if l.Has("health is") {
			t.Errorf("the start is told as a change of health: %s", l)
		}
	}
}

// TestHealthOfDisk has a disk that is read-only, for so long that what is on it
// is old.
func TestHealthOfDisk(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	at := sw.MountDisk()
	sw.WriteSettings("", "save_interval_secs = 1")
	d := sw.BringUpSaved(switchtest.FewPorts)
	sw.AwaitRestarts(1)
	p := newPatient(sw.Switch, d)
	p.suffers(ailment{code: "snapshot_old",
		begin: func() {
			sw.Remount(at, unix.MS_RDONLY)
			p.awaitSick("disk")
		},
		end: func() { sw.Remount(at, 0) }})
}

// TestHealthOfRestarts kills the daemon as often as SONiC starts it again. The first
// start comes after no crash.
func TestHealthOfRestarts(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	d := sw.BringUpSaved(switchtest.FewPorts)
	for n := 1; n <= 3; n++ {
		sw.AwaitRestarts(n)
		p := newPatient(sw.Switch, d)
		if a := p.AwaitCode("/healthz", 200); a.Body != "healthy\nscore 100 of 100\n" {
			t.Errorf("start %d: /healthz says %q", n, a.Body)
		}
		d.Kill()
		d = sw.StartConfigured()
	}
	newPatient(sw.Switch, d).awaitSick("restart_storm")
	if last := d.LastStatus(); !strings.Contains(last, "restart_storm") {
		t.Errorf("the service manager shows %q", last)
	}
}

// TestDeliberateRestarts: a daemon that is stopped and started again, and again on a warm
// restart that SONiC requested, is healthy, in health and in the report.
func TestDeliberateRestarts(t *testing.T) {
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
			t.Errorf("start %d: %+v, want the process before to have ended %q", n, r, want)
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
			t.Errorf("start %d: %+v, want it to be one that SONiC requested", n+1, r)
		}
	}
	if a := newPatient(sw.Switch, d).AwaitCode("/healthz", 200); a.Body != "healthy\nscore 100 of 100\n" {
		t.Errorf("/healthz says %q", a.Body)
	}
	out, err := exec.Command(sw.Binary, "report", "-c", sw.ConfigPath).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No storms of restarts or events") {
		t.Errorf("report: %v\n%s", err, out)
	}
}
