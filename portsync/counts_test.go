package portsync

import (
	"testing"

	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// TestCounts checks that each total of CountsView is the sum of its series. The series have different
// powers of two, so a missing or an additional series changes the sum.
func TestCounts(t *testing.T) {
	m := NewMetrics(metrics.NewSet(), new(Status), false)
	next := uint64(1)
	add := func(c *metrics.Counter) uint64 {
		n := next
		c.Add(n)
		next *= 2
		return n
	}
	var want CountsView
	want.Events = add(m.event(netlinkraw.NewLink)) + add(m.event(netlinkraw.DelLink))
	add(m.event(netlinkraw.DumpDone))
	add(m.event(netlinkraw.Unreadable))
	want.Overruns = add(m.event(netlinkraw.Overrun))
	want.Writes = add(m.writes.At(writeSet)) + add(m.writes.At(writeDelete))
	want.Repairs = add(m.repairs.At(repairedRow)) + add(m.repairs.At(repairedStale))
	want.Mismatches = add(m.mismatches.At(mismatchKernel)) + add(m.mismatches.At(mismatchState)) + add(m.mismatches.At(mismatchAppl))
	for r := range numReasons {
		want.Resyncs += add(m.resyncs.At(int(r)))
	}
	want.Reconnects = add(m.reconnects)
	add(m.audits)
	if got := m.counts(); got != want {
		t.Errorf("counts are %+v, want %+v", got, want)
	}
}
