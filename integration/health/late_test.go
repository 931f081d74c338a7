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
	p.Cell.T.Helper()
	switchtest.Eventually(p.Cell.T, limit, func() string {
		something()
		a, err := p.Try("GET", "/healthz")
		if err != nil || !strings.Contains(a.Body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v, want %s", a.Code, a.Body, err, code)
		}
		return ""
	})
}

// outlast waits until a reason is gone.
func (p *patient) outlast(code string, limit time.Duration) {
	p.Cell.T.Helper()
	switchtest.Eventually(p.Cell.T, limit, func() string {
		if a, err := p.Try("GET", "/healthz"); err != nil || strings.Contains(a.Body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v", a.Code, a.Body, err)
		}
		return ""
	})
}

// TestHealthOfPortInitDone keeps back the interface of one port for the minute
// that PortInitDone is waited for.
func TestHealthOfPortInitDone(t *testing.T) {
	if !switchtest.Thorough() && !lab.Inside() {
		t.Skip("takes a minute: with PORTSYNCD_REQUIRE_INTEGRATION=1 only; TestHealthOfPortInitDone in portsync waits for less")
	}
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	c.Configure(2)
	d := c.StartWith("")
	c.Pop()
	c.AddPort(switchtest.PortName(1))
	p := newPatient(c, d)
	p.suffers(ailment{code: "port_init_late",
		begin: func() { p.provoke("port_init_late", time.Minute+switchtest.Patience, func() {}) },
		end: func() {
			c.AddPort(switchtest.PortName(0))
			c.AwaitInitDone()
		},
		recurs: true})
	c.AwaitInStep(switchtest.Patience)
	c.Unharmed(d)
}
