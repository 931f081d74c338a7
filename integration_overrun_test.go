package main

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestOverrun loses messages while the daemon is held, and with them changes, a
// deletion, a rename, a new interface and one that is made again under its name
// (PROTOCOL.md D1; ARCHITECTURE.md, invariants 1 and 2).
func TestOverrun(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	const ports = 16
	d := c.bringUp(ports)
	c.do("STATE_DB", "HSET", "PORT_TABLE|"+portName(1), "speed", "100000")
	c.do("STATE_DB", "HSET", "PORT_TABLE|"+portName(2), "speed", "100000")
	seen, err := monitor(c.places["STATE_DB"].tcp())
	c.must("monitor", err)
	added, renamed := portName(ports), portName(ports+1)
	c.do("APPL_DB", "HSET", "PORT_TABLE:"+added, "lanes", "0")
	c.do("APPL_DB", "HSET", "PORT_TABLE:"+renamed, "lanes", "0")

	d.signal(syscall.SIGSTOP)
	c.overrun(ports)
	c.must("delete", c.links.Delete(portName(0)))
	c.must("delete", c.links.Delete(portName(1)))
	c.addPort(portName(1))
	c.must("set down", c.links.SetUp(portName(3), false))
	c.must("set the peer down", c.links.SetUp(peerName(portName(4)), false))
	c.addPort(added)
	c.ip("link set "+portName(5)+" down", "link set "+portName(5)+" name "+renamed)
	d.signal(syscall.SIGCONT)
	c.recovered("overrun")

	if row := c.row("STATE_DB", "PORT_TABLE|"+portName(1)); row["speed"] != "" {
		t.Errorf("the re-created port has its old row: %v", row)
	}
	if row := c.row("STATE_DB", "PORT_TABLE|"+portName(2)); row["speed"] != "100000" {
		t.Errorf("the row of a port that was only changed lost its foreign field: %v", row)
	}
	// Subscribers must see the re-created port go before it comes.
	commands, _ := seen.from(0)
	var ops []string
	for _, cmd := range commands {
		if len(cmd.argv) > 1 && cmd.source == "lua" && cmd.argv[1] == "PORT_TABLE|"+portName(1) {
			ops = append(ops, strings.ToUpper(cmd.argv[0]))
		}
	}
	if text := fmt.Sprint(ops); !strings.Contains(text, "DEL HSET") {
		t.Errorf("writes to the row of the re-created port: %s, want DEL before HSET", text)
	}
}

// TestOverrunAtStart loses the creation of the ports that PortInitDone waits
// for (PROTOCOL.md D1), and keeps an old interface old over the resync.
func TestOverrunAtStart(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	const ports = 8
	c.configure(ports)
	leftOver := portName(ports - 1)
	c.addPort(leftOver)
	c.old[c.linkIndex(leftOver)] = true
	d := c.startReady()
	eventually(t, patience, func() string {
		if got := linkTable(t)[leftOver].Admin; got != "down" {
			return "the old interface is " + got
		}
		return ""
	})
	c.pop()

	d.signal(syscall.SIGSTOP)
	for n := range ports - 1 {
		c.must("add a port", c.links.AddVeth(portName(n), peerName(portName(n))))
	}
	c.overrun(ports)
	d.signal(syscall.SIGCONT)
	c.recovered("overrun at start")
	if c.exists("STATE_DB", "PORT_TABLE|"+leftOver) {
		t.Error("the old interface was taken for a new one")
	}

	c.must("delete the old interface", c.links.Delete(leftOver))
	c.addPort(leftOver)
	c.awaitInitDone()
	c.recovered("the last port")
}

// TestFlood changes links as fast as the kernel lets two writers while the
// daemon runs, so that it is overrun or its dumps are interrupted again and
// again (PROTOCOL.md D1 and D2), with interfaces coming and going.
func TestFlood(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	const ports = 8
	d := c.bringUp(ports)
	var writers sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	for w := range 2 {
		links := dialLinks(t)
		writers.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				name := portName(w*ports/2 + i%(ports/2))
				if i%(10*ports) == 0 {
					links.Delete(name)
					links.AddVeth(name, peerName(name))
				}
				links.SetUp(name, i%3 > 0)
				links.SetMTU(name, 1400+i%100)
			}
		})
	}
	writers.Wait()
	c.recovered("flood")
	if !d.alive() {
		t.Error("the daemon has ended")
	}
}

// TestInterruptedDump makes interfaces come and go while the daemon dumps the
// links, until the kernel has declared one of its dumps interrupted (PROTOCOL.md
// D2): that one is not believed, another one is made.
func TestInterruptedDump(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	const ports = 48 // enough for a dump of several datagrams
	c.bringUp(ports)
	links, quit, ended := dialLinks(t), make(chan struct{}), make(chan struct{})
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
	web := newSite(t, httpAddress)
	eventually(t, patience, func() string {
		c.do("STATE_DB", "FLUSHDB") // has the daemon dump the links
		if web.scrape().value(t, interrupted) == 0 {
			return "no dump was interrupted"
		}
		return ""
	})
	close(quit)
	<-ended
	c.recovered("interrupted dumps")
}
