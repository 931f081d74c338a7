package portsync_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/portsync"
)

// awaitHealth waits until health has exactly these reason codes.
func (b *bench) awaitHealth(m *portsync.HealthMonitor, codes string) portsync.Health {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		h := m.Health()
		if h.Codes() == codes {
			return h
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("reasons %q, want %q", h.Codes(), codes)
		}
	}
}

// series returns the value of portsyncd_health_reason for a code.
func (b *bench) series(code string) string {
	_, value, _ := strings.Cut(string(b.set.AppendText(nil)), `portsyncd_health_reason{code="`+code+`"} `)
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// TestHealthOfDumps checks that interrupted dumps make the daemon unhealthy after a second, and
// that a complete dump makes it healthy again.
func TestHealthOfDumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBench(t, func(*portsync.Options) {})
		b.start()
		m := portsync.NewHealthMonitor(b.status, nil, b.set)
		b.awaitHealth(m, "")
		b.kernel.InterruptDumps(1 << 30)
		b.do(0, "FLUSHALL") // the daemon requests a dump
		h := b.awaitHealth(m, "dump_incomplete")
		if h.Status != portsync.Unhealthy || h.Score != 60 || b.series("dump_incomplete") != "1" {
			t.Errorf("%+v, series %q", h, b.series("dump_incomplete"))
		}
		b.kernel.InterruptDumps(0)
		b.awaitHealth(m, "")
		if v := b.series("dump_incomplete"); v != "0" {
			t.Errorf("healthy, series %q", v)
		}
	})
}

// TestHealthOfPortInitDone checks that PortInitDone is late while a port has no interface, and not
// after the interface was created.
func TestHealthOfPortInitDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBench(t, func(o *portsync.Options) { o.LateAfter = 100 * time.Millisecond })
		b.run()
		m := portsync.NewHealthMonitor(b.status, nil, b.set)
		b.must(b.kernel.AddVeth("Ethernet4", "p4"))
		b.await("Ethernet4", "1500")
		h := b.awaitHealth(m, "port_init_late")
		if h.Status != portsync.Degraded || h.Score != 80 || !strings.HasSuffix(h.Reasons[0].Text, "pending ports: 1") {
			t.Errorf("%+v", h)
		}
		if v := b.series("port_init_late"); v != "1" {
			t.Errorf("series %q", v)
		}
		b.must(b.kernel.AddVeth("Ethernet0", "p0"))
		b.awaitInitDone()
		b.awaitHealth(m, "")
	})
}
