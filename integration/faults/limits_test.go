package faults

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestDescriptorLimit leaves the daemon few file descriptors, lets HTTP clients
// take all that they can get, and then takes the database away: it comes back to
// the database with what clients must not have, and writes its files.
func TestDescriptorLimit(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	r, isRedis := k.Server.(*switchtest.RedisServer)
	const limit = 48
	k.Write("", "save_interval_secs = 1")
	k.Configure(switchtest.FaultPorts)
	// Soft and hard: the Go runtime raises the soft limit to the hard one.
	d := k.StartCommand(switchtest.Launch{}, "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit), k.Binary, "-c", k.Conf)
	d.AwaitReady()
	k.Plug(switchtest.FaultPorts)
	switchtest.NewSite(t, switchtest.HttpAddress)
	for range 2 * limit {
		conn, err := net.Dial("tcp", switchtest.HttpAddress)
		if err != nil {
			break // the kernel's queue is full as well
		}
		t.Cleanup(func() { conn.Close() })
	}
	descriptors := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Cmd.Process.Pid))
		k.Must("count descriptors", err)
		return len(entries)
	}
	switchtest.Eventually(t, switchtest.Patience, func() string {
		if n := descriptors(); n < limit/2 {
			return fmt.Sprintf("%d of %d descriptors in use", n, limit)
		}
		return ""
	})
	t.Logf("%d of %d descriptors in use", descriptors(), limit)
	if isRedis {
		k.Restarted(r, k.Disturb, "STATE_DB")
	} else {
		k.Server.(*switchtest.LabServer).Disconnect()
		k.HangUp()
		k.Disturb()
	}
	k.Recovered("the database's return among hostile clients")
	switchtest.Eventually(t, switchtest.Patience, func() string {
		for _, p := range k.StoredPorts() {
			if p.Name == switchtest.PortName(4) && p.MTU == 1400 {
				return ""
			}
		}
		return fmt.Sprintf("the state file has %+v", k.StoredPorts())
	})
	k.Unharmed(d)
	d.DiesBy(syscall.SIGTERM, "with all descriptors taken")
}

// TestMemoryLimit has the runtime keep its memory small (GOMEMLIMIT, in which it
// counts all that it has from the system) during a storm of flaps with scrapes:
// the limit makes it slower at worst, and it stays in step.
func TestMemoryLimit(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	if switchtest.RaceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const ports, limit, most = 64, 8 << 20, 48 << 20
	c.Configure(ports)
	d := c.Start(switchtest.Launch{Env: []string{fmt.Sprintf("GOMEMLIMIT=%d", limit)}})
	d.AwaitReady()
	c.Plug(ports)
	s := switchtest.NewSite(t, switchtest.HttpAddress)
	end := time.Now().Add(2 * time.Second)
	peak, changes := 0, 0
	for time.Now().Before(end) {
		for n := range ports {
			c.Must("flap", c.Links.SetUp(switchtest.PortName(n), changes/ports%2 == 1))
			changes++
		}
		if a, err := s.Try("GET", "/metrics"); err != nil || a.Code != http.StatusOK {
			t.Errorf("scrape: %d, %v", a.Code, err)
		}
		peak = max(peak, switchtest.ResidentMemory(t, d.Cmd.Process.Pid))
	}
	c.Recovered(fmt.Sprintf("%d flaps with GOMEMLIMIT=%d", changes, limit))
	t.Logf("%d KiB resident at the peak", peak>>10)
	if peak > most {
		t.Errorf("%d bytes resident, want %d at most", peak, most)
	}
	if heap := s.Scrape().Value(t, "go_gc_gomemlimit_bytes"); heap != limit {
		t.Errorf("the limit in effect is %v, want %d", heap, limit)
	}
	c.Unharmed(d)
}
