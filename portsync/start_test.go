package portsync

import (
	"slices"
	"testing"
)

func TestDecide(t *testing.T) {
	ports := []PortConfig{{Name: "Ethernet0"}, {Name: "Ethernet4", HasAdmin: true}}
	both, without := []string{"Ethernet0", "Ethernet4"}, []string{"Ethernet0"}
	for _, c := range []struct {
		name  string
		facts Facts
		kind  StartKind
		count string
		keep  bool
		await []string
	}{
		{"nothing set", Facts{}, ColdStart, "0", false, without},
		{"count alone", Facts{RestoreCount: "7"}, ColdStart, "0", false, without},
		{"dpu", Facts{SwitchType: "dpu"}, ColdStart, "0", true, without},
		{"not quite dpu", Facts{SwitchType: "DPU"}, ColdStart, "0", false, without},
		{"enabled without count", Facts{WarmEnabled: true}, ColdStart, "0", false, without},
		{"warm", Facts{WarmEnabled: true, RestoreCount: "3"}, WarmStart, "4", true, both},
		{"warm from 0", Facts{WarmEnabled: true, RestoreCount: "0"}, WarmStart, "1", true, both},
		{"warm over markers", Facts{WarmEnabled: true, RestoreCount: "3", InitDone: true}, WarmStart, "4", true, both},
		{"32 bit", Facts{WarmEnabled: true, RestoreCount: "4294967295"}, WarmStart, "0", true, both},
		{"too large", Facts{WarmEnabled: true, RestoreCount: "4294967296"}, ColdStart, "0", false, without},
		{"a word", Facts{WarmEnabled: true, RestoreCount: "abc"}, ColdStart, "0", false, without},
		{"half a number", Facts{WarmEnabled: true, RestoreCount: "12abc"}, ColdStart, "0", false, without},
		{"negative", Facts{WarmEnabled: true, RestoreCount: "-1"}, ColdStart, "0", false, without},
		{"signed", Facts{WarmEnabled: true, RestoreCount: "+1"}, ColdStart, "0", false, without},
		{"process alone restarted", Facts{InitDone: true}, ColdStart, "0", true, without},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.facts.Ports = ports
			d := Decide(c.facts)
			if d.Kind != c.kind || d.RestoreCount != c.count || d.KeepLinks != c.keep {
				t.Errorf("Decide: %s start, restore_count %q, keep %v (%s); want %s, %q, %v",
					d.Kind, d.RestoreCount, d.KeepLinks, d.Reason, c.kind, c.count, c.keep)
			}
			if d.Produce != (c.kind == ColdStart) {
				t.Errorf("produces: %v on a %s start", d.Produce, d.Kind)
			}
			if !slices.Equal(d.Await, c.await) {
				t.Errorf("awaits %q, want %q", d.Await, c.await)
			}
			if d.Reason == "" {
				t.Error("no reason given")
			}
		})
	}
}
