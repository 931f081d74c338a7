package main

import (
	"os"
	"testing"
	"time"
)

// The tests of this file cut the connection to the database once, at each byte
// of an exchange in turn, in either direction: no place is left in which an
// answer is half read, a request half sent, or done and not acknowledged, and of
// which nobody knows what comes of it (ARCHITECTURE.md, invariants 1 and 4).

// thorough reports whether a test takes its time: in the one run of CI that skips
// nothing.
func thorough() bool {
	return os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" && !raceEnabled
}

// everyByte, set to 1, cuts at every byte indeed, which takes minutes. Otherwise
// one byte in many has to do.
const everyByte = "PORTSYNCD_EVERY_BYTE"

// sweep calls try with the position of each cut that is to be tried, one in step
// or all, until try reports again and again that the exchange was over before it.
func sweep(t *testing.T, direction string, step int, try func(f proxyFault) (wasCut bool)) {
	t.Helper()
	switch {
	case os.Getenv(everyByte) == "1":
		step = 1
	case !thorough():
		step *= 3 * raceFactor
	}
	begin, tried, last := time.Now(), 0, 0
	// One exchange is shorter than the other, as changes come together or not.
	for at, without := 1, 0; without < 3; at += step {
		f := proxyFault{once: true, requests: at}
		if direction == "replies" {
			f = proxyFault{once: true, replies: at}
		}
		if without++; try(f) {
			tried, last, without = tried+1, at, 0
		}
	}
	if tried == 0 {
		t.Fatal("nothing was cut")
	}
	t.Logf("%d cuts up to byte %d of the %s, every %d bytes, %v", tried, last, direction, step, time.Since(begin).Round(time.Millisecond))
}

// directions of bytes, as a proxyFault has them.
var directions = []string{"requests", "replies"}

// cutPorts is how many ports a switch in these tests has: the exchange of more
// is longer, and no different.
const cutPorts = 2

// cutConfig is for daemons that are started by the hundred.
const cutConfig = "[warm_restart]\nenabled = false\n"

// TestCutEveryByteOfStart holds a cold start to handing over each port and
// PortConfigDone, whole and once, and to reporting the ports, wherever a cut
// comes.
func TestCutEveryByteOfStart(t *testing.T) {
	alongside(t)
	for _, direction := range directions {
		t.Run(direction, func(t *testing.T) {
			c, p := newProxyCell(t)
			if c == nil {
				return
			}
			conf := c.config(cutConfig)
			sweep(t, direction, 41, func(f proxyFault) bool {
				c.do("APPL_DB", "FLUSHALL")
				c.configure(cutPorts)
				p.set(f)
				d := c.start(launch{args: []string{"-c", conf}})
				d.awaitReady()
				if n := c.pop(); n != cutPorts+1 {
					t.Fatalf("%+v: %d rows are produced, want %d ports and PortConfigDone", f, n, cutPorts)
				}
				for n := range cutPorts {
					name := portName(n)
					if row := c.row("APPL_DB", "PORT_TABLE:"+name); len(row) != 5 || row["mtu"] != "9100" {
						t.Fatalf("%+v: row of %s: %v", f, name, row)
					}
					c.must("add a port", c.links.AddVeth(name, peerName(name)))
				}
				c.awaitInitDone()
				c.inStepAtOnce()
				wasCut := p.wasCut(t)
				c.inStepAtOnce()
				d.kill()
				for n := range cutPorts {
					c.must("delete a port", c.links.Delete(portName(n)))
				}
				return wasCut
			})
		})
	}
}

// TestCutEveryByteOfBatch holds a running daemon to bringing STATE_DB in step
// wherever a cut comes: in the exchange that writes a burst of changes, and in
// the one after a loss, which connects, compares and repairs.
func TestCutEveryByteOfBatch(t *testing.T) {
	alongside(t)
	for exchange, step := range map[string]int{"batch": 7, "return": 41} {
		for _, direction := range directions {
			t.Run(exchange+"_"+direction, func(t *testing.T) {
				c, p := newProxyCell(t)
				if c == nil {
					return
				}
				c.bringUp(cutPorts).kill()
				conf := c.config(cutConfig)
				mtu := 1400
				// Each time another daemon: one that loses connection after
				// connection takes longer and longer to come back.
				sweep(t, direction, step, func(f proxyFault) bool {
					p.set(proxyFault{})
					d := c.start(launch{args: []string{"-c", conf}})
					d.awaitReady()
					c.pop()
					p.awaitIdle(t, 15*time.Millisecond)
					p.set(f)
					if exchange == "return" {
						p.cutAll()
					}
					mtu = 1400 + (mtu+1)%100
					for n := range cutPorts {
						c.must("set MTU", c.links.SetMTU(portName(n), mtu))
					}
					c.inStepAtOnce() // what changed is written: the exchange is over, or nearly
					wasCut := p.wasCut(t)
					c.inStepAtOnce()
					c.survived(d)
					c.shown()
					d.kill()
					return wasCut
				})
			})
		}
	}
}

// inStepAtOnce waits until STATE_DB says what the kernel says, which changes no
// link by itself meanwhile.
func (c *cell) inStepAtOnce() {
	c.t.Helper()
	eventually(c.t, patience, func() string {
		_, problem := c.outOfStep()
		return problem
	})
}
