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
	*switchtest.Cell
	*switchtest.Site
	d             *switchtest.Program
	lines, states int // what was said before the fault
}

// newPatient is for a daemon that runs.
func newPatient(c *switchtest.Cell, d *switchtest.Program) *patient {
	return &patient{Cell: c, Site: switchtest.NewSite(c.T, switchtest.HttpAddress), d: d}
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
	p.Cell.T.Helper()
	p.lines, p.states = p.Logs.Len(), p.d.States.Len()
	a.begin()
	p.awaitSick(a.code)
	ending := time.Now()
	a.end()
	body := p.Ask("GET", "/healthz").Body
	if !a.recurs && time.Since(ending) < switchtest.HealthLingers/4 && !strings.Contains(body, "\n- "+a.code+": ") {
		p.Cell.T.Errorf("%s does not linger: /healthz says %q", a.code, body)
	}
	p.awaitWell()
}

// severityOf returns what a reason of a code does.
func severityOf(t *testing.T, code string) portsync.HealthCode {
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
	t := p.Cell.T
	t.Helper()
	reason := severityOf(t, code)
	status, healthy, severity := http.StatusOK, 1.0, 5
	if reason.Severity == portsync.Unhealthy {
		status, healthy, severity = http.StatusServiceUnavailable, 0, 3
	}
	switchtest.Eventually(t, switchtest.Patience, func() string {
		a, err := p.Try("GET", "/healthz")
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
	line := p.AwaitLog(p.lines, switchtest.Patience, "health is "+reason.Severity, code)
	if line.Severity() != severity {
		t.Errorf("severity %d, want %d: %s", line.Severity(), severity, line)
	}
}

// AwaitState waits for a notification since the fault that begins with a prefix
// and names a code.
func (p *patient) awaitState(code, prefix string) {
	p.Cell.T.Helper()
	_, ok := p.d.States.Await(p.states, switchtest.Patience, func(s string) bool {
		return strings.HasPrefix(s, prefix) && strings.Contains(s, code)
	})
	if !ok {
		all, _ := p.d.States.From(p.states)
		p.Cell.T.Errorf("no notification %s with %q within %v, only %q", prefix, code, switchtest.Patience, all)
	}
}

// checkDocument asks for /healthz as JSON.
func (p *patient) checkDocument(status int, reason portsync.HealthCode) {
	t := p.Cell.T
	t.Helper()
	a := p.Ask("GET", "/healthz", "Accept: application/json")
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
	t := p.Cell.T
	t.Helper()
	switchtest.Eventually(t, 2*switchtest.Patience, func() string {
		if a, err := p.Try("GET", "/healthz"); err != nil || a.Code != 200 || a.Body != "healthy\nscore 100 of 100\n" {
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
	if line := p.AwaitLog(p.lines, switchtest.Patience, "health is healthy"); line.Severity() != 5 {
		t.Errorf("severity %d, want a notice: %s", line.Severity(), line)
	}
}

// noRate keeps failed exchanges out of what a test looks at.
const noRate = "[health]\nmax_failure_rate_percent = 100.0\n"

// TestHealthOfDatabase kills the server, and has it refuse.
func TestHealthOfDatabase(t *testing.T) {
	c, r := switchtest.NewRedisCell(t)
	if c == nil {
		return
	}
	c.Configure(switchtest.FaultPorts)
	d := c.StartWith(noRate)
	c.Plug(switchtest.FaultPorts)
	p := newPatient(c, d)
	p.suffers(ailment{code: "database_down",
		begin: func() { c.Do("APPL_DB", "SAVE"); r.Kill(); c.HangUp() },
		end:   func() { c.Must("restart", r.Again()) }})
	c.AwaitInStep(switchtest.Patience)
	p.suffers(ailment{code: "database_refusing",
		begin: func() {
			c.Do("STATE_DB", "CONFIG", "SET", "maxmemory", "1")
			c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(0), 1300))
		},
		end: func() { c.Do("STATE_DB", "CONFIG", "SET", "maxmemory", "0") }})
	c.AwaitInStep(switchtest.Patience)
	c.Unharmed(d)
}

// TestHealthOfPorts takes the interface of a configured port away. The port stays
// visible everywhere.
func TestHealthOfPorts(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	c.Configure(switchtest.FaultPorts)
	d := c.StartWith("")
	c.Plug(switchtest.FaultPorts)
	p := newPatient(c, d)
	p.suffers(ailment{code: "ports_missing",
		begin: func() { c.Must("delete a link", c.Links.Delete(switchtest.PortName(0))) },
		end: func() {
			for _, path := range []string{"/ports", "/status"} {
				if a := p.Ask("GET", path); !strings.Contains(strings.ReplaceAll(a.Body, " ", ""), `{"name":"`+switchtest.PortName(0)+`","present":false,"awaited":false,"state":"absent"`) {
					t.Errorf("%s does not show the port as absent: %s", path, a.Body)
				}
			}
			if a := p.Ask("GET", "/healthz"); !strings.Contains(a.Body, "a configured port has no interface: "+switchtest.PortName(0)+" (-15)") {
				t.Errorf("/healthz does not name the port: %s", a.Body)
			}
			if a := p.Ask("GET", "/"); !strings.Contains(a.Body, `</b> <span>absent</span>`) {
				t.Error("the page does not show the port as absent")
			}
			if r := c.Status(nil); r.Code != cli.ExitDegraded || !strings.Contains(r.Stdout, "\n"+switchtest.PortName(0)+" ") || !strings.Contains(r.Stdout, "absent") {
				t.Errorf("portsyncd status: %d\n%s", r.Code, r.Stdout)
			}
			p.AwaitValue("portsyncd_ports_missing", 1)
			p.AwaitValue(fmt.Sprintf("portsyncd_port_present{port=%q}", switchtest.PortName(0)), 0)
			c.AddPort(switchtest.PortName(0))
		}})
	p.AwaitValue("portsyncd_ports_missing", 0)
	c.AwaitInStep(switchtest.Patience)
	c.Unharmed(d)
}

// TestHealthOfWork has the server take longer for each answer than work may wait,
// and not as long as would end the connection.
func TestHealthOfWork(t *testing.T) {
	c, db := switchtest.NewLabCell(t)
	if c == nil {
		return
	}
	c.Configure(switchtest.FaultPorts)
	d := c.StartWith(noRate + "max_stall_seconds = 1\n")
	c.Plug(switchtest.FaultPorts)
	stop := func() {}
	newPatient(c, d).suffers(ailment{code: "stalled",
		begin: func() {
			db.SetFault(lab.Fault{Delay: 1500 * time.Millisecond})
			stop = nudge(c, 50*time.Millisecond)
		},
		end: func() {
			db.SetFault(lab.Fault{})
			stop()
		},
		recurs: true})
	c.AwaitInStep(switchtest.Patience)
	c.Unharmed(d)
}

// TestHealthOfExchanges has the server refuse writes of which there are few, and
// then answer many more.
func TestHealthOfExchanges(t *testing.T) {
	c, db := switchtest.NewLabCell(t)
	if c == nil {
		return
	}
	c.Configure(switchtest.FaultPorts)
	d := c.StartWith("[health]\nmax_failure_rate_percent = 10.0\n")
	c.Plug(switchtest.FaultPorts)
	p := newPatient(c, d)
	p.suffers(ailment{code: "failure_rate",
		begin: func() {
			db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
			c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(0), 1300))
		},
		end: func() {
			db.SetFault(lab.Fault{})
			for n := range 200 { // one at a time, so that each is an exchange
				mtu := strconv.Itoa(1400 + n)
				c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(0), 1400+n))
				switchtest.Eventually(t, switchtest.Patience, func() string {
					if got := db.Hash(c.Places["STATE_DB"].Number, "PORT_TABLE|"+switchtest.PortName(0))["mtu"]; got != mtu {
						return "mtu is " + got + ", want " + mtu
					}
					return ""
				})
			}
		}})
}

