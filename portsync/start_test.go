package portsync

import (
	"slices"
	"testing"
)

func TestDecide(t *testing.T) {
	ports := []PortConfig{{Name: "Ethernet0"}, {Name: "Ethernet4", HasAdmin: true}}
	both, without := []string{"Ethernet0", "Ethernet4"}, []string{"Ethernet0"}
	const once, later, never = ProduceAtOnce, ProduceAfterEOIU, ProduceNever
	for _, c := range []struct {
		name    string
		facts   Facts
		kind    StartKind
		count   string
		keep    bool
		produce Produce
		await   []string
	}{
		{"nothing set", Facts{}, ColdStart, "0", false, once, without},
		{"count alone", Facts{RestoreCount: "7"}, ColdStart, "0", false, once, without},
		{"dpu", Facts{SwitchType: "dpu"}, ColdStart, "0", true, once, without},
		{"not quite dpu", Facts{SwitchType: "DPU"}, ColdStart, "0", false, once, without},
		{"enabled without count", Facts{WarmEnabled: true}, ColdStart, "0", false, once, without},
		{"warm", Facts{WarmEnabled: true, RestoreCount: "3"}, WarmStart, "4", true, never, both},
		{"warm from 0", Facts{WarmEnabled: true, RestoreCount: "0"}, WarmStart, "1", true, never, both},
		{"warm over markers", Facts{WarmEnabled: true, RestoreCount: "3", InitDone: true}, WarmStart, "4", true, never, both},
		{"warm with file", Facts{WarmEnabled: true, RestoreCount: "3", InitDone: true, Remembered: true}, WarmStart, "4", true, never, both},
		{"32 bit", Facts{WarmEnabled: true, RestoreCount: "4294967295"}, WarmStart, "0", true, never, both},
		{"too large", Facts{WarmEnabled: true, RestoreCount: "4294967296"}, ColdStart, "0", false, once, without},
		{"a word", Facts{WarmEnabled: true, RestoreCount: "abc"}, ColdStart, "0", false, once, without},
		{"half a number", Facts{WarmEnabled: true, RestoreCount: "12abc"}, ColdStart, "0", false, once, without},
		{"negative", Facts{WarmEnabled: true, RestoreCount: "-1"}, ColdStart, "0", false, once, without},
		{"signed", Facts{WarmEnabled: true, RestoreCount: "+1"}, ColdStart, "0", false, once, without},
		{"process alone, no file", Facts{InitDone: true}, ColdStart, "0", true, once, without},
		{"process alone, file", Facts{InitDone: true, Remembered: true}, WarmStart, "0", true, later, without},
		{"file over flushed databases", Facts{Remembered: true}, ColdStart, "0", false, once, without},
		{"file, dpu, flushed", Facts{Remembered: true, SwitchType: "dpu"}, ColdStart, "0", true, once, without},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.facts.Ports = ports
			d := Decide(c.facts)
			if d.Kind != c.kind || d.RestoreCount != c.count || d.KeepLinks != c.keep || d.Produce != c.produce {
				t.Errorf("Decide: %s start, restore_count %q, keep %v, produce %d (%s); want %s, %q, %v, %d",
					d.Kind, d.RestoreCount, d.KeepLinks, d.Produce, d.Reason, c.kind, c.count, c.keep, c.produce)
			}
			if !slices.Equal(d.Await, c.await) {
				t.Errorf("awaits %q, want %q", d.Await, c.await)
			}
			if d.Sweep != (c.keep && c.facts.SwitchType != "dpu") {
				t.Errorf("sweeps: %v", d.Sweep)
			}
			if d.Reason == "" {
				t.Error("no reason given")
			}
		})
	}
}
