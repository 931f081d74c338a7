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

// TestOverrun loses messages while the daemon is held, and with them changes, a
// deletion, a rename, a new interface and one that is made again under its name
// (PROTOCOL.md D1; ARCHITECTURE.md, invariants 1 and 2).
func TestOverrun(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	const ports = 16
	d := c.BringUp(ports)
	c.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(1), "speed", "100000")
	c.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(2), "speed", "100000")
	seen, err := switchtest.Monitor(c.Places["STATE_DB"].Tcp())
	c.Must("monitor", err)
	added, renamed := switchtest.PortName(ports), switchtest.PortName(ports+1)
	c.Do("APPL_DB", "HSET", "PORT_TABLE:"+added, "lanes", "0")
	c.Do("APPL_DB", "HSET", "PORT_TABLE:"+renamed, "lanes", "0")

	d.Signal(syscall.SIGSTOP)
	c.Overrun(ports)
	c.Must("delete", c.Links.Delete(switchtest.PortName(0)))
	c.Must("delete", c.Links.Delete(switchtest.PortName(1)))
	c.AddPort(switchtest.PortName(1))
	c.Must("set down", c.Links.SetUp(switchtest.PortName(3), false))
	c.Must("set the peer down", c.Links.SetUp(switchtest.PeerName(switchtest.PortName(4)), false))
	c.AddPort(added)
	c.Ip("link set "+switchtest.PortName(5)+" down", "link set "+switchtest.PortName(5)+" name "+renamed)
	d.Signal(syscall.SIGCONT)
	c.Recovered("overrun")

	if row := c.Row("STATE_DB", "PORT_TABLE|"+switchtest.PortName(1)); row["speed"] != "" {
		t.Errorf("the re-created port has its old row: %v", row)
	}
	if row := c.Row("STATE_DB", "PORT_TABLE|"+switchtest.PortName(2)); row["speed"] != "100000" {
		t.Errorf("the row of a port that was only changed lost its foreign field: %v", row)
	}
	// Subscribers must see the re-created port go before it comes.
	commands, _ := seen.From(0)
	var ops []string
	for _, cmd := range commands {
		if len(cmd.Argv) > 1 && cmd.Source == "lua" && cmd.Argv[1] == "PORT_TABLE|"+switchtest.PortName(1) {
			ops = append(ops, strings.ToUpper(cmd.Argv[0]))
		}
	}
	if text := fmt.Sprint(ops); !strings.Contains(text, "DEL HSET") {
		t.Errorf("writes to the row of the re-created port: %s, want DEL before HSET", text)
	}
}

// TestOverrunAtStart loses the creation of the ports that PortInitDone waits
// for (PROTOCOL.md D1), and keeps an old interface old over the resync.
func TestOverrunAtStart(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	const ports = 8
	c.Configure(ports)
	leftOver := switchtest.PortName(ports - 1)
	c.AddPort(leftOver)
	c.Old[c.LinkIndex(leftOver)] = true
	d := c.StartReady()
	switchtest.Eventually(t, switchtest.Patience, func() string {
		if got := switchtest.LinkTable(t)[leftOver].Admin; got != "down" {
			return "the old interface is " + got
		}
		return ""
	})
	c.Pop()

	d.Signal(syscall.SIGSTOP)
	for n := range ports - 1 {
		c.Must("add a port", c.Links.AddVeth(switchtest.PortName(n), switchtest.PeerName(switchtest.PortName(n))))
	}
	c.Overrun(ports)
	d.Signal(syscall.SIGCONT)
	c.Recovered("overrun at start")
	if c.Exists("STATE_DB", "PORT_TABLE|"+leftOver) {
		t.Error("the old interface was taken for a new one")
	}

	c.Must("delete the old interface", c.Links.Delete(leftOver))
	c.AddPort(leftOver)
	c.AwaitInitDone()
	c.Recovered("the last port")
}

// TestFlood changes links as fast as the kernel lets two writers while the
// daemon runs, so that it is overrun or its dumps are interrupted again and
// again (PROTOCOL.md D1 and D2), with interfaces coming and going.
func TestFlood(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	const ports = 8
	d := c.BringUp(ports)
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
	c.Recovered("flood")
	if !d.Alive() {
		t.Error("the daemon has ended")
	}
}

// TestInterruptedDump makes interfaces come and go while the daemon dumps the
// links, until the kernel has declared one of its dumps interrupted (PROTOCOL.md
// D2): that one is not believed, another one is made.
func TestInterruptedDump(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	const ports = 48 // enough for a dump of several datagrams
	c.BringUp(ports)
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
	web := switchtest.NewSite(t, switchtest.HttpAddress)
	switchtest.Eventually(t, switchtest.Patience, func() string {
		c.Do("STATE_DB", "FLUSHDB") // has the daemon dump the links
		if web.Scrape().Value(t, interrupted) == 0 {
			return "no dump was interrupted"
		}
		return ""
	})
	close(quit)
	<-ended
	c.Recovered("interrupted dumps")
}
