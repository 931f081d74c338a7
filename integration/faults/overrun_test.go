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
		t.Errorf("the recreated port has its old row: %v", row)
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
		t.Errorf("writes to the row of the recreated port: %s, want DEL before HSET", text)
	}
	sw.CheckAfterFault(d)
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
	sw.CheckAfterFault(d)
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
	sw.CheckAfterFault(d)
}

// TestInterruptedDump stops the daemon during a dump and adds an interface, so that the kernel marks
// the dump as interrupted (docs/PROTOCOL.md D2). The daemon must discard that dump and request
// another.
func TestInterruptedDump(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	// The daemon reads up to 32 datagrams of 16 KiB in one system call, and SIGSTOP takes effect only
	// after that call. A dump of these interfaces needs more calls than one.
	const pairs = 300
	for n := range pairs {
		sw.NoError("add interfaces", sw.Links.AddVeth(fmt.Sprint("long", n), fmt.Sprint("longpeer", n)))
	}
	const (
		interrupted = `portsyncd_resyncs_total{reason="dump_interrupted"}`
		resyncs     = "portsyncd_resync_duration_seconds_count"
	)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	value := func(series string) float64 { return client.Scrape().Value(t, series) }
	// A small receive buffer may have overflowed while the interfaces were added.
	counted, tries, caught := value(interrupted), 0, 0
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		tries++
		before := value(resyncs)
		sw.Do("STATE_DB", "FLUSHDB") // makes the daemon dump the links
		// A dump takes milliseconds, so poll without pauses. This process may still miss it.
		for end := time.Now().Add(time.Second); !sw.NetlinkSocket().Dumping && time.Now().Before(end); {
		}
		d.Pause()
		if sw.NetlinkSocket().Dumping {
			caught++
			sw.NoError("add an interface", sw.Links.AddVeth(fmt.Sprint("late", caught), fmt.Sprint("latepeer", caught)))
		}
		d.Signal(syscall.SIGCONT)
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if value(resyncs) == before {
				return "the resync after FLUSHDB is not complete"
			}
			return ""
		})
		switch {
		case caught > 0 && value(interrupted) > counted:
			return ""
		case caught == 5: // the kernel may not mark a dump of which only the end is missing
			t.Fatalf("an interface was added during %d dumps, and the daemon counted none as interrupted", caught)
		}
		return fmt.Sprintf("in %d tries, the daemon was stopped during %d dumps", tries, caught)
	})
	t.Logf("%d tries; the daemon was stopped during %d dumps", tries, caught)
	sw.AwaitRecovery("interrupted dumps")
	sw.CheckAfterFault(d)
}
