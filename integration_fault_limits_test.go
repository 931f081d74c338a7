package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// TestDescriptorLimit leaves the daemon few file descriptors, lets HTTP clients
// take all that they can get, and then takes the database away: it comes back to
// the database with what clients must not have, and writes its files.
func TestDescriptorLimit(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	r, isRedis := k.server.(*redisServer)
	const limit = 48
	k.write("", "save_interval_secs = 1")
	k.configure(faultPorts)
	// Soft and hard: the Go runtime raises the soft limit to the hard one.
	d := k.startCommand(launch{}, "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit), k.binary, "-c", k.conf)
	d.awaitReady()
	k.plug(faultPorts)
	newSite(t, httpAddress)
	for range 2 * limit {
		conn, err := net.Dial("tcp", httpAddress)
		if err != nil {
			break // the kernel's queue is full as well
		}
		t.Cleanup(func() { conn.Close() })
	}
	descriptors := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
		k.must("count descriptors", err)
		return len(entries)
	}
	eventually(t, patience, func() string {
		if n := descriptors(); n < limit/2 {
			return fmt.Sprintf("%d of %d descriptors in use", n, limit)
		}
		return ""
	})
	t.Logf("%d of %d descriptors in use", descriptors(), limit)
	if isRedis {
		k.restarted(r, k.disturb, "STATE_DB")
	} else {
		k.server.(*labServer).Disconnect()
		k.hangUp()
		k.disturb()
	}
	k.recovered("the database's return among hostile clients")
	eventually(t, patience, func() string {
		for _, p := range k.storedPorts() {
			if p.Name == portName(4) && p.MTU == 1400 {
				return ""
			}
		}
		return fmt.Sprintf("the state file has %+v", k.storedPorts())
	})
	k.unharmed(d)
	d.diesBy(syscall.SIGTERM, "with all descriptors taken")
}

// TestMemoryLimit has the runtime keep its memory small (GOMEMLIMIT, in which it
// counts all that it has from the system) during a storm of flaps with scrapes:
// the limit makes it slower at worst, and it stays in step.
func TestMemoryLimit(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const ports, limit, most = 64, 8 << 20, 48 << 20
	c.configure(ports)
	d := c.start(launch{env: []string{fmt.Sprintf("GOMEMLIMIT=%d", limit)}})
	d.awaitReady()
	c.plug(ports)
	s := newSite(t, httpAddress)
	end := time.Now().Add(2 * time.Second)
	peak, changes := 0, 0
	for time.Now().Before(end) {
		for n := range ports {
			c.must("flap", c.links.SetUp(portName(n), changes/ports%2 == 1))
			changes++
		}
		if a, err := s.try("GET", "/metrics"); err != nil || a.code != http.StatusOK {
			t.Errorf("scrape: %d, %v", a.code, err)
		}
		peak = max(peak, residentMemory(t, d.cmd.Process.Pid))
	}
	c.recovered(fmt.Sprintf("%d flaps with GOMEMLIMIT=%d", changes, limit))
	t.Logf("%d KiB resident at the peak", peak>>10)
	if peak > most {
		t.Errorf("%d bytes resident, want %d at most", peak, most)
	}
	if heap := s.scrape().value(t, "go_gc_gomemlimit_bytes"); heap != limit {
		t.Errorf("the limit in effect is %v, want %d", heap, limit)
	}
	c.unharmed(d)
}