// TestHealthOfAudit has another process write a port's row.
func TestHealthOfAudit(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	c.Configure(switchtest.FaultPorts)
	d := c.StartWith("[health]\naudit_interval_secs = 1\n")
	c.Plug(switchtest.FaultPorts)
	stop := func() {}
	newPatient(c, d).suffers(ailment{code: "audit_mismatch",
		begin: func() { stop = spoil(c, "PORT_TABLE|"+switchtest.PortName(0)) },
		end:   func() { stop() }})
	c.AwaitInStep(switchtest.Patience)
}

// spoil writes a wrong field of a row of STATE_DB again and again, until the
// returned function is called.
func spoil(c *switchtest.Cell, key string) (stop func()) {
	at := c.Places["STATE_DB"]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "tcp", Address: at.Tcp(), DB: at.Number})
	c.Must("connect to STATE_DB", err)
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
		c.Must("write the row", err)
	}
}

// nudge changes a link now and then, not so often that messages are lost, until
// the returned function is called.
func nudge(c *switchtest.Cell, every time.Duration) (stop func()) {
	links, quit, ended := switchtest.DialLinks(c.T), make(chan struct{}), make(chan struct{})
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
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	p := newPatient(c, d)
	p.lines, p.states = c.Logs.Len(), d.States.Len()
	d.Signal(syscall.SIGSTOP)
	c.Overrun(switchtest.FaultPorts)
	d.Signal(syscall.SIGCONT)
	p.awaitSick("overrun")
	c.AwaitInStep(switchtest.Patience)
	if switchtest.Thorough() {
		p.outlast("overrun", time.Minute+switchtest.Patience)
		p.awaitWell()
	}
}

