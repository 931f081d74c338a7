package portsync

import (
	"fmt"
	"testing"
)

// TestBatchMerges checks that later states of a port replace earlier ones, and that deletions are
// kept.
func TestBatchMerges(t *testing.T) {
	for _, c := range []struct {
		name        string
		initPending bool
		actions     []ActionKind
		want        string
	}{
		{"one state", false, []ActionKind{Publish}, "set"},
		{"two states", false, []ActionKind{Publish, Publish}, "set"},
		{"deletion", false, []ActionKind{Delete}, "del"},
		{"state, deletion", false, []ActionKind{Publish, Delete}, "del look"}, // whether its message is of an unknown port
		{"re-creation", false, []ActionKind{Publish, Delete, Publish}, "del set look"},
		{"deleted, made, deleted", false, []ActionKind{Delete, Publish, Delete}, "del look"},
		// PortInitDone waits for the port, and it has been there.
		{"init pending: state, deletion", true, []ActionKind{Publish, Delete}, "del look"},
		{"init pending: re-creation", true, []ActionKind{Publish, Delete, Publish}, "del set look"},
		{"init pending: deletion", true, []ActionKind{Delete}, "del"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Port{Name: "Ethernet0", InitPending: c.initPending}
			var b Batch
			for i, kind := range c.actions {
				b.Add(Action{Kind: kind, Port: p}, int64(i+1))
			}
			if b.Len() != 1 {
				t.Fatalf("%d entries for one port", b.Len())
			}
			got := ""
			for _, w := range []struct {
				on   bool
				word string
			}{{p.pending.del, "del"}, {p.pending.set, "set"}, {p.pending.lookup, "look"}} {
				if w.on {
					got += " " + w.word
				}
			}
			if got != " "+c.want {
				t.Errorf("%v leaves%s, want %s", c.actions, got, c.want)
			}
			if p.pending.since != 1 {
				t.Errorf("waiting since %d, want the first action's 1", p.pending.since)
			}
		})
	}
}

// TestBatchComplete checks that Complete removes the ports with an answer and keeps those without
// one.
func TestBatchComplete(t *testing.T) {
	var b Batch
	ports := make([]*Port, 5)
	for i := range ports {
		ports[i] = &Port{Name: fmt.Sprint("Ethernet", i)}
		b.Add(Action{Kind: Publish, Port: ports[i]}, 1)
	}
	ports[0].Answer(OutcomeAccepted)
	ports[2].Answer(OutcomeNotAccepted)
	ports[4].Answer(OutcomeAccepted)
	done := ""
	b.Complete(func(p *Port, was pending) { done += fmt.Sprintf("%s %t, ", p.Name, was.result == OutcomeAccepted) })
	if want := "Ethernet0 true, Ethernet2 false, Ethernet4 true, "; done != want {
		t.Errorf("settled %q, want %q", done, want)
	}
	if b.Len() != 2 || b.ports[0] != ports[1] || b.ports[1] != ports[3] || !ports[1].Set() {
		t.Errorf("what failed is not kept as it was: %v", b.ports)
	}
	if ports[0].Set() {
		t.Error("a settled port is still wanted")
	}
	b.Add(Action{Kind: Delete, Port: ports[1]}, 2)
	if b.Len() != 2 || ports[1].pending.since != 1 {
		t.Errorf("a port that failed was queued twice or forgot since when it waits")
	}
}

// BenchmarkBatch measures four states of each of 64 ports, merged and acknowledged.
func BenchmarkBatch(b *testing.B) {
	ports := make([]*Port, 64)
	for i := range ports {
		ports[i] = &Port{Name: fmt.Sprint("Ethernet", 4*i)}
	}
	var batch Batch
	settled := 0
	b.ReportAllocs()
	for b.Loop() {
		for n := range 4 * len(ports) {
			batch.Add(Action{Kind: Publish, Port: ports[n%len(ports)]}, int64(n))
		}
		for _, p := range ports {
			p.Answer(OutcomeAccepted)
		}
		batch.Complete(func(*Port, pending) { settled++ })
	}
	if batch.Len() != 0 || settled == 0 {
		b.Fatalf("%d ports are left, %d settled", batch.Len(), settled)
	}
}
