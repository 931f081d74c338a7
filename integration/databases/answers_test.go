package databases

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// These tests make the server answer badly, or only in part, while link
// messages flow (PROTOCOL.md D3 and D4). The outcome of what was not answered is
// unknown to the daemon; within a second of the fault's end STATE_DB equals the
// kernel.

// TestErrorReplies has the server refuse everything, or every write, for a
// while.
func TestErrorReplies(t *testing.T) {
	c, db := switchtest.NewLabCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
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
		c.Through(d, fmt.Sprintf("%q %v", f.Error, f.Delay),
			func() { db.SetFault(f) }, func() { db.SetFault(lab.Fault{}) })
	}
	if n := c.FaultLines(); n > 2000 {
		t.Errorf("%d log lines: a repeating fault floods the log", n)
	}
	c.Unharmed(d, "failure_rate")
}

// TestErrorRepliesAtStart has the server refuse while the daemon starts: with
// LOADING, as a server does that was just started, and with OOM.
func TestErrorRepliesAtStart(t *testing.T) {
	c, db := switchtest.NewLabCell(t)
	if c == nil {
		return
	}
	c.Configure(switchtest.FaultPorts)
	db.SetFault(lab.Fault{Error: lab.Loading})
	d := c.Start(switchtest.Launch{})
	d.AwaitState(0, switchtest.Patience, "STATUS=waiting for the databases")
	d.AwaitState(0, switchtest.Patience, "EXTEND_TIMEOUT_USEC=")
	db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	time.Sleep(switchtest.FaultLasts)
	if states, _ := d.States.From(0); strings.Contains(fmt.Sprint(states), "READY=1") {
		t.Error("ready although nothing could be written")
	}
	db.SetFault(lab.Fault{})
	d.AwaitReady()
	if row := c.Row("CONFIG_DB", "LOGGER|portsyncd"); row["LOGLEVEL"] != "NOTICE" {
		t.Errorf("the LOGGER row is %v", row)
	}
	if n := c.Pop(); n != switchtest.FaultPorts+1 {
		t.Errorf("%d rows are produced, want %d ports and PortConfigDone", n, switchtest.FaultPorts)
	}
	for n := range switchtest.FaultPorts {
		c.AddPort(switchtest.PortName(n))
	}
	c.AwaitInitDone()
	c.Recovered("refused start")
	c.Unharmed(d)
}

// TestLoadingEmpty restarts the server with CONFIG_DB only, and has it load for
// a while: the daemon must find out only then that orchagent lost everything.
func TestLoadingEmpty(t *testing.T) {
	c, db := switchtest.NewLabCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	db.SetFault(lab.Fault{Error: lab.Loading})
	db.Disconnect()
	c.HangUp()
	for _, name := range []string{"APPL_DB", "STATE_DB"} {
		if _, err := db.Do(c.Places[name].Number, "FLUSHDB"); err != nil {
			t.Fatal(err)
		}
	}
	c.AwaitLog(0, switchtest.Patience, "LOADING")
	db.SetFault(lab.Fault{})
	producedAgain(c, d)
}

// TestCutConnection cuts connections in the middle: after so many bytes of a
// request (half a pipeline arrives), or of the replies (half an answer does).
func TestCutConnection(t *testing.T) {
	c, p := switchtest.NewProxyCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	for _, f := range []switchtest.ProxyFault{
		{Requests: 1}, {Requests: 100}, {Requests: 333}, {Requests: 1000}, {Requests: 5000},
		{Replies: 1}, {Replies: 5}, {Replies: 50}, {Replies: 200},
		{Replies: 20, Garbage: "HTTP/1.1 400 Bad Request\r\n\r\n"},
		{Replies: 20, Garbage: "$999999999999\r\n"},
		{Replies: 20, Garbage: "*-7\r\n"},
	} {
		c.Through(d, fmt.Sprintf("%+v", f), func() { p.Set(f) }, func() { p.Set(switchtest.ProxyFault{}) })
	}
	c.Unharmed(d, "failure_rate")
}

// TestHeldConnection has a server that stops in the middle of an answer and
// keeps the connection: the daemon must not wait for the rest for ever.
func TestHeldConnection(t *testing.T) {
	c, p := switchtest.NewProxyCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	p.Set(switchtest.ProxyFault{Replies: 3, Hold: true})
	c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(0), 1400))
	c.AwaitLog(0, switchtest.Patience, "Redis connection lost")
	p.Set(switchtest.ProxyFault{})
	c.Recovered("held connection")
	c.Unharmed(d)
}

// TestCutStart cuts the connection again and again while the daemon starts:
// whatever was done before the cut, the ports are produced, whole and once
// each, and PortInitDone comes.
func TestCutStart(t *testing.T) {
	switchtest.Alongside(t)
	for _, after := range []int{40, 400, 1500, 3000} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			c, p := switchtest.NewProxyCell(t)
			if c == nil {
				return
			}
			c.Configure(switchtest.FaultPorts)
			p.Set(switchtest.ProxyFault{Requests: after})
			d := c.Start(switchtest.Launch{})
			c.AwaitLog(0, switchtest.Patience, "Redis") // it has noticed a cut
			p.Set(switchtest.ProxyFault{})
			d.AwaitReady()
			if n := c.Pop(); n != switchtest.FaultPorts+1 {
				t.Errorf("%d rows are produced, want %d ports and PortConfigDone", n, switchtest.FaultPorts)
			}
			for n := range switchtest.FaultPorts {
				name := switchtest.PortName(n)
				if row := c.Row("APPL_DB", "PORT_TABLE:"+name); len(row) != 5 || row["mtu"] != "9100" {
					t.Errorf("row of %s: %v", name, row)
				}
				c.AddPort(name)
			}
			c.AwaitInitDone()
			c.Recovered("cut start")
			c.Unharmed(d, "failure_rate")
		})
	}
}
