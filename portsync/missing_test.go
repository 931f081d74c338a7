package portsync_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/syslog"
	"portsyncd/portsync"
)

// The times of these tests: what ports have to come, what an interface may be away, what is longer than
// that, and how late a change may be noticed (CONFIG_DB is read 100 ms after a change). Two waits of long
// are shorter than lateAfter.
const (
	lateAfter    = 8 * time.Second
	missingAfter = 2 * time.Second
	long         = 2500 * time.Millisecond
	noticed      = 200 * time.Millisecond
)

// alarms collects the lines above NOTICE.
type alarms struct {
	mu    sync.Mutex
	lines []string
}

func (a *alarms) Enabled(_ context.Context, l slog.Level) bool { return l > syslog.LevelNotice }
func (a *alarms) WithAttrs([]slog.Attr) slog.Handler           { return a }
func (a *alarms) WithGroup(string) slog.Handler                { return a }
func (a *alarms) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(attr slog.Attr) bool { line += " " + attr.String(); return true })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, line)
	return nil
}

func (a *alarms) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.lines)
}

// newMissingBench is a loop with both ports that is healthy, and its health monitor. The test must run in
// a synctest bubble.
func newMissingBench(t *testing.T) (*bench, *portsync.HealthMonitor, *alarms) {
	t.Helper()
	a := new(alarms)
	b := newFakeBench(t, func(o *portsync.Options) {
		o.LateAfter, o.MissingAfter, o.Log = lateAfter, missingAfter, slog.New(a)
		o.Open.Log = o.Log
	})
	b.start()
	m := portsync.NewHealthMonitor(b.status, nil, b.set)
	b.awaitHealth(m, "")
	return b, m, a
}

// neverMissing checks for the given time that health does not report a missing port.
func (b *bench) neverMissing(m *portsync.HealthMonitor, during time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if h := m.Health(); h.Codes() != "" {
			b.t.Fatalf("%+v", h)
		}
	}
}

func (b *bench) configure(ports ...string) {
	b.t.Helper()
	for _, port := range ports {
		b.do(lab.ConfigDB, "HSET", "PORT|"+port, "lanes", "0")
	}
}

// plug has orchagent make a port: a row in APPL_DB, then the interface.
func (b *bench) plug(ports ...string) {
	b.t.Helper()
	for _, port := range ports {
		b.do(lab.ApplDB, "HSET", "PORT_TABLE:"+port, "lanes", "0")
		b.must(b.kernel.AddVeth(port, "p"+port))
		b.await(port, "1500")
	}
}

// TestMissing checks that a configured port whose interface vanishes is reported as missing after
// a time, until the interface is back or CONFIG_DB no longer has the port.
func TestMissing(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(b *bench)
	}{
		{"the interface is back", func(b *bench) { b.must(b.kernel.AddVeth("Ethernet4", "p4")) }},
		{"the row is gone", func(b *bench) { b.do(lab.ConfigDB, "DEL", "PORT|Ethernet4") }},
		{"CONFIG_DB is flushed", func(b *bench) { b.do(lab.ConfigDB, "FLUSHDB") }},
	} {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, m, _ := newMissingBench(t)
				begun := time.Now()
				b.must(b.kernel.Delete("Ethernet4"))
				h := b.awaitHealth(m, "ports_missing")
				if took := time.Since(begun); took < missingAfter || took > missingAfter+noticed {
					t.Errorf("it is missing after %v, want %v", took, missingAfter)
				}
				if h.Status != portsync.Degraded || h.Reasons[0].Text != "a configured port has no interface: Ethernet4" {
					t.Errorf("%+v", h)
				}
				if text := string(b.set.AppendText(nil)); !strings.Contains(text, "\nportsyncd_ports_missing 1\n") {
					t.Error("portsyncd_ports_missing is not 1")
				}
				if p := b.port("Ethernet4"); p == nil || p.State != "absent" || p.Present || !p.Configured {
					t.Errorf("%+v", p)
				}
				end.do(b)
				b.awaitHealth(m, "")
				if text := string(b.set.AppendText(nil)); !strings.Contains(text, "\nportsyncd_ports_missing 0\n") {
					t.Error("portsyncd_ports_missing is not 0")
				}
			})
		})
	}
}

