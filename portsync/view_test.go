package portsync_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/portsync"
)

// awaitView waits until cond is true for the view.
func (b *bench) awaitView(what string, cond func(*portsync.View) bool) portsync.View {
	b.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		v := b.status.View(time.Now())
		if cond(&v) {
			return v
		}
		if time.Now().After(deadline) {
			text, _ := json.MarshalIndent(v, "", "  ")
			b.t.Fatalf("timeout waiting for %s, the view is %s", what, text)
		}
	}
}

// findPending returns the entry of v.Pending for what, or nil.
func findPending(v *portsync.View, what string) *portsync.Pending {
	i := slices.IndexFunc(v.Pending, func(p portsync.Pending) bool { return p.What == what })
	if i < 0 {
		return nil
	}
	return &v.Pending[i]
}

// TestViewZero checks that the view of a loop that has not started has no nil slices, which would be
// null in JSON.
func TestViewZero(t *testing.T) {
	v := new(portsync.Status).View(time.Now())
	if v.Ports == nil || v.Pending == nil || v.Databases == nil || v.Hour == nil {
		t.Errorf("nil slice in the zero view: %+v", v)
	}
}

// TestViewOfStart checks the view during a start while Redis is loading, while a port is pending, and
// after PortInitDone.
func TestViewOfStart(t *testing.T) {
	b := newBench(t)
	started := time.Now()
	b.db.SetFault(lab.Fault{Error: lab.Loading})
	b.run()
	v := b.awaitView("the error of a loading database", func(v *portsync.View) bool {
		return v.Databases[0].Error != "" && v.Databases[0].Address != ""
	})
	if p := findPending(&v, "databases"); p == nil || p.Why != v.Databases[0].Error || p.From.Before(started.Add(-time.Second)) {
		t.Errorf("pending: %+v, databases: %+v", v.Pending, v.Databases)
	}
	if len(v.Databases) != 3 || v.Databases[2].Name != "CONFIG_DB" || v.Databases[2].Up || v.Start.Kind != "" {
		t.Errorf("databases: %+v, start: %+v", v.Databases, v.Start)
	}
	b.db.SetFault(lab.Fault{})
	b.must(b.kernel.AddVeth("Ethernet4", "p4"), b.kernel.SetUp("p4", true), b.kernel.SetUp("Ethernet4", true))
	v = b.awaitView("one pending port", func(v *portsync.View) bool {
		return v.Start.Ready && v.Counts.Up == 1 && findPending(v, "write") == nil
	})
	if p := findPending(&v, "Ethernet0"); p == nil || p.Why != "it has no interface" || p.From.Before(started.Add(-time.Second)) {
		t.Errorf("pending: %+v", v.Pending)
	}
	if findPending(&v, "Ethernet4") != nil || findPending(&v, "PortInitDone") == nil || findPending(&v, "databases") != nil {
		t.Errorf("pending: %+v", v.Pending)
	}
	if s := v.Start; s.Kind != "cold" || s.Reason == "" || s.SyncNanos <= 0 || !s.ConfigDone || s.InitDone ||
		s.LastResync == nil || s.LastAudit != nil {
		t.Errorf("start: %+v", s)
	}
	if c := v.Counts; c.Configured != 2 || c.Present != 1 || c.Up != 1 || c.Events == 0 || c.Writes == 0 || c.LastWritten == nil {
		t.Errorf("counts: %+v", c)
	}
	if d := v.Databases[1]; !d.Up || d.Error != "" || d.Since.Before(started.Add(-time.Second)) {
		t.Errorf("databases: %+v", v.Databases)
	}
	if len(v.Ports) != 2 || v.Ports[0].Name != "Ethernet0" || !v.Ports[0].InitPending || v.Ports[1].Oper != "up" {
		t.Errorf("ports: %+v", v.Ports)
	}
	b.must(b.kernel.AddVeth("Ethernet0", "p0"))
	v = b.awaitView("nothing pending", func(v *portsync.View) bool { return v.Start.InitDone && len(v.Pending) == 0 })
	total := uint64(0)
	for _, m := range v.Hour {
		total += m.Writes
	}
	if total != v.Counts.Writes {
		t.Errorf("%d writes in the last hour, %d in total", total, v.Counts.Writes)
	}
}

// TestViewOfRefusal checks the backlog and its age while Redis refuses a write.
func TestViewOfRefusal(t *testing.T) {
	b := newBench(t)
	b.start()
	b.awaitView("the end of the initial sync", func(v *portsync.View) bool { return v.Start.Ready })
	b.must(b.kernel.SetMTU("Ethernet4", 9000)) // the last message before the refusals
	b.await("Ethernet4", "9000")
	b.db.SetFault(lab.Fault{Error: lab.OutOfMemory, WritesOnly: true})
	b.must(b.kernel.SetMTU("Ethernet0", 9100))
	v := b.awaitView("one row in the backlog", func(v *portsync.View) bool {
		return findPending(v, "write") != nil && v.Backlog.WaitSeconds > 0.1
	})
	if v.Backlog.Ports != 1 {
		t.Errorf("backlog: %+v", v.Backlog)
	}
	b.db.SetFault(lab.Fault{})
	b.awaitView("an empty backlog", func(v *portsync.View) bool {
		return findPending(v, "write") == nil && v.Backlog == portsync.BacklogView{}
	})
}

