package portsync

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestDecide checks the decision for each combination of facts, and its reason in the log.
func TestDecide(t *testing.T) {
	ports := []PortConfig{{Name: "Ethernet0"}, {Name: "Ethernet4", HasAdmin: true}}
	both, without := []string{"Ethernet0", "Ethernet4"}, []string{"Ethernet0"}
	const once, later, never = ProduceAtOnce, ProduceAfterEOIU, ProduceNever
	const (
		sonic     = "SONiC requested a warm restart"
		none      = "SONiC did not request a warm restart"
		noCount   = sonic + ", but there is no restore_count"
		badCount  = sonic + ", but restore_count is not a number"
		alone     = "only portsyncd was restarted"
		saved     = "; its saved state is used"
		noFile    = "; it has no saved state of this boot"
		notWanted = "; warm_restart.enabled is false"
		dpu       = "; switch_type is dpu, so interfaces are kept"
	)
	for _, c := range []struct {
		name    string
		facts   Facts
		kind    StartKind
		count   string
		keep    bool
		produce Produce
		await   []string
		reason  string
	}{
		{"nothing set", Facts{}, ColdStart, "0", false, once, without, none},
		{"count alone", Facts{RestoreCount: "7"}, ColdStart, "0", false, once, without, none},
		{"dpu", Facts{SwitchType: "dpu"}, ColdStart, "0", true, once, without, none + dpu},
		{"not quite dpu", Facts{SwitchType: "DPU"}, ColdStart, "0", false, once, without, none},
		{"enabled without count", Facts{WarmEnabled: true}, ColdStart, "0", false, once, without, noCount},
		{"warm", Facts{WarmEnabled: true, RestoreCount: "3"}, WarmStart, "4", true, never, both, sonic},
		{"warm from 0", Facts{WarmEnabled: true, RestoreCount: "0"}, WarmStart, "1", true, never, both, sonic},
		{"warm over markers", Facts{WarmEnabled: true, RestoreCount: "3", InitDone: true}, WarmStart, "4", true, never, both, sonic},
		{"warm with file", Facts{WarmEnabled: true, RestoreCount: "3", InitDone: true, Remembered: true}, WarmStart, "4", true, never, both, sonic},
		{"32 bit", Facts{WarmEnabled: true, RestoreCount: "4294967295"}, WarmStart, "0", true, never, both, sonic},
		{"too large", Facts{WarmEnabled: true, RestoreCount: "4294967296"}, ColdStart, "0", false, once, without, badCount},
		{"a word", Facts{WarmEnabled: true, RestoreCount: "abc"}, ColdStart, "0", false, once, without, badCount},
		{"half a number", Facts{WarmEnabled: true, RestoreCount: "12abc"}, ColdStart, "0", false, once, without, badCount},
		{"negative", Facts{WarmEnabled: true, RestoreCount: "-1"}, ColdStart, "0", false, once, without, badCount},
		{"signed", Facts{WarmEnabled: true, RestoreCount: "+1"}, ColdStart, "0", false, once, without, badCount},
		{"process alone, no file", Facts{InitDone: true}, ColdStart, "0", true, once, without, alone + noFile},
		{"process alone, file", Facts{InitDone: true, Remembered: true}, WarmStart, "0", true, later, without, alone + saved},
		{"process alone, file not wanted", Facts{InitDone: true, NoStateFile: true}, ColdStart, "0", true, once, without, alone + notWanted},
		{"flushed, file not wanted", Facts{NoStateFile: true}, ColdStart, "0", false, once, without, none},
		{"process alone, no count, file", Facts{WarmEnabled: true, InitDone: true, Remembered: true}, WarmStart, "0", true, later, without, noCount + saved},
		{"process alone, bad count, no file", Facts{WarmEnabled: true, RestoreCount: "x", InitDone: true}, ColdStart, "0", true, once, without, badCount + noFile},
		{"process alone, dpu", Facts{InitDone: true, SwitchType: "dpu"}, ColdStart, "0", true, once, without, alone + noFile},
		{"no count, dpu", Facts{WarmEnabled: true, SwitchType: "dpu"}, ColdStart, "0", true, once, without, noCount + dpu},
		{"file over flushed databases", Facts{Remembered: true}, ColdStart, "0", false, once, without, none},
		{"file, dpu, flushed", Facts{Remembered: true, SwitchType: "dpu"}, ColdStart, "0", true, once, without, none + dpu},
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
			if d.Sweep != (c.keep && (c.facts.InitDone || c.kind == WarmStart)) {
				t.Errorf("sweeps: %v", d.Sweep)
			}
			if d.Requested() != (c.reason == sonic) {
				t.Errorf("requested by SONiC: %t", d.Requested())
			}
			if d.Reason != c.reason {
				t.Errorf("reason %q, want %q", d.Reason, c.reason)
			}
		})
	}
}

// TestBegin checks that the limit for PortInitDone starts when the first writes are acknowledged, and that
// interfaces of an earlier run are set down in a cold start only.
func TestBegin(t *testing.T) {
	for _, keep := range []bool{false, true} {
		atRest(t, func(a *rig, now int64) {
			l := a.loop
			var down []int32
			l.SetDown = func(indexes []int32) []error { down = indexes; return []error{errors.New("no such device")} }
			l.Existing = []OldLink{{Index: 7, Name: "Ethernet0"}, {Index: 9, Name: "Ethernet4"}}
			log := a.captureLog()
			l.initial.started, l.initial.decision, l.handover.lateAt = false, &Decision{KeepLinks: keep}, never
			l.begin()
			if !l.initial.started || l.handover.lateAt != now+int64(lateAfter) {
				t.Errorf("started %t, late at %d", l.initial.started, l.handover.lateAt)
			}
			if kept := len(down) == 0 && len(l.state.old) == 0 && !strings.Contains(log.String(), "no such device"); kept != keep {
				t.Errorf("kept %t, want %t: set down %v, ignored %v", kept, keep, down, l.state.old)
			}
			l.Existing, down = nil, nil
			l.initial.setOldDown()
			if len(down) != 0 {
				t.Errorf("%v were set down although no interface exists", down)
			}
		})
	}
}

// TestDependsOnState checks that the state file is read if, and only if, it can change the decision.
func TestDependsOnState(t *testing.T) {
	for i := range 1 << 4 {
		f := Facts{WarmEnabled: i&1 > 0, InitDone: i&2 > 0, RestoreCount: []string{"", "7"}[i>>2&1],
			SwitchType: []string{"", "dpu"}[i>>3&1], Ports: []PortConfig{{Name: "Ethernet0"}}}
		without := Decide(f)
		f.Remembered = true
		with := Decide(f)
		if got, want := f.dependsOnState(), !reflect.DeepEqual(with, without); got != want {
			t.Errorf("%+v: dependsOnState is %v, want %v", f, got, want)
		}
	}
}
