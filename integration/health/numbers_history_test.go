package health

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"

	"portsyncd/internal/switchtest"
	"portsyncd/internal/warmrestart"
)

// This file compares the history that the daemon stored with what TestEveryNumber counted.

// lastSample returns the newest line of the history.
func (o *observed) lastSample() (last warmrestart.Sample) {
	o.T.Helper()
	for _, s := range o.samples() {
		last = s
	}
	return last
}

// samples returns the lines of the history.
func (o *observed) samples() (all []warmrestart.Sample) {
	o.T.Helper()
	text, _ := os.ReadFile(o.Dir + "/numbers/metrics/history.jsonl")
	for line := range strings.Lines(string(text)) {
		var s warmrestart.Sample
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &s) == nil {
			all = append(all, s)
		}
	}
	return all
}

// compareHistory compares the last line of the history with /status, and the flaps of all lines
// with the kernel's messages.
func (o *observed) compareHistory() {
	o.T.Helper()
	last, counts := o.lastSample(), o.final.Status.Counts
	for name, got := range map[string]any{
		"events": last.Events, "writes": last.Writes, "resyncs": last.Resyncs, "repairs": last.Repairs,
		"ports_configured": last.Configured, "ports_present": last.Present, "ports_up": last.Up,
	} {
		if fmt.Sprint(got) != fmt.Sprint(counts[name]) {
			o.T.Errorf("history.jsonl: %s is %v, /status says %v", name, got, counts[name])
		}
	}
	if last.Health != o.final.Health.Status || last.Score != o.final.Health.Score {
		o.T.Errorf("history.jsonl: health is %s, %d, /healthz says %+v", last.Health, last.Score, o.final.Health)
	}
	// Every command belongs to a request, and a request can have several.
	refused, cut := o.writes.refusals, o.resyncs["database_back"]
	if float64(last.Failed) != refused+cut || last.Exchanges < last.Failed || float64(last.Exchanges) > o.writes.commands+cut {
		o.T.Errorf("history.jsonl: %d of %d requests failed, want %v of at most %v", last.Failed, last.Exchanges, refused+cut, o.writes.commands+cut)
	}
	got := make(map[string]float64)
	for _, s := range o.samples() {
		for _, f := range s.Flaps {
			got[f.Port] += float64(f.Downs)
		}
	}
	if want := o.flaps(); !maps.Equal(got, want) {
		o.T.Errorf("history.jsonl: flaps are %v, the kernel reported %v", got, want)
	}
}

// flaps returns how often the carrier of each port went down according to the kernel's messages:
// the growth of each interface's count, from 0 because all are made while the daemon runs. Changes
// of an interface under another name do not count for the port.
func (o *observed) flaps() map[string]float64 {
	flaps, known, away := make(map[string]float64), make(map[int32]uint32), make(map[int32]bool)
	news, _ := o.news.From(0)
	for _, m := range news {
		switch {
		case !m.counted:
		case !switchtest.IsPortName(m.name):
			away[m.index] = true
		default:
			if from := known[m.index]; m.down > from && !away[m.index] {
				flaps[m.name] += float64(m.down - from)
			}
			known[m.index] = m.down
			delete(away, m.index)
		}
	}
	return flaps
}
