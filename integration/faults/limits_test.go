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

// TestDescriptorLimit starts the daemon with few file descriptors, lets HTTP clients take as many
// as they can, and then stops the database. The daemon must have descriptors left to reconnect and
// to write its files.
func TestDescriptorLimit(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	r, isRedis := sw.Server.(*switchtest.RedisServer)
	const limit = 48
	sw.WriteSettings("", "save_interval_secs = 1")
	sw.ConfigurePorts(switchtest.ManyPorts)
	// Soft and hard: the Go runtime raises the soft limit to the hard one.
	d := sw.StartCommand(switchtest.StartOptions{}, "/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit), sw.Binary, "-c", sw.ConfigPath)
	d.AwaitReady()
	sw.AddInterfaces(switchtest.ManyPorts)
	switchtest.NewClient(t, switchtest.HTTPAddress)
	for range 2 * limit {
		conn, err := net.Dial("tcp", switchtest.HTTPAddress)
		if err != nil {
			break // the kernel's queue is full
		}
		t.Cleanup(func() { conn.Close() })
	}
	descriptors := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Cmd.Process.Pid))
		sw.NoError("count descriptors", err)
		return len(entries)
	}
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if n := descriptors(); n < limit/2 {
			return fmt.Sprintf("%d of %d descriptors in use", n, limit)
		}
		return ""
	})
	t.Logf("%d of %d descriptors in use", descriptors(), limit)
	if isRedis {
		sw.RestartRedis(r, sw.ChangeLinks, "STATE_DB")
	} else {
		sw.Server.(*switchtest.LabServer).Disconnect()
		sw.CloseConns()
		sw.ChangeLinks()
	}
	sw.AwaitRecovery("reconnect among hostile clients")
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		for _, p := range sw.SavedPorts() {
			if p.Name == switchtest.PortName(4) && p.MTU == 1400 {
				return ""
			}
		}
		return fmt.Sprintf("the state file has %+v", sw.SavedPorts())
	})
	sw.CheckAfterFault(d)
	d.EndBySignal(syscall.SIGTERM, "with all descriptors taken")
}

// TestMemoryLimit sets GOMEMLIMIT to a small value during a storm of flaps and scrapes. The daemon
// may become slower but must stay in sync.
func TestMemoryLimit(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	if switchtest.RaceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	const ports, limit, most = 64, 8 << 20, 48 << 20
	sw.ConfigurePorts(ports)
	d := sw.Start(switchtest.StartOptions{Env: []string{fmt.Sprintf("GOMEMLIMIT=%d", limit)}})
	d.AwaitReady()
	sw.AddInterfaces(ports)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	end := time.Now().Add(2 * time.Second)
	peak, changes := 0, 0
	for time.Now().Before(end) {
		for n := range ports {
			sw.NoError("flap", sw.Links.SetUp(switchtest.PortName(n), changes/ports%2 == 1))
			changes++
		}
		if a, err := client.TryRequest("GET", "/metrics"); err != nil || a.Code != http.StatusOK {
			t.Errorf("scrape: %d, %v", a.Code, err)
		}
		peak = max(peak, switchtest.ResidentMemory(t, d.Cmd.Process.Pid))
	}
	sw.AwaitRecovery(fmt.Sprintf("%d flaps with GOMEMLIMIT=%d", changes, limit))
	t.Logf("%d KiB resident at the peak", peak>>10)
	if peak > most {
		t.Errorf("%d bytes of resident memory, want at most %d", peak, most)
	}
	if heap := client.Scrape().Value(t, "go_gc_gomemlimit_bytes"); heap != limit {
		t.Errorf("the limit in effect is %v, want %d", heap, limit)
	}
	sw.CheckAfterFault(d)
}