// port returns what the view shows of a port, nil if it is not shown.
func (b *bench) port(name string) *portsync.PortView {
	v := b.status.View(time.Now())
	for i := range v.Ports {
		if v.Ports[i].Name == name {
			return &v.Ports[i]
		}
	}
	return nil
}

// TestMissingNames checks that the text lists the first names in order and escapes them.
func TestMissingNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m, _ := newMissingBench(t)
		names := []string{"Ethernet8", "Ethernet12", "Ethernet16", "Ethernet20", "Ethernet24", "Ethernet28", "Ethernet\x1b[2J",
			"Ethernet40", "Ethernet44"}
		b.configure(names...)
		awaitText := func(want string) {
			t.Helper()
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
				h := m.Health()
				if len(h.Reasons) == 1 && h.Reasons[0].Text == want {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("%+v, want %q", h, want)
				}
			}
		}
		awaitText(`9 configured ports have no interface: Ethernet8, Ethernet12, Ethernet16, Ethernet20, Ethernet24, Ethernet28, Ethernet40, Ethernet44 and 1 more`)
		for _, name := range names[:6] {
			b.do(lab.ConfigDB, "DEL", "PORT|"+name)
		}
		awaitText(`3 configured ports have no interface: Ethernet40, Ethernet44, Ethernet\x1b[2J`)
	})
}

// TestAddedLater checks that an added port is pending, and missing only if its interface does not
// appear within LateAfter.
func TestAddedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, m, _ := newMissingBench(t)
		begun := time.Now()
		b.configure("Ethernet8")
		v := b.awaitView("the port", func(v *portsync.View) bool { return findPending(v, "Ethernet8") != nil })
		if p := findPending(&v, "Ethernet8"); p.Why != "it has no interface" || p.From.Before(begun.Add(-time.Second)) || p.From.After(time.Now()) {
			t.Errorf("%+v", p)
		}
		if p := b.port("Ethernet8"); p == nil || p.State != "pending" || p.InitPending || v.Counts.Pending != 0 {
			t.Errorf("%+v, %d awaited", p, v.Counts.Pending)
		}
		b.awaitHealth(m, "ports_missing")
		if took := time.Since(begun); took < lateAfter || took > lateAfter+noticed {
			t.Errorf("it is missing after %v, want %v", took, lateAfter)
		}
		b.plug("Ethernet8")
		b.awaitHealth(m, "")
		// From now on it is a port like the others.
		b.must(b.kernel.Delete("Ethernet8"))
		b.awaitHealth(m, "ports_missing")
	})
}

