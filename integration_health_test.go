package main

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

	"portsyncd/lab"
	"portsyncd/portsync"
	"portsyncd/sonicdb"
	"portsyncd/warmrestart"
)

// These tests cause what health tells of on the running daemon, one thing after
// the other, and look at all places where it shows.

// healthLingers is how long a reason stays after its end.
const healthLingers = 2 * time.Second

// patient is a daemon whose health is looked at.
type patient struct {
	*cell
	*site
	d             *program
	lines, states int // what was said before the fault
}

// newPatient is for a daemon that runs.
func newPatient(c *cell, d *program) *patient {
	return &patient{cell: c, site: newSite(c.t, httpAddress), d: d}
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
	p.cell.t.Helper()
	p.lines, p.states = p.logs.len(), p.d.states.len()
	a.begin()
	p.awaitSick(a.code)
	ending := time.Now()
	a.end()
	body := p.ask("GET", "/healthz").body
	if !a.recurs && time.Since(ending) < healthLingers/4 && !strings.Contains(body, "\n- "+a.code+": ") {
		p.cell.t.Errorf("%s does not linger: /healthz says %q", a.code, body)
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
	t := p.cell.t
	t.Helper()
	reason := severityOf(t, code)
	status, healthy, severity := http.StatusOK, 1.0, 5
	if reason.Severity == portsync.Unhealthy {
		status, healthy, severity = http.StatusServiceUnavailable, 0, 3
	}
	eventually(t, patience, func() string {
		a, err := p.try("GET", "/healthz")
		if err != nil || a.code != status || !strings.HasPrefix(a.body, reason.Severity+"\nscore ") ||
			!strings.Contains(a.body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v, want %d with %s", a.code, a.body, err, status, code)
		}
		if want := fmt.Sprintf(" (-%d)\n", reason.Deduction); !strings.Contains(a.body, want) {
			return fmt.Sprintf("no %q in %q", want, a.body)
		}
		return ""
	})
	p.checkDocument(status, reason)
	values := p.scrape()
	if got := values.value(t, "portsyncd_healthy"); got != healthy {
		t.Errorf("%s: portsyncd_healthy is %v, want %v", code, got, healthy)
	}
	if got := values.value(t, fmt.Sprintf("portsyncd_health_reason{code=%q}", code)); got != 1 {
		t.Errorf("%s: its series is %v, want 1", code, got)
	}
	p.awaitState(code, "STATUS="+reason.Severity+", score ")
	line := p.awaitLog(p.lines, patience, "health is "+reason.Severity, code)
	if line.severity() != severity {
		t.Errorf("severity %d, want %d: %s", line.severity(), severity, line)
	}
}

// awaitState waits for a notification since the fault that begins with a prefix
// and names a code.
func (p *patient) awaitState(code, prefix string) {
	p.cell.t.Helper()
	_, ok := p.d.states.await(p.states, patience, func(s string) bool {
		return strings.HasPrefix(s, prefix) && strings.Contains(s, code)
	})
	if !ok {
		all, _ := p.d.states.from(p.states)
		p.cell.t.Errorf("no notification %s with %q within %v, only %q", prefix, code, patience, all)
	}
}

// checkDocument asks for /healthz as JSON.
func (p *patient) checkDocument(status int, reason portsync.HealthCode) {
	t := p.cell.t
	t.Helper()
	a := p.ask("GET", "/healthz", "Accept: application/json")
	var h struct {
		OK bool
		portsync.Health
	}
	if err := json.Unmarshal([]byte(a.body), &h); err != nil {
		t.Fatalf("%q: %v", a.body, err)
	}
	if a.code != status || h.OK != (status == http.StatusOK) || h.Status != reason.Severity || h.Since.IsZero() {
		t.Errorf("/healthz answers %d %s, want %d and %s", a.code, a.body, status, reason.Severity)
	}
	score, found := 100, false
	for _, r := range h.Reasons {
		score -= r.Deduction
		found = found || r.Code == reason.Code && r.Severity == reason.Severity && !r.Since.IsZero() && r.Text != ""
	}
	if !found || h.Score != max(score, 0) {
		t.Errorf("score %d, want %d, and a reason %s: %s", h.Score, max(score, 0), reason.Code, a.body)
	}
}

// awaitWell waits until there is no reason left, and that is told.
func (p *patient) awaitWell() {
	t := p.cell.t
	t.Helper()
	eventually(t, 2*patience, func() string {
		if a, err := p.try("GET", "/healthz"); err != nil || a.code != 200 || a.body != "healthy\nscore 100 of 100\n" {
			return fmt.Sprintf("/healthz answers %d %q, %v, want 200 and healthy", a.code, a.body, err)
		}
		return ""
	})
	values := p.scrape()
	if got := values.value(t, "portsyncd_healthy"); got != 1 {
		t.Errorf("portsyncd_healthy is %v, want 1", got)
	}
	for series, value := range values.samples {
		if strings.HasPrefix(series, "portsyncd_health_reason{") && value != 0 {
			t.Errorf("%s is %v, want 0", series, value)
		}
	}
	p.awaitState("cold start", "STATUS=")
	if line := p.awaitLog(p.lines, patience, "health is healthy"); line.severity() != 5 {
		t.Errorf("severity %d, want a notice: %s", line.severity(), line)
	}
}

// noRate keeps failed exchanges out of what a test looks at.
const noRate = "[health]\nmax_failure_rate_percent = 100.0\n"

// TestHealthOfDatabase kills the server, and has it refuse.
func TestHealthOfDatabase(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	c.configure(faultPorts)
	d := c.startWith(noRate)
	c.plug(faultPorts)
	p := newPatient(c, d)
	p.suffers(ailment{code: "database_down",
		begin: func() { c.do("APPL_DB", "SAVE"); r.kill(); c.hangUp() },
		end:   func() { c.must("restart", r.again()) }})
	c.awaitInStep(patience)
	p.suffers(ailment{code: "database_refusing",
		begin: func() {
			c.do("STATE_DB", "CONFIG", "SET", "maxmemory", "1")
			c.must("set MTU", c.links.SetMTU(portName(0), 1300))
		},
		end: func() { c.do("STATE_DB", "CONFIG", "SET", "maxmemory", "0") }})
	c.awaitInStep(patience)
	c.unharmed(d)
}

// TestHealthOfPorts takes the interface of a configured port away. The port stays
// visible everywhere.
func TestHealthOfPorts(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(faultPorts)
	d := c.startWith("")
	c.plug(faultPorts)
	p := newPatient(c, d)
	p.suffers(ailment{code: "ports_missing",
		begin: func() { c.must("delete a link", c.links.Delete(portName(0))) },
		end: func() {
			for _, path := range []string{"/ports", "/status"} {
				if a := p.ask("GET", path); !strings.Contains(strings.ReplaceAll(a.body, " ", ""), `{"name":"`+portName(0)+`","present":false,"awaited":false,"state":"absent"`) {
					t.Errorf("%s does not show the port as absent: %s", path, a.body)
				}
			}
			if a := p.ask("GET", "/healthz"); !strings.Contains(a.body, "a configured port has no interface: "+portName(0)+" (-15)") {
				t.Errorf("/healthz does not name the port: %s", a.body)
			}
			if a := p.ask("GET", "/"); !strings.Contains(a.body, `</b> <span>absent</span>`) {
				t.Error("the page does not show the port as absent")
			}
			if r := c.status(nil); r.code != exitDegraded || !strings.Contains(r.stdout, "\n"+portName(0)+" ") || !strings.Contains(r.stdout, "absent") {
				t.Errorf("portsyncd status: %d\n%s", r.code, r.stdout)
			}
			p.awaitValue("portsyncd_ports_missing", 1)
			p.awaitValue(fmt.Sprintf("portsyncd_port_present{port=%q}", portName(0)), 0)
			c.addPort(portName(0))
		}})
	p.awaitValue("portsyncd_ports_missing", 0)
	c.awaitInStep(patience)
	c.unharmed(d)
}

// TestHealthOfWork has the server take longer for each answer than work may wait,
// and not as long as would end the connection.
func TestHealthOfWork(t *testing.T) {
	c, db := newLabCell(t)
	if c == nil {
		return
	}
	c.configure(faultPorts)
	d := c.startWith(noRate + "max_stall_seconds = 1\n")
	c.plug(faultPorts)
	stop := func() {}
	newPatient(c, d).suffers(ailment{code: "stalled",
		begin: func() {
			db.SetFault(lab.Fault{Delay: 1500 * time.Millisecond})
			stop = c.nudge(50 * time.Millisecond)
		},
		end: func() {
			db.SetFault(lab.Fault{})
			stop()
		},
		recurs: true})
	c.awaitInStep(patience)
	c.unharmed(d)
}

// TestHealthOfExchanges has the server refuse writes of which there are few, and
// then answer many more.
func TestHealthOfExchanges(t *testing.T) {
	c, db := newLabCell(t)
	if c == nil {
		return
	}
	c.configure(faultPorts)
	d := c.startWith("[health]\nmax_failure_rate_percent = 10.0\n")
	c.plug(faultPorts)
	p := newPatient(c, d)
	p.suffers(ailment{code: "failure_rate",
		begin: func() {
			db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
			c.must("set MTU", c.links.SetMTU(portName(0), 1300))
		},
		end: func() {
			db.SetFault(lab.Fault{})
			for n := range 200 { // one at a time, so that each is an exchange
				mtu := strconv.Itoa(1400 + n)
				c.must("set MTU", c.links.SetMTU(portName(0), 1400+n))
				eventually(t, patience, func() string {
					if got := db.Hash(c.places["STATE_DB"].number, "PORT_TABLE|"+portName(0))["mtu"]; got != mtu {
						return "mtu is " + got + ", want " + mtu
					}
					return ""
				})
			}
		}})
}

// TestHealthOfAudit has another process write a port's row.
func TestHealthOfAudit(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(faultPorts)
	d := c.startWith("[health]\naudit_interval_secs = 1\n")
	c.plug(faultPorts)
	stop := func() {}
	newPatient(c, d).suffers(ailment{code: "audit_mismatch",
		begin: func() { stop = c.spoil("PORT_TABLE|" + portName(0)) },
		end:   func() { stop() }})
	c.awaitInStep(patience)
}

// spoil writes a wrong field of a row of STATE_DB again and again, until the
// returned function is called.
func (c *cell) spoil(key string) (stop func()) {
	at := c.places["STATE_DB"]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "tcp", Address: at.tcp(), DB: at.number})
	c.must("connect to STATE_DB", err)
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
		c.must("write the row", err)
	}
}