// TestViewOfFlaps checks that the flap penalty counts link-down transitions whose messages were
// merged, and that it decays.
func TestViewOfFlaps(t *testing.T) {
	b := newBench(t)
	b.start()
	b.must(b.kernel.SetUp("p0", true), b.kernel.SetUp("Ethernet0", true))
	v := b.awaitView("a port that is up", func(v *portsync.View) bool { return v.Counts.Up == 1 })
	// The kernel counts one link-down transition at the creation. It counts as a flap if the port was
	// created after the initial dump.
	downs, before := v.Ports[0].CarrierDown, v.Ports[0].Penalty
	for range 5 {
		b.must(b.kernel.SetUp("p0", false), b.kernel.SetUp("p0", true))
	}
	v = b.awaitView("five flaps", func(v *portsync.View) bool {
		p := v.Ports[0] // a view can have some values from before an event and some from after it
		return p.CarrierDown == downs+5 && p.Penalty >= before+4900 && p.Flapping
	})
	if p := v.Ports[0]; p.Penalty > before+5000 {
		t.Errorf("after 5 flaps, with a penalty of %v before: %+v", before, p)
	}
	if p := v.Ports[1]; p.Penalty > 1000 || p.Flapping {
		t.Errorf("without flaps: %+v", p)
	}
	if p := b.status.View(time.Now().Add(2 * time.Hour)).Ports[0]; p.Penalty > 50 || p.Flapping {
		t.Errorf("two hours later: %+v", p)
	}
}

// TestViewWhileDisconnected checks that ports have the kernel's state and are not written while Redis
// is disconnected, that all are written after the reconnect, and that health is never "stalled".
func TestViewWhileDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxStall = 4 * time.Second // a busy machine may delay the writes after the reconnect
		b := newFakeBench(t, func(o *portsync.Options) { o.MaxStall = maxStall })
		m := portsync.NewHealthMonitor(b.status, nil, b.set)
		b.start()
		b.must(b.kernel.SetUp("p0", true), b.kernel.SetUp("Ethernet0", true))
		port := func(v *portsync.View, name string) *portsync.PortView {
			return &v.Ports[slices.IndexFunc(v.Ports, func(p portsync.PortView) bool { return p.Name == name })]
		}
		b.awaitView("a port that is up and written", func(v *portsync.View) bool {
			p := port(v, "Ethernet0")
			return p.Oper == "up" && p.Written && p.State == "present"
		})
		b.db.SetFault(lab.Fault{CutAfter: 1})
		b.db.Disconnect()
		b.awaitView("the loss of the connection", func(v *portsync.View) bool { return !v.Databases[0].Up })
		b.must(b.kernel.SetUp("p0", false), b.kernel.Delete("Ethernet4"))
		v := b.awaitView("the kernel's state", func(v *portsync.View) bool {
			return port(v, "Ethernet0").Oper == "down" && port(v, "Ethernet4").State == "absent"
		})
		if p := port(&v, "Ethernet0"); p.Written || p.State != "present" || p.Admin != "up" || p.LastChange == nil {
			t.Errorf("Ethernet0 while Redis is disconnected: %+v", p)
		}
		if p := port(&v, "Ethernet4"); p.Written || p.Index != 0 || p.Oper != "" || p.LastChange == nil {
			t.Errorf("deleted Ethernet4 while Redis is disconnected: %+v", p)
		}
		text := string(b.set.AppendText(nil))
		for _, line := range []string{`portsyncd_port_oper_up{port="Ethernet0"} 0`, `portsyncd_port_written{port="Ethernet0"} 0`,
			`portsyncd_port_present{port="Ethernet4"} 0`, `portsyncd_port_written{port="Ethernet4"} 0`} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("no %s in\n%s", line, text)
			}
		}
		for begin := time.Now(); time.Since(begin) < maxStall*3/2; time.Sleep(5 * time.Millisecond) {
			if h := m.Health(); strings.Contains(h.Codes(), "stalled") {
				t.Fatalf("reasons %q while Redis is disconnected, want no stall", h.Codes())
			}
		}
		b.db.SetFault(lab.Fault{Delay: 5 * time.Millisecond})
		b.awaitView("all written", func(v *portsync.View) bool {
			if h := m.Health(); strings.Contains(h.Codes(), "stalled") {
				t.Fatalf("reasons %q after the reconnect, want no stall", h.Codes())
			}
			p, gone := port(v, "Ethernet0"), port(v, "Ethernet4")
			return p.Written && p.Oper == "down" && gone.Written && gone.State == "absent" && v.Backlog.Ports == 0
		})
	})
}
