package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/lab"
)

// provoke does something again and again until a reason shows.
func (p *patient) provoke(code string, limit time.Duration, something func()) {
	p.cell.t.Helper()
	eventually(p.cell.t, limit, func() string {
		something()
		a, err := p.try("GET", "/healthz")
		if err != nil || !strings.Contains(a.body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v, want %s", a.code, a.body, err, code)
		}
		return ""
	})
}

// outlast waits until a reason is gone.
func (p *patient) outlast(code string, limit time.Duration) {
	p.cell.t.Helper()
	eventually(p.cell.t, limit, func() string {
		if a, err := p.try("GET", "/healthz"); err != nil || strings.Contains(a.body, "\n- "+code+": ") {
			return fmt.Sprintf("/healthz answers %d %q, %v", a.code, a.body, err)
		}
		return ""
	})
}

// TestHealthOfPortInitDone keeps back the interface of one port for the minute
// that PortInitDone is waited for.
func TestHealthOfPortInitDone(t *testing.T) {
	if !thorough() && !lab.Inside() {
		t.Skip("takes a minute: with PORTSYNCD_REQUIRE_INTEGRATION=1 only; TestHealthOfPortInitDone in portsync waits for less")
	}
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(2)
	d := c.startWith("")
	c.pop()
	c.addPort(portName(1))
	p := newPatient(c, d)
	p.suffers(ailment{code: "port_init_late",
		begin: func() { p.provoke("port_init_late", time.Minute+patience, func() {}) },
		end: func() {
			c.addPort(portName(0))
			c.awaitInitDone()
		},
		recurs: true})
	c.awaitInStep(patience)
	c.unharmed(d)
}