// TestNotMissing checks that usual operations, such as a breakout or a config reload, make no port
// missing.
func TestNotMissing(t *testing.T) {
	split := []string{"Ethernet4", "Ethernet5", "Ethernet6", "Ethernet7"}
	for _, c := range []struct {
		name string
		do   func(b *bench, m *portsync.HealthMonitor)
	}{
		{"an interface is made again", func(b *bench, m *portsync.HealthMonitor) {
			b.must(b.kernel.Delete("Ethernet4"))
			b.neverMissing(m, missingAfter/20)
			b.must(b.kernel.AddVeth("Ethernet4", "p4"))
		}},
		{"port breakout, rows first", func(b *bench, m *portsync.HealthMonitor) {
			b.do(lab.ConfigDB, "DEL", "PORT|Ethernet4")
			b.awaitConfigured(1)
			b.do(lab.ApplDB, "DEL", "PORT_TABLE:Ethernet4")
			b.must(b.kernel.Delete("Ethernet4"))
			b.neverMissing(m, long)
			b.configure(split...)
			b.neverMissing(m, long)
			b.plug(split...)
		}},
		{"port breakout, all at once", func(b *bench, m *portsync.HealthMonitor) {
			b.do(lab.ConfigDB, "DEL", "PORT|Ethernet4")
			b.do(lab.ApplDB, "DEL", "PORT_TABLE:Ethernet4")
			b.must(b.kernel.Delete("Ethernet4"))
			b.configure(split...) // before anyone can have read that Ethernet4 was gone
			b.neverMissing(m, long)
			b.plug(split...)
		}},
		{"port breakout, interface first", func(b *bench, m *portsync.HealthMonitor) {
			b.must(b.kernel.Delete("Ethernet4"))
			b.neverMissing(m, missingAfter/20)
			b.do(lab.ConfigDB, "DEL", "PORT|Ethernet4")
			b.neverMissing(m, long)
			b.configure(split...)
			b.plug(split...)
		}},
		{"config reload", func(b *bench, m *portsync.HealthMonitor) {
			b.do(lab.ConfigDB, "FLUSHDB")
			b.neverMissing(m, long)
			b.configure("Ethernet0", "Ethernet4")
			b.neverMissing(m, long)
			b.must(b.kernel.Delete("Ethernet0"), b.kernel.Delete("Ethernet4"))
			b.neverMissing(m, long)
			b.plug("Ethernet0", "Ethernet4")
		}},
		{"config reload at once", func(b *bench, m *portsync.HealthMonitor) {
			b.do(lab.ConfigDB, "FLUSHDB")
			b.configure("Ethernet0", "Ethernet4")
			b.must(b.kernel.Delete("Ethernet0"), b.kernel.Delete("Ethernet4"))
			b.neverMissing(m, long)
			b.plug("Ethernet0", "Ethernet4")
		}},
		{"restart of swss", func(b *bench, m *portsync.HealthMonitor) {
			b.do(lab.ApplDB, "FLUSHDB")
			b.do(lab.StateDB, "FLUSHDB")
			b.neverMissing(m, long)
			b.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet0", "lanes", "0")
			b.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet4", "lanes", "0")
			b.await("Ethernet0", "1500")
			b.await("Ethernet4", "1500")
		}},
		{"all databases are flushed and filled again", func(b *bench, m *portsync.HealthMonitor) {
			b.do(0, "FLUSHALL")
			b.neverMissing(m, long)
			b.configure("Ethernet0")
			b.neverMissing(m, long)
			b.configure("Ethernet4")
			b.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet0", "lanes", "0")
			b.do(lab.ApplDB, "HSET", "PORT_TABLE:Ethernet4", "lanes", "0")
			b.await("Ethernet0", "1500")
			b.await("Ethernet4", "1500")
		}},
		{"a row whose name no port has", func(b *bench, m *portsync.HealthMonitor) {
			b.configure("eth7")
			b.neverMissing(m, lateAfter+long)
			b.do(lab.ConfigDB, "DEL", "PORT|eth7")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, m, a := newMissingBench(t)
				c.do(b, m)
				b.neverMissing(m, 100*time.Millisecond)
				b.awaitView("nothing pending", func(v *portsync.View) bool { return len(v.Pending) == 0 })
				b.stop()
				for _, line := range a.all() {
					t.Errorf("logged: %s", line)
				}
			})
		})
	}
}

// TestNeverThere checks that before PortInitDone a port that never had an interface is pending,
// whatever it lacks, and that a port whose interface vanished is missing.
func TestNeverThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBench(t, func(o *portsync.Options) { o.LateAfter, o.MissingAfter = time.Hour, missingAfter })
		b.run()
		m := portsync.NewHealthMonitor(b.status, nil, b.set)
		b.plug("Ethernet4")
		b.configure("Ethernet8")
		b.awaitHealth(m, "")
		b.neverMissing(m, long)
		b.must(b.kernel.Delete("Ethernet4"))
		h := b.awaitHealth(m, "ports_missing")
		if h.Reasons[0].Text != "a configured port has no interface: Ethernet4" {
			t.Errorf("%+v", h)
		}
	})
}
