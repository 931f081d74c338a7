package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// provoke does something again and again until a reason shows.
func (p *patient) provoke(code string, limit time.Duration, something func()) {
	p.Switch.T.Helper()
	switchtest.Eventually(p.Switch.T, limit, func() string {
		something()
		a, err := p.TryRequest("GET", "/healthz")
		if err != nil || !strings.Contains(a.Body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v, want %s", a.Code, a.Body, err, code)
		}
		return ""
	})
}

// outlast waits until a reason is gone.
func (p *patient) outlast(code string, limit time.Duration) {
	p.Switch.T.Helper()
	switchtest.Eventually(p.Switch.T, limit, func() string {
		if a, err := p.TryRequest("GET", "/healthz"); err != nil || strings.Contains(a.Body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v", a.Code, a.Body, err)
		}
		return ""
	})
}

// TestHealthOfPortInitDone keeps back the interface of one port for the minute
// that PortInitDone is waited for.
func TestHealthOfPortInitDone(t *testing.T) {
	if !switchtest.LongRun() && !lab.Inside() {
		t.Skip("takes a minute: with PORTSYNCD_REQUIRE_INTEGRATION=1 only; TestHealthOfPortInitDone in portsync waits for less")
	}
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	d := sw.StartWith("")
	sw.PopPortTable()
	sw.AddPort(switchtest.PortName(1))
	p := newPatient(sw, d)
	p.suffers(ailment{code: "port_init_late",
		begin: func() { p.provoke("port_init_late", time.Minute+switchtest.Timeout, func() {}) },
		end: func() {
			sw.AddPort(switchtest.PortName(0))
			sw.AwaitInitDone()
		},
		recurs: true})
	sw.AwaitInSync(switchtest.Timeout)
	sw.CheckAfterFault(d)
}
