package faults

import (
	"os"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// The tests of this file cut the connection to the database once, at each byte
// of an exchange in turn, in either direction: no place is left in which an
// answer is half read, a request half sent, or done and not acknowledged, and of
// which nobody knows what comes of it (ARCHITECTURE.md, invariants 1 and 4).

// everyByte, set to 1, cuts at every byte indeed, which takes minutes. Otherwise
// one byte in many has to do.
const everyByte = "PORTSYNCD_EVERY_BYTE"

// sweep calls try with the position of each cut that is to be tried, one in step
// or all, until try reports again and again that the exchange was over before it.
func sweep(t *testing.T, direction string, step int, try func(f switchtest.ProxyFault) (wasCut bool)) {
	t.Helper()
	switch {
	case os.Getenv(everyByte) == "1":
		step = 1
	case !switchtest.LongRun():
		step *= 3 * switchtest.RaceFactor
	}
	begin, tried, last := time.Now(), 0, 0
	// One exchange is shorter than the other, as changes come together or not.
	for at, without := 1, 0; without < 3; at += step {
		f := switchtest.ProxyFault{Once: true, Requests: at}
		if direction == "replies" {
			f = switchtest.ProxyFault{Once: true, Replies: at}
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

// directions of bytes, as a ProxyFault has them.
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
	switchtest.Parallel(t)
	for _, direction := range directions {
		t.Run(direction, func(t *testing.T) {
			sw, p := switchtest.NewWithProxy(t)
			if sw == nil {
				return
			}
			conf := sw.WriteConfig(cutConfig)
			sweep(t, direction, 41, func(f switchtest.ProxyFault) bool {
				sw.Do("APPL_DB", "FLUSHALL")
				sw.ConfigurePorts(cutPorts)
				p.Set(f)
				d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
				d.AwaitReady()
				if n := sw.PopPortTable(); n != cutPorts+1 {
					t.Fatalf("%+v: %d rows are produced, want %d ports and PortConfigDone", f, n, cutPorts)
				}
				for n := range cutPorts {
					name := switchtest.PortName(n)
					if row := sw.Row("APPL_DB", "PORT_TABLE:"+name); len(row) != 5 || row["mtu"] != "9100" {
						t.Fatalf("%+v: row of %s: %v", f, name, row)
					}
					sw.NoError("add a port", sw.Links.AddVeth(name, switchtest.PeerName(name)))
				}
				sw.AwaitInitDone()
				inStepAtOnce(sw)
				wasCut := p.WasCut(t)
				inStepAtOnce(sw)
				d.Kill()
				for n := range cutPorts {
					sw.NoError("delete a port", sw.Links.Delete(switchtest.PortName(n)))
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
	switchtest.Parallel(t)
	for exchange, step := range map[string]int{"batch": 7, "return": 41} {
		for _, direction := range directions {
			t.Run(exchange+"_"+direction, func(t *testing.T) {
				sw, p := switchtest.NewWithProxy(t)
				if sw == nil {
					return
				}
				sw.BringUp(cutPorts).Kill()
				conf := sw.WriteConfig(cutConfig)
				mtu := 1400
				// Each time another daemon: one that loses connection after
				// connection takes longer and longer to come back.
				sweep(t, direction, step, func(f switchtest.ProxyFault) bool {
					p.Set(switchtest.ProxyFault{})
					d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
					d.AwaitReady()
					sw.PopPortTable()
					p.AwaitIdle(t, 15*time.Millisecond)
					p.Set(f)
					if exchange == "return" {
						p.CutAll()
					}
					mtu = 1400 + (mtu+1)%100
					for n := range cutPorts {
						sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(n), mtu))
					}
					inStepAtOnce(sw) // what changed is written: the exchange is over, or nearly
					wasCut := p.WasCut(t)
					inStepAtOnce(sw)
					sw.CheckAlive(d)
					sw.AwaitReportedPorts()
					d.Kill()
					return wasCut
				})
			})
		}
	}
}

// inStepAtOnce waits until STATE_DB says what the kernel says, which changes no
// link by itself meanwhile.
func inStepAtOnce(sw *switchtest.Switch) {
	sw.T.Helper()
	switchtest.Eventually(sw.T, switchtest.Timeout, func() string {
		_, problem := sw.OutOfSync()
		return problem
	})
}
