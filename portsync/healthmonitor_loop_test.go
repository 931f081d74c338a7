package portsync_test

import (
	"strings"
	"testing"
	"time"

	"portsyncd/portsync"
)

// awaitHealth waits until the judge gives just these codes as reasons, and looks
// whether a scrape says the same.
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

// series returns what a scrape shows of a reason.
func (b *bench) series(code string) string {
	_, value, _ := strings.Cut(string(b.set.AppendText(nil)), `portsyncd_health_reason{code="`+code+`"} `)
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// TestHealthOfDumps: a kernel whose dumps prove nothing makes the daemon
// unhealthy after a second, until one does.
func TestHealthOfDumps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	m := portsync.NewHealthMonitor(b.status, nil, b.set)
	b.awaitHealth(m, "")
	b.kernel.InterruptDumps(1 << 30)
	b.do(0, "FLUSHALL") // has the daemon dump the links
	h := b.awaitHealth(m, "dump_incomplete")
	if h.Status != portsync.Unhealthy || h.Score != 60 || b.series("dump_incomplete") != "1" {
		t.Errorf("%+v, series %q", h, b.series("dump_incomplete"))
	}
	b.kernel.InterruptDumps(0)
	b.awaitHealth(m, "")
	if v := b.series("dump_incomplete"); v != "0" {
		t.Errorf("healthy, series %q", v)
	}
}

// TestHealthOfPortInitDone: it is late while a port is missing, and not once
// that one has come.
func TestHealthOfPortInitDone(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, func(o *portsync.Options) { o.LateAfter = 100 * time.Millisecond })
	b.run()
	m := portsync.NewHealthMonitor(b.status, nil, b.set)
	b.must(b.kernel.AddVeth("Ethernet4", "p4"))
	h := b.awaitHealth(m, "port_init_late")
	if h.Status != portsync.Degraded || h.Score != 80 || !strings.HasSuffix(h.Reasons[0].Text, "waits for: 1") {
		t.Errorf("%+v", h)
	}
	if v := b.series("port_init_late"); v != "1" {
		t.Errorf("series %q", v)
	}
	b.must(b.kernel.AddVeth("Ethernet0", "p0"))
	b.awaitInitDone()
	b.awaitHealth(m, "")
}
