package portsync

import (
	"slices"
	"testing"
)

// TestLatenciesSince checks that since returns the kept latencies in ascending order and the total.
func TestLatenciesSince(t *testing.T) {
	var l latencies
	size := uint64(len(l.kept))
	for i := range size + 2 {
		l.add(int64(1000 - i%7))
		var all []int64
		for j := uint64(0); j <= i; j++ {
			all = append(all, int64(1000-j%7))
		}
		if i > 20 && i < size-2 {
			continue
		}
		for _, from := range []uint64{0, i / 2, i, i + 1} {
			want := slices.Clone(all[max(from, max(i+1, size)-size):])
			slices.Sort(want)
			if got, total := l.since(from); total != i+1 || !slices.Equal(got, want) {
				t.Fatalf("after %d latencies, since(%d) returned %d latencies and total %d, want %d latencies", i+1, from, len(got), total, len(want))
			}
		}
	}
}

// rank returns the nearest-rank percentile of the newest kept of the numbers from 1 to n.
func rank(n, kept, percent int) int64 { return int64(n - kept + (kept*percent+99)/100) }

// TestSampleLatency checks that each sample has the latencies since the last sample.
func TestSampleLatency(t *testing.T) {
	m := &Metrics{}
	s := &Sampler{Metrics: m}
	for _, n := range []int{0, 1, 100, 0, len(m.latency.newest.kept) + 5} {
		for i := range n {
			m.latency.newest.add(int64(i + 1))
		}
		got := s.latency()
		kept := min(n, len(m.latency.newest.kept))
		switch {
		case n == 0:
			if got != nil {
				t.Errorf("sample without writes has latency %+v, want none", *got)
			}
		case got == nil || got.Count != uint64(n) || got.Kept != kept || got.Max != int64(n) || got.P50 != rank(n, kept, 50) ||
			got.P95 != rank(n, kept, 95) || got.P99 != rank(n, kept, 99):
			t.Errorf("sample of %d writes has latency %+v", n, got)
		}
	}
}
