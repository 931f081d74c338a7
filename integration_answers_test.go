package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/lab"
)

// These tests make the server answer badly, or only in part, while link
// messages flow (PROTOCOL.md D3 and D4). The outcome of what was not answered is
// unknown to the daemon; within a second of the fault's end STATE_DB equals the
// kernel.

// faultLasts is how long a fault is in force: for the daemon to run into it, to
// reconnect, and to run into it again.
const faultLasts = 300 * time.Millisecond

// through changes links while a fault is in force, and checks the recovery.
func (c *cell) through(d *program, what string, begin, end func()) {
	c.t.Helper()
	stop := c.churn()
	begin()
	c.must("set down", c.links.SetUp(portName(2), false))
	c.must("delete", c.links.Delete(portName(1)))
	time.Sleep(faultLasts)
	c.addPort(portName(1))
	c.must("set up", c.links.SetUp(portName(2), true))
	stop()
	end()
	c.recovered(what)
	c.survived(d)
}

// TestErrorReplies has the server refuse everything, or every write, for a
// while.
func TestErrorReplies(t *testing.T) {
	c, db := newLabCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	for _, f := range []lab.Fault{
		{Error: lab.Loading},
		{Error: lab.Busy},
		{Error: lab.OutOfMemory, WritesOnly: true},
		{Error: lab.ReadOnly, WritesOnly: true},
		{Error: "ERR something nobody has heard of", WritesOnly: true},
		{Error: "NOSCRIPT No matching script. Please use EVAL.", WritesOnly: true},
		{Error: "WRONGTYPE Operation against a key holding the wrong kind of value", WritesOnly: true},
		{Error: "ERR max number of clients reached"},
		{Delay: 100 * time.Millisecond},
	} {
		// The test's own commands would run into the fault as well.
		c.through(d, fmt.Sprintf("%q %v", f.Error, f.Delay),
			func() { db.SetFault(f) }, func() { db.SetFault(lab.Fault{}) })
	}
	if n := c.faultLines(); n > 2000 {
		t.Errorf("%d log lines: a repeating fault floods the log", n)
	}
	c.unharmed(d, "failure_rate")
}

// TestErrorRepliesAtStart has the server refuse while the daemon starts: with
// LOADING, as a server does that was just started, and with OOM.
func TestErrorRepliesAtStart(t *testing.T) {
	c, db := newLabCell(t)
	if c == nil {
		return
	}
	c.configure(faultPorts)
	db.SetFault(lab.Fault{Error: lab.Loading})
	d := c.start(launch{})
	d.awaitState(0, patience, "STATUS=waiting for the databases")
	d.awaitState(0, patience, "EXTEND_TIMEOUT_USEC=")
	db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	time.Sleep(faultLasts)
	if states, _ := d.states.from(0); strings.Contains(fmt.Sprint(states), "READY=1") {
		t.Error("ready although nothing could be written")
	}
	db.SetFault(lab.Fault{})
	d.awaitReady()
	if row := c.row("CONFIG_DB", "LOGGER|portsyncd"); row["LOGLEVEL"] != "NOTICE" {
		t.Errorf("the LOGGER row is %v", row)
	}
	if n := c.pop(); n != faultPorts+1 {
		t.Errorf("%d rows are produced, want %d ports and PortConfigDone", n, faultPorts)
	}
	for n := range faultPorts {
		c.addPort(portName(n))
	}
	c.awaitInitDone()
	c.recovered("refused start")
	c.unharmed(d)
}

// TestLoadingEmpty restarts the server with CONFIG_DB only, and has it load for
// a while: the daemon must find out only then that orchagent lost everything.
func TestLoadingEmpty(t *testing.T) {
	c, db := newLabCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	db.SetFault(lab.Fault{Error: lab.Loading})
	db.Disconnect()
	c.hangUp()
	for _, name := range []string{"APPL_DB", "STATE_DB"} {
		if _, err := db.Do(c.places[name].number, "FLUSHDB"); err != nil {
			t.Fatal(err)
		}
	}
	c.awaitLog(0, patience, "LOADING")
	db.SetFault(lab.Fault{})
	c.producedAgain(d)
}

// TestCutConnection cuts connections in the middle: after so many bytes of a
// request (half a pipeline arrives), or of the replies (half an answer does).
func TestCutConnection(t *testing.T) {
	c, p := newProxyCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	for _, f := range []proxyFault{
		{requests: 1}, {requests: 100}, {requests: 333}, {requests: 1000}, {requests: 5000},
		{replies: 1}, {replies: 5}, {replies: 50}, {replies: 200},
		{replies: 20, garbage: "HTTP/1.1 400 Bad Request\r\n\r\n"},
		{replies: 20, garbage: "$999999999999\r\n"},
		{replies: 20, garbage: "*-7\r\n"},
	} {
		c.through(d, fmt.Sprintf("%+v", f), func() { p.set(f) }, func() { p.set(proxyFault{}) })
	}
	c.unharmed(d, "failure_rate")
}

// TestHeldConnection has a server that stops in the middle of an answer and
// keeps the connection: the daemon must not wait for the rest for ever.
func TestHeldConnection(t *testing.T) {
	c, p := newProxyCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	p.set(proxyFault{replies: 3, hold: true})
	c.must("set MTU", c.links.SetMTU(portName(0), 1400))
	c.awaitLog(0, patience, "Redis connection lost")
	p.set(proxyFault{})
	c.recovered("held connection")
	c.unharmed(d)
}

// TestCutStart cuts the connection again and again while the daemon starts:
// whatever was done before the cut, the ports are produced, whole and once
// each, and PortInitDone comes.
func TestCutStart(t *testing.T) {
	alongside(t)
	for _, after := range []int{40, 400, 1500, 3000} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			c, p := newProxyCell(t)
			if c == nil {
				return
			}
			c.configure(faultPorts)
			p.set(proxyFault{requests: after})
			d := c.start(launch{})
			c.awaitLog(0, patience, "Redis") // it has noticed a cut
			p.set(proxyFault{})
			d.awaitReady()
			if n := c.pop(); n != faultPorts+1 {
				t.Errorf("%d rows are produced, want %d ports and PortConfigDone", n, faultPorts)
			}
			for n := range faultPorts {
				name := portName(n)
				if row := c.row("APPL_DB", "PORT_TABLE:"+name); len(row) != 5 || row["mtu"] != "9100" {
					t.Errorf("row of %s: %v", name, row)
				}
				c.addPort(name)
			}
			c.awaitInitDone()
			c.recovered("cut start")
			c.unharmed(d, "failure_rate")
		})
	}
}
