package faults

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestOverrun makes the kernel drop messages while the daemon is stopped: changes, a deletion, a
// rename, a new interface, and one deleted and made again with the same name (docs/PROTOCOL.md D1;
// ARCHITECTURE.md, invariants 1 and 2).
func TestOverrun(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const ports = 16
	d := sw.BringUp(ports)
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(1), "speed", "100000")
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(2), "speed", "100000")
	seen, err := switchtest.Monitor(sw.Databases["STATE_DB"].TCPAddress())
	sw.NoError("monitor", err)
	added, renamed := switchtest.PortName(ports), switchtest.PortName(ports+1)
	sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+added, "lanes", "0")
	sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+renamed, "lanes", "0")

	d.Signal(syscall.SIGSTOP)
	sw.Overrun(ports)
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(0)))
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(1)))
	sw.AddPort(switchtest.PortName(1))
	sw.NoError("set down", sw.Links.SetUp(switchtest.PortName(3), false))
	sw.NoError("set the peer down", sw.Links.SetUp(switchtest.PeerName(switchtest.PortName(4)), false))
	sw.AddPort(added)
	sw.IPLink("link set "+switchtest.PortName(5)+" down", "link set "+switchtest.PortName(5)+" name "+renamed)
	d.Signal(syscall.SIGCONT)
	sw.AwaitRecovery("overrun")

	if row := sw.Row("STATE_DB", "PORT_TABLE|"+switchtest.PortName(1)); row["speed"] != "" {
		t.Errorf("the re-created port has its old row: %v", row)
	}
	if row := sw.Row("STATE_DB", "PORT_TABLE|"+switchtest.PortName(2)); row["speed"] != "100000" {
		t.Errorf("the row of a port that was only changed lost its foreign field: %v", row)
	}
	// Subscribers must see a deletion of the port before its new row.
	commands, _ := seen.From(0)
	var ops []string
	for _, cmd := range commands {
		if len(cmd.Args) > 1 && cmd.Source == "lua" && cmd.Args[1] == "PORT_TABLE|"+switchtest.PortName(1) {
			ops = append(ops, strings.ToUpper(cmd.Args[0]))
		}
	}
	if text := fmt.Sprint(ops); !strings.Contains(text, "DEL HSET") {
		t.Errorf("writes to the row of the re-created port: %s, want DEL before HSET", text)
	}
}

// TestOverrunAtStart makes the kernel drop the messages about new ports that PortInitDone waits
// for (docs/PROTOCOL.md D1). An interface that is old at the start must still count as old after
// the resync.
func TestOverrunAtStart(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const ports = 8
	sw.ConfigurePorts(ports)
	leftOver := switchtest.PortName(ports - 1)
	sw.AddPort(leftOver)
	sw.IgnoredLinks[sw.LinkIndex(leftOver)] = true
	d := sw.StartReady()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if got := switchtest.LinkStates(t)[leftOver].Admin; got != "down" {
			return "the old interface is " + got
		}
		return ""
	})
	sw.PopPortTable()

	d.Signal(syscall.SIGSTOP)
	for n := range ports - 1 {
		sw.NoError("add a port", sw.Links.AddVeth(switchtest.PortName(n), switchtest.PeerName(switchtest.PortName(n))))
	}
	sw.Overrun(ports)
	d.Signal(syscall.SIGCONT)
	sw.AwaitRecovery("overrun at start")
	if sw.Exists("STATE_DB", "PORT_TABLE|"+leftOver) {
		t.Error("the old interface counts as new")
	}

	sw.NoError("delete the old interface", sw.Links.Delete(leftOver))
	sw.AddPort(leftOver)
	sw.AwaitInitDone()
	sw.AwaitRecovery("the last port")
}

// TestFlood changes links from two writers as fast as the kernel allows, while interfaces are
// added and deleted, so that the daemon is overrun and its dumps are interrupted repeatedly
// (docs/PROTOCOL.md D1 and D2).
func TestFlood(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const ports = 8
	d := sw.BringUp(ports)
	var writers sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	for w := range 2 {
		links := switchtest.DialLinks(t)
		writers.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				name := switchtest.PortName(w*ports/2 + i%(ports/2))
				if i%(10*ports) == 0 {
					links.Delete(name)
					links.AddVeth(name, switchtest.PeerName(name))
				}
				links.SetUp(name, i%3 > 0)
				links.SetMTU(name, 1400+i%100)
			}
		})
	}
	writers.Wait()
	sw.AwaitRecovery("flood")
	if !d.Alive() {
		t.Error("the daemon has ended")
	}
}

// TestInterruptedDump adds and deletes interfaces during dumps until the kernel has marked one as
// interrupted (docs/PROTOCOL.md D2). The daemon must discard that dump and request another.
func TestInterruptedDump(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const ports = 48 // enough for a dump of several datagrams
	sw.BringUp(ports)
	links, quit, ended := switchtest.DialLinks(t), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			default:
				links.AddVeth("spare0", "spare1")
				links.Delete("spare0")
			}
		}
	}()
	const interrupted = `portsyncd_resyncs_total{reason="dump_interrupted"}`
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		sw.Do("STATE_DB", "FLUSHDB") // makes the daemon dump the links
		if client.Scrape().Value(t, interrupted) == 0 {
			return "no dump was interrupted"
		}
		return ""
	})
	close(quit)
	<-ended
	sw.AwaitRecovery("interrupted dumps")
}
