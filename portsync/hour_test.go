package portsync

import (
	"slices"
	"testing"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// TestLatencyBuckets checks that each latency is between the bounds of its bucket, and that no bucket is
// wider than an eighth of its lower bound.
func TestLatencyBuckets(t *testing.T) {
	var latencies []int64
	for octave := range 62 {
		for _, eighths := range []int64{8, 9, 12, 15} {
			v := int64(1) << octave * eighths / 8
			latencies = append(latencies, v-1, v, v+1)
		}
	}
	for _, v := range append(latencies, 0, 1<<63-1) {
		b := latencyBucket(v)
		if b < 0 || b >= latencyBuckets {
			t.Fatalf("%d ns: bucket %d, want less than %d", v, b, latencyBuckets)
		}
		if bound := bucketBound(b); v >= bound && bound != 1<<63-1 {
			t.Errorf("%d ns: bucket %d, with the upper bound %d", v, b, bound)
		}
		if b == 0 {
			continue
		}
		begin, end := bucketBound(b-1), bucketBound(b)
		if v < begin {
			t.Errorf("%d ns: bucket %d, with the lower bound %d", v, b, begin)
		}
		if b < latencyBuckets-1 && end-begin > begin/8 {
			t.Errorf("bucket %d from %d to %d is wider than an eighth", b, begin, end)
		}
	}
}

// TestHour checks the counts and quantiles of busy and quiet minutes, and that minutes older than an hour
// are dropped. Quantiles may exceed the exact value by the width of a bucket.
func TestHour(t *testing.T) {
	var h hour
	c := clock{base: time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)}
	at := func(minute int) int64 { return int64(time.Duration(minute)*time.Minute + 3*time.Second) }
	var sample []int64
	for i := range int64(1000) {
		ns := 20_000 + i*i*37
		sample = append(sample, ns)
		h.wrote(at(2), ns)
	}
	h.event(at(2))
	h.event(at(2))
	h.event(at(70))
	h.event(at(6)) // an event from an hour ago
	early := h.view(c, at(3))
	if len(early) != 4 {
		t.Fatalf("%d minutes 3 minutes after the start, want 4: %+v", len(early), early)
	}
	m := early[2]
	slices.Sort(sample)
	if m.Events != 2 || m.Writes != 1000 || m.Max != sample[999] || !m.From.Equal(c.base.Add(2*time.Minute)) {
		t.Errorf("minute 2: %+v", m)
	}
	for _, q := range []struct {
		got  int64
		want float64
	}{{m.P50, 0.50}, {m.P99, 0.99}} {
		exact := stats.Quantile(sample, q.want)
		if q.got < exact || q.got > exact+exact/8 {
			t.Errorf("quantile %v is %d, exact value %d", q.want, q.got, exact)
		}
	}
	if early[0] != (Minute{From: c.base}) {
		t.Errorf("minute 0, without events: %+v", early[0])
	}
	late := h.view(c, at(70))
	if len(late) != HourMinutes || late[HourMinutes-1].Events != 2 {
		t.Errorf("after 70 minutes: %d minutes, the last is %+v", len(late), late[len(late)-1])
	}
	for _, m := range late[:HourMinutes-1] {
		if m.Events != 0 || m.Writes != 0 {
			t.Errorf("minute without events: %+v", m)
		}
	}
}

// TestHourOneWrite checks that with one write all quantiles are its latency.
func TestHourOneWrite(t *testing.T) {
	for _, ns := range []int64{0, 1, 16_384, 123_456, int64(time.Minute)} {
		var h hour
		h.wrote(0, ns)
		if m := h.view(clock{}, 0)[0]; m.P50 != ns || m.P99 != ns || m.Max != ns {
			t.Errorf("one write with latency %d: %+v", ns, m)
		}
	}
}

// TestHourQuantiles checks that quantiles are of the nearest rank.
func TestHourQuantiles(t *testing.T) {
	const short, long = 100_000, int64(time.Second)
	for _, c := range []struct {
		short, long int
		p50, p99    bool // the quantile is a long latency
	}{
		{1, 1, false, true},
		{198, 2, false, false},
		{197, 3, false, true},
		{101, 100, false, true},
		{100, 101, true, true},
	} {
		var h hour
		for range c.short {
			h.wrote(0, short)
		}
		for range c.long {
			h.wrote(0, long)
		}
		m := h.view(clock{}, 0)[0]
		if (m.P50 == long) != c.p50 || (m.P99 == long) != c.p99 || m.P50 < short || m.Max != long {
			t.Errorf("%d short and %d long latencies: %+v", c.short, c.long, m)
		}
	}
}
