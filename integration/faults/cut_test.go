package faults

import (
	"os"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// These tests cut the connection to the database once at each byte of an exchange, in either
// direction: in the middle of a reply or a request, and between the execution of a command and its
// acknowledgement (ARCHITECTURE.md, invariants 1 and 4).

// everyByte is set to 1 to cut at every byte, which takes minutes. Otherwise the tests cut at one
// byte in many.
const everyByte = "PORTSYNCD_EVERY_BYTE"

// sweep calls try with increasing positions of a cut until try reports several times that the
// exchange was over before the cut.
func sweep(t *testing.T, direction string, step int, try func(f switchtest.ProxyFault) (wasCut bool)) {
	t.Helper()
	switch {
	case os.Getenv(everyByte) == "1":
		step = 1
	case !switchtest.LongRun():
		step *= 3 * switchtest.RaceFactor
	}
	begin, tried, last := time.Now(), 0, 0
	// The length of an exchange depends on how many changes it combines.
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
		t.Fatal("no connection was cut")
	}
	t.Logf("%d cuts up to byte %d of the %s, every %d bytes, %v", tried, last, direction, step, time.Since(begin).Round(time.Millisecond))
}

// directions are those of ProxyFault.Change.
var directions = []string{"requests", "replies"}

// cutPorts is the number of ports in these tests. More ports make the exchange longer, not
// different.
const cutPorts = 2

// cutConfig is a configuration for daemons that are started hundreds of times.
const cutConfig = "[warm_restart]\nenabled = false\n"

// TestCutEveryByteOfStart cuts the connection at each byte of a cold start. The daemon must still
// produce each port and PortConfigDone once and completely, and write the ports' rows.
func TestCutEveryByteOfStart(t *testing.T) {
	switchtest.Parallel(t)
	for _, direction := range directions {
		t.Run(direction, func(t *testing.T) {
			sw, p := switchtest.NewWithProxy(t)
			if sw == nil {
				return
			}
			conf := sw.WriteConfig(cutConfig)
			checked := false // health reasons last for seconds, so health is checked after one cut
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
				awaitInSyncUnchanged(sw)
				wasCut := p.WasCut(t)
				awaitInSyncUnchanged(sw)
				if wasCut && !checked {
					checked = true
					sw.CheckAfterFault(d)
				}
				sw.AwaitReportedPorts()
				d.Kill()
				for n := range cutPorts {
					sw.NoError("delete a port", sw.Links.Delete(switchtest.PortName(n)))
				}
				return wasCut
			})
		})
	}
}

// TestCutEveryByteOfBatch cuts the connection of a running daemon at each byte of the exchange
// that writes a burst of changes, and of the exchange after a reconnect. STATE_DB must agree with
// the kernel afterwards.
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
				checked := false // as in TestCutEveryByteOfStart
				// A new daemon each time: one that loses a connection again
				// and again waits longer and longer before it reconnects.
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
					awaitInSyncUnchanged(sw) // the changes are written, so the exchange is nearly over
					wasCut := p.WasCut(t)
					awaitInSyncUnchanged(sw)
					if wasCut && !checked {
						checked = true
						sw.CheckAfterFault(d)
					}
					sw.CheckAlive(d)
					sw.AwaitReportedPorts()
					d.Kill()
					return wasCut
				})
			})
		}
	}
}

// awaitInSyncUnchanged waits until STATE_DB agrees with the kernel, for a time in which the kernel
// does not change links by itself.
func awaitInSyncUnchanged(sw *switchtest.Switch) {
	sw.T.Helper()
	switchtest.Eventually(sw.T, switchtest.Timeout, func() string {
		_, problem := sw.OutOfSync()
		return problem
	})
}
