package portsync

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestLatenciesSince: the newest observations, as many as are kept, ascending, and
// how many there were.
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
				t.Fatalf("after %d, since %d: %d of %d, want %d", i+1, from, len(got), total, len(want))
			}
		}
	}
}

// TestSampleLatency: each sample is of the events since the one before.
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
				t.Errorf("of none: %+v", *got)
			}
		case got == nil || got.Count != uint64(n) || got.Kept != kept || got.Max != int64(n) || got.P50 != int64(n-kept+(kept+1)/2):
			t.Errorf("of %d: %+v", n, got)
		}
	}
}

// TestAppendJSONString: encoding/json reads the same text, in which nothing but what
// prints stands as it is.
func TestAppendJSONString(t *testing.T) {
	for s, want := range map[string]string{
		`a"\b`:                  `"a\"\\b"`,
		"\x00\x1f\x7f\u0085":    `"\u0000\u001f\u007f\u0085"`,
		"é\u200b\uffff😀":        `"é\u200b\uffff😀"`,
		"\U000e0001\U0010ffff":  `"\udb40\udc01\udbff\udfff"`,
		"\U0001ffff\U000f0000x": `"\ud83f\udfff\udb80\udc00x"`,
	} {
		got := string(appendJSONString(nil, s))
		if got != want {
			t.Errorf("%q is written %s, want %s", s, got, want)
		}
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil || back != s {
			t.Errorf("%s is read as %q, %v; want %q", got, back, err, s)
		}
	}
}
