package main

import (
	"fmt"
	"strings"
	"sync"
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

// TestHealthOfDumps has interfaces come and go without a pause, so that for a
// second the kernel declares each dump interrupted.
func TestHealthOfDumps(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(faultPorts)
	d := c.startWith("[health]\naudit_interval_secs = 0\n")
	c.plug(faultPorts)
	stop := func() {}
	p := newPatient(c, d)
	p.suffers(ailment{code: "dump_incomplete",
		begin: func() {
			stop = c.comeAndGo()
			p.provoke("dump_incomplete", 3*patience, func() {
				c.do("STATE_DB", "FLUSHDB") // has the daemon dump the links, unless it still does
			})
		},
		end:    func() { stop() },
		recurs: true})
	c.recovered("dumps that were interrupted for a second")
	c.unharmed(d)
}

// comeAndGo makes and deletes interfaces until the returned function is called.
// There are so many at it that one always waits for the kernel's lock, which a dump
// gives away after each of its datagrams, and so many interfaces that these are
// some dozens.
func (c *cell) comeAndGo() (stop func()) {
	const workers, each = 8, 50
	quit := make(chan struct{})
	var all sync.WaitGroup
	for n := range workers {
		links := dialLinks(c.t)
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-quit:
					return
				default:
				}
				name := fmt.Sprintf("spare%d.%d", n, i%each)
				if i >= each {
					links.Delete(name)
				}
				links.AddVeth(name, name+"p")
			}
		})
	}
	return func() {
		close(quit)
		all.Wait()
	}
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
