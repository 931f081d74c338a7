package databases

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// These tests are about replies of Redis that are too slow or too large.

// TestSlowReplies checks that a server which sends its replies one byte at a time delays neither
// the event loop nor the end of the process.
func TestSlowReplies(t *testing.T) {
	switchtest.Parallel(t)
	// Even the shortest reply, ":1\r\n", takes longer than a request may take. No single
	// byte does.
	drip := switchtest.ProxyFault{Drip: 700 * time.Millisecond}
	awaitDrops := func(t *testing.T, p *switchtest.Proxy) {
		t.Helper()
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if passed, _ := p.Count(); passed[1] == 0 {
				return "no reply in progress"
			}
			return ""
		})
	}
	t.Run("connecting", func(t *testing.T) {
		sw, p := switchtest.NewWithProxy(t)
		if sw == nil {
			return
		}
		sw.ConfigurePorts(1)
		p.Set(drip)
		d := sw.Start(switchtest.StartOptions{})
		awaitDrops(t, p)
		d.EndBySignal(syscall.SIGTERM, "connecting")
	})
	t.Run("working", func(t *testing.T) {
		sw, p := switchtest.NewWithProxy(t)
		if sw == nil {
			return
		}
		d := sw.BringUp(1)
		from := sw.Logs.Len()
		p.Set(drip)
		sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1300")
		sw.AwaitLog(from, switchtest.Timeout, "Redis connection lost")
		p.Set(switchtest.ProxyFault{})
		p.CutAll()
		sw.AwaitInSync(switchtest.Timeout)
		sw.CheckSelfReport(d)

		p.Set(drip)
		sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
		awaitDrops(t, p)
		d.EndBySignal(syscall.SIGTERM, "working")
	})
}

// TestLargeConfigRow checks that a PORT row and a LOGGER row with a value above all limits affect
// only themselves, and that the log names the port.
func TestLargeConfigRow(t *testing.T) {
	sw, _ := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	const size = 66 << 20
	sw.Do("CONFIG_DB", "EVAL", "return redis.call('HSET', KEYS[1], 'lanes', string.rep('0', tonumber(ARGV[1])))", "1",
		"PORT|"+switchtest.PortName(2), "70000000")
	sw.Do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "DESCRIPTION", strings.Repeat("x", size))
	d := sw.StartReady()
	sw.AwaitLog(0, switchtest.Timeout, "PORT|"+switchtest.PortName(2), "too large")
	sw.PopPortTable()
	for n := range 2 {
		sw.AddPort(switchtest.PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitRecovery("start")
	if sw.Exists("APPL_DB", "PORT_TABLE:"+switchtest.PortName(2)) {
		t.Error("the large row was produced")
	}
	sw.CheckAfterFault(d)
}