// nudge changes a link now and then, not so often that messages are lost, until
// the returned function is called.
func (c *cell) nudge(every time.Duration) (stop func()) {
	links, quit, ended := dialLinks(c.t), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for mtu := 1400; ; mtu = 1400 + (mtu+1)%100 {
			links.SetMTU(portName(0), mtu)
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
	c := newCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	p := newPatient(c, d)
	p.lines, p.states = c.logs.len(), d.states.len()
	d.signal(syscall.SIGSTOP)
	c.overrun(faultPorts)
	d.signal(syscall.SIGCONT)
	p.awaitSick("overrun")
	c.awaitInStep(patience)
	if thorough() {
		p.outlast("overrun", time.Minute+patience)
		p.awaitWell()
	}
}

// TestHealthOfStart has the server refuse what a start writes: that is unhealthy,
// and no change to tell of.
func TestHealthOfStart(t *testing.T) {
	c, db := newLabCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	d := c.start(launch{args: []string{"-c", c.config(noRate)}})
	p := newPatient(c, d)
	eventually(t, patience, func() string {
		a, err := p.try("GET", "/healthz")
		if err != nil || a.code != 503 || !strings.Contains(a.body, "\n- start_incomplete: the initial sync is not complete (-40)\n") {
			return fmt.Sprintf("/healthz answers %d %q, %v", a.code, a.body, err)
		}
		return ""
	})
	p.awaitValue(`portsyncd_health_reason{code="start_incomplete"}`, 1)
	p.awaitValue("portsyncd_healthy", 0)
	db.SetFault(lab.Fault{})
	d.awaitReady()
	if a := p.ask("GET", "/healthz"); a.body != "healthy\nscore 100 of 100\n" {
		t.Errorf("after the start /healthz answers %d %q", a.code, a.body) // nothing lingers
	}
	c.plug(1)
	lines, _ := c.logs.from(0)
	for _, l := range lines {
		if l.has("health is") {
			t.Errorf("the start is told as a change of health: %s", l)
		}
	}
}

// TestHealthOfDisk has a disk that is read-only, for so long that what is on it
// is old.
func TestHealthOfDisk(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	at := k.mountDisk()
	k.write("", "save_interval_secs = 1")
	d := k.settle(warmPorts)
	k.awaitRecord(1)
	p := newPatient(k.cell, d)
	p.suffers(ailment{code: "snapshot_old",
		begin: func() {
			k.remount(at, unix.MS_RDONLY)
			p.awaitSick("disk")
		},
		end: func() { k.remount(at, 0) }})
}

// TestHealthOfRestarts kills the daemon as often as SONiC starts it again. The first
// start comes after no crash.
func TestHealthOfRestarts(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	d := k.settle(warmPorts)
	for n := 1; n <= 3; n++ {
		k.awaitRecord(n)
		p := newPatient(k.cell, d)
		if a := p.await("/healthz", 200); a.body != "healthy\nscore 100 of 100\n" {
			t.Errorf("start %d: /healthz says %q", n, a.body)
		}
		d.kill()
		d = k.launch()
	}
	newPatient(k.cell, d).awaitSick("restart_storm")
	if last := d.lastStatus(); !strings.Contains(last, "restart_storm") {
		t.Errorf("the service manager shows %q", last)
	}
}

// TestDeliberateRestarts: a daemon that is stopped and started again, and again on a warm
// restart that SONiC requested, is healthy, in health and in the report.
func TestDeliberateRestarts(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	d := k.settle(warmPorts)
	for n := 1; n <= 4; n++ {
		want := warmrestart.Stopped
		if n == 1 {
			want = ""
		}
		if r := k.awaitRecord(n); r.Ended != want || r.Requested {
			t.Errorf("start %d: %+v, want the process before to have ended %q", n, r, want)
		}
		d.signal(syscall.SIGTERM)
		d.wait(patience)
		d = k.launch()
	}
	k.do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
	for n := 5; n <= 7; n++ {
		k.awaitRecord(n)
		d.kill() // as SONiC ends the container
		d = k.launch()
		if r := k.awaitRecord(n + 1); !r.Requested {
			t.Errorf("start %d: %+v, want it to be one that SONiC requested", n+1, r)
		}
	}
	if a := newPatient(k.cell, d).await("/healthz", 200); a.body != "healthy\nscore 100 of 100\n" {
		t.Errorf("/healthz says %q", a.body)
	}
	out, err := exec.Command(k.binary, "report", "-c", k.conf).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No storms of restarts or events") {
		t.Errorf("report: %v\n%s", err, out)
	}
}
