package databases

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// In these tests the server sends wrong or partial replies while link messages arrive
// (docs/PROTOCOL.md D3 and D4). The daemon does not know the outcome of commands without a reply.
// Within a second after the fault, STATE_DB must agree with the kernel.

// TestErrorReplies checks that the daemon recovers after the server replied to every command, or
// to every write, with an error for a while.
func TestErrorReplies(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
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
		// The fault would also affect the test's own commands.
		sw.ChangeLinksDuring(d, fmt.Sprintf("%q %v", f.Error, f.Delay),
			func() { db.SetFault(f) }, func() { db.SetFault(lab.Fault{}) })
	}
	if n := sw.FaultLines(); n > 2000 {
		t.Errorf("%d log lines about a repeating fault", n)
	}
	sw.CheckAfterFault(d)
}

// TestErrorRepliesAtStart checks the start of a daemon while the server replies LOADING, as a
// server does after its own start, or OOM.
func TestErrorRepliesAtStart(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(switchtest.ManyPorts)
	db.SetFault(lab.Fault{Error: lab.Loading})
	d := sw.Start(switchtest.StartOptions{})
	d.AwaitNotification(0, switchtest.Timeout, "STATUS=waiting for the databases")
	d.AwaitNotification(0, switchtest.Timeout, "EXTEND_TIMEOUT_USEC=")
	db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	time.Sleep(switchtest.FaultDuration)
	if states, _ := d.Notifications.From(0); strings.Contains(fmt.Sprint(states), "READY=1") {
		t.Error("ready although no row could be written")
	}
	db.SetFault(lab.Fault{})
	d.AwaitReady()
	if row := sw.Row("CONFIG_DB", "LOGGER|portsyncd"); row["LOGLEVEL"] != "NOTICE" {
		t.Errorf("the LOGGER row is %v", row)
	}
	if n := sw.PopPortTable(); n != switchtest.ManyPorts+1 {
		t.Errorf("%d rows are produced, want %d ports and PortConfigDone", n, switchtest.ManyPorts)
	}
	for n := range switchtest.ManyPorts {
		sw.AddPort(switchtest.PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitRecovery("refused start")
	sw.CheckAfterFault(d)
}

// TestLoadingEmpty restarts the server with CONFIG_DB only and with LOADING replies for a while.
// Only after these can the daemon see that APPL_DB is empty; it must then produce the ports again.
func TestLoadingEmpty(t *testing.T) {
	sw, db := switchtest.NewWithLab(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	db.SetFault(lab.Fault{Error: lab.Loading})
	db.Disconnect()
	sw.CloseConns()
	for _, name := range []string{"APPL_DB", "STATE_DB"} {
		if _, err := db.Do(sw.Databases[name].Number, "FLUSHDB"); err != nil {
			t.Fatal(err)
		}
	}
	sw.AwaitLog(0, switchtest.Timeout, "LOADING")
	db.SetFault(lab.Fault{})
	awaitProducedAgain(sw, d)
}

// TestCutConnection cuts connections after some bytes of a request, so that half a pipeline
// arrives, or after some bytes of the replies.
func TestCutConnection(t *testing.T) {
	sw, p := switchtest.NewWithProxy(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	for _, f := range []switchtest.ProxyFault{
		{Requests: 1}, {Requests: 100}, {Requests: 333}, {Requests: 1000}, {Requests: 5000},
		{Replies: 1}, {Replies: 5}, {Replies: 50}, {Replies: 200},
		{Replies: 20, Garbage: "HTTP/1.1 400 Bad Request\r\n\r\n"},
		{Replies: 20, Garbage: "$999999999999\r\n"},
		{Replies: 20, Garbage: "*-7\r\n"},
	} {
		sw.ChangeLinksDuring(d, fmt.Sprintf("%+v", f), func() { p.Set(f) }, func() { p.Set(switchtest.ProxyFault{}) })
	}
	sw.CheckAfterFault(d)
}

// TestStalledReply checks that the daemon does not wait forever for the rest of a reply from a
// server that keeps the connection open.
func TestStalledReply(t *testing.T) {
	sw, p := switchtest.NewWithProxy(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	p.Set(switchtest.ProxyFault{Replies: 3, Hold: true})
	sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1400))
	sw.AwaitLog(0, switchtest.Timeout, "Redis connection lost")
	p.Set(switchtest.ProxyFault{})
	sw.AwaitRecovery("stalled reply")
	sw.CheckAfterFault(d)
}

// TestCutStart cuts the connection again and again while the daemon starts. Each port must be
// produced once and completely, and PortInitDone must follow.
func TestCutStart(t *testing.T) {
	switchtest.Parallel(t)
	for _, after := range []int{40, 400, 1500, 2000} {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			sw, p := switchtest.NewWithProxy(t)
			if sw == nil {
				return
			}
			sw.ConfigurePorts(switchtest.ManyPorts)
			p.Set(switchtest.ProxyFault{Requests: after})
			d := sw.Start(switchtest.StartOptions{})
			sw.AwaitLog(0, switchtest.Timeout, "Redis") // the daemon has noticed a cut
			p.Set(switchtest.ProxyFault{})
			d.AwaitReady()
			if n := sw.PopPortTable(); n != switchtest.ManyPorts+1 {
				t.Errorf("%d rows are produced, want %d ports and PortConfigDone", n, switchtest.ManyPorts)
			}
			for n := range switchtest.ManyPorts {
				name := switchtest.PortName(n)
				if row := sw.Row("APPL_DB", "PORT_TABLE:"+name); len(row) != 5 || row["mtu"] != "9100" {
					t.Errorf("row of %s: %v", name, row)
				}
				sw.AddPort(name)
			}
			sw.AwaitInitDone()
			sw.AwaitRecovery("cut start")
			sw.CheckAfterFault(d)
		})
	}
}
