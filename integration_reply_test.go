package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests are about replies of Redis that take too long, or too much.

// TestDrippingReplies has a server that sends each reply one byte at a time: it holds
// up neither the loop nor the end of the process, whether the daemon connects or works.
func TestDrippingReplies(t *testing.T) {
	alongside(t)
	// The shortest reply, ":1\r\n", takes longer than all of an exchange may, and no
	// byte does.
	drip := proxyFault{drip: 700 * time.Millisecond}
	awaitDrops := func(t *testing.T, p *proxy) {
		t.Helper()
		eventually(t, patience, func() string {
			if passed, _ := p.count(); passed[1] == 0 {
				return "no reply under way"
			}
			return ""
		})
	}
	t.Run("connecting", func(t *testing.T) {
		c, p := newProxyCell(t)
		if c == nil {
			return
		}
		c.configure(1)
		p.set(drip)
		d := c.start(launch{})
		awaitDrops(t, p)
		d.diesBy(syscall.SIGTERM, "connecting")
	})
	t.Run("working", func(t *testing.T) {
		c, p := newProxyCell(t)
		if c == nil {
			return
		}
		d := c.bringUp(1)
		from := c.logs.len()
		p.set(drip)
		c.ip("link set " + portName(0) + " mtu 1300")
		c.awaitLog(from, patience, "Redis connection lost")
		p.set(proxyFault{})
		p.cutAll()
		c.awaitInStep(patience)

		p.set(drip)
		c.ip("link set " + portName(0) + " mtu 1400")
		awaitDrops(t, p)
		d.diesBy(syscall.SIGTERM, "working")
	})
}

// TestLargeConfigRow: one PORT row, and one LOGGER row, with a value above all limits
// cost these rows alone, and the log names the port.
func TestLargeConfigRow(t *testing.T) {
	c, _ := newRedisCell(t)
	if c == nil {
		return
	}
	c.configure(2)
	const size = 66 << 20
	c.do("CONFIG_DB", "EVAL", "return redis.call('HSET', KEYS[1], 'lanes', string.rep('0', tonumber(ARGV[1])))", "1",
		"PORT|"+portName(2), "70000000")
	c.do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "DESCRIPTION", strings.Repeat("x", size))
	d := c.startReady()
	c.awaitLog(0, patience, "PORT|"+portName(2), "too large")
	c.pop()
	for n := range 2 {
		c.addPort(portName(n))
	}
	c.awaitInitDone()
	c.recovered("start")
	if c.exists("APPL_DB", "PORT_TABLE:"+portName(2)) {
		t.Error("the large row was handed over")
	}
	c.unharmed(d)
}
