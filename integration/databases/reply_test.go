package databases

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// These tests are about replies of Redis that take too long, or too much.

// TestDrippingReplies has a server that sends each reply one byte at a time: it holds
// up neither the loop nor the end of the process, whether the daemon connects or works.
func TestDrippingReplies(t *testing.T) {
	switchtest.Alongside(t)
	// The shortest reply, ":1\r\n", takes longer than all of an exchange may, and no
	// byte does.
	drip := switchtest.ProxyFault{Drip: 700 * time.Millisecond}
	awaitDrops := func(t *testing.T, p *switchtest.Proxy) {
		t.Helper()
		switchtest.Eventually(t, switchtest.Patience, func() string {
			if passed, _ := p.Count(); passed[1] == 0 {
				return "no reply under way"
			}
			return ""
		})
	}
	t.Run("connecting", func(t *testing.T) {
		c, p := switchtest.NewProxyCell(t)
		if c == nil {
			return
		}
		c.Configure(1)
		p.Set(drip)
		d := c.Start(switchtest.Launch{})
		awaitDrops(t, p)
		d.DiesBy(syscall.SIGTERM, "connecting")
	})
	t.Run("working", func(t *testing.T) {
		c, p := switchtest.NewProxyCell(t)
		if c == nil {
			return
		}
		d := c.BringUp(1)
		from := c.Logs.Len()
		p.Set(drip)
		c.Ip("link set " + switchtest.PortName(0) + " mtu 1300")
		c.AwaitLog(from, switchtest.Patience, "Redis connection lost")
		p.Set(switchtest.ProxyFault{})
		p.CutAll()
		c.AwaitInStep(switchtest.Patience)

		p.Set(drip)
		c.Ip("link set " + switchtest.PortName(0) + " mtu 1400")
		awaitDrops(t, p)
		d.DiesBy(syscall.SIGTERM, "working")
	})
}

// TestLargeConfigRow: one PORT row, and one LOGGER row, with a value above all limits
// cost these rows alone, and the log names the port.
func TestLargeConfigRow(t *testing.T) {
	c, _ := switchtest.NewRedisCell(t)
	if c == nil {
		return
	}
	c.Configure(2)
	const size = 66 << 20
	c.Do("CONFIG_DB", "EVAL", "return redis.call('HSET', KEYS[1], 'lanes', string.rep('0', tonumber(ARGV[1])))", "1",
		"PORT|"+switchtest.PortName(2), "70000000")
	c.Do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "DESCRIPTION", strings.Repeat("x", size))
	d := c.StartReady()
	c.AwaitLog(0, switchtest.Patience, "PORT|"+switchtest.PortName(2), "too large")
	c.Pop()
	for n := range 2 {
		c.AddPort(switchtest.PortName(n))
	}
	c.AwaitInitDone()
	c.Recovered("start")
	if c.Exists("APPL_DB", "PORT_TABLE:"+switchtest.PortName(2)) {
		t.Error("the large row was handed over")
	}
	c.Unharmed(d)
}