// TestHealthOfStart has the server refuse what a start writes: that is unhealthy,
// and no change to tell of.
func TestHealthOfStart(t *testing.T) {
	c, db := switchtest.NewLabCell(t)
	if c == nil {
		return
	}
	c.Configure(1)
	db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	d := c.Start(switchtest.Launch{Args: []string{"-c", c.Config(noRate)}})
	p := newPatient(c, d)
	switchtest.Eventually(t, switchtest.Patience, func() string {
		a, err := p.Try("GET", "/healthz")
		if err != nil || a.Code != 503 || !strings.Contains(a.Body, "\n- start_incomplete: the initial sync is not complete (-40)\n") {
			return fmt.Sprintf("/healthz answers %d %q, %v", a.Code, a.Body, err)
		}
		return ""
	})
	p.AwaitValue(`portsyncd_health_reason{code="start_incomplete"}`, 1)
	p.AwaitValue("portsyncd_healthy", 0)
	db.SetFault(lab.Fault{})
	d.AwaitReady()
	if a := p.Ask("GET", "/healthz"); a.Body != "healthy\nscore 100 of 100\n" {
		t.Errorf("after the start /healthz answers %d %q", a.Code, a.Body) // nothing lingers
	}
	c.Plug(1)
	lines, _ := c.Logs.From(0)
	for _, l := range lines {
		if l.Has("health is") {
			t.Errorf("the start is told as a change of health: %s", l)
		}
	}
}

// TestHealthOfDisk has a disk that is read-only, for so long that what is on it
// is old.
func TestHealthOfDisk(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	at := k.MountDisk()
	k.Write("", "save_interval_secs = 1")
	d := k.Settle(switchtest.WarmPorts)
	k.AwaitRecord(1)
	p := newPatient(k.Cell, d)
	p.suffers(ailment{code: "snapshot_old",
		begin: func() {
			k.Remount(at, unix.MS_RDONLY)
			p.awaitSick("disk")
		},
		end: func() { k.Remount(at, 0) }})
}

// TestHealthOfRestarts kills the daemon as often as SONiC starts it again. The first
// start comes after no crash.
func TestHealthOfRestarts(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	d := k.Settle(switchtest.WarmPorts)
	for n := 1; n <= 3; n++ {
		k.AwaitRecord(n)
		p := newPatient(k.Cell, d)
		if a := p.Await("/healthz", 200); a.Body != "healthy\nscore 100 of 100\n" {
			t.Errorf("start %d: /healthz says %q", n, a.Body)
		}
		d.Kill()
		d = k.Launch()
	}
	newPatient(k.Cell, d).awaitSick("restart_storm")
	if last := d.LastStatus(); !strings.Contains(last, "restart_storm") {
		t.Errorf("the service manager shows %q", last)
	}
}

// TestDeliberateRestarts: a daemon that is stopped and started again, and again on a warm
// restart that SONiC requested, is healthy, in health and in the report.
func TestDeliberateRestarts(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	d := k.Settle(switchtest.WarmPorts)
	for n := 1; n <= 4; n++ {
		want := warmrestart.Stopped
		if n == 1 {
			want = ""
		}
		if r := k.AwaitRecord(n); r.Ended != want || r.Requested {
			t.Errorf("start %d: %+v, want the process before to have ended %q", n, r, want)
		}
		d.Signal(syscall.SIGTERM)
		d.Wait(switchtest.Patience)
		d = k.Launch()
	}
	k.Do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
	for n := 5; n <= 7; n++ {
		k.AwaitRecord(n)
		d.Kill() // as SONiC ends the container
		d = k.Launch()
		if r := k.AwaitRecord(n + 1); !r.Requested {
			t.Errorf("start %d: %+v, want it to be one that SONiC requested", n+1, r)
		}
	}
	if a := newPatient(k.Cell, d).Await("/healthz", 200); a.Body != "healthy\nscore 100 of 100\n" {
		t.Errorf("/healthz says %q", a.Body)
	}
	out, err := exec.Command(k.Binary, "report", "-c", k.Conf).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No storms of restarts or events") {
		t.Errorf("report: %v\n%s", err, out)
	}
}
