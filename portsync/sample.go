package portsync

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/internal/warmrestart/stats"
	"portsyncd/metrics"
)

// latencyRecord records the latency of each acknowledged write, in one call for
// its three readers: a scrape wants cumulative buckets, a sample of the history
// exact quantiles, /status the last hour by minutes.
type latencyRecord struct {
	histogram *metrics.Histogram
	newest    latencies
	hour      hour
}

// observe records a latency in nanoseconds at a time on the loop's clock.
func (r *latencyRecord) observe(now, ns int64) {
	r.histogram.Observe(float64(ns) / 1e9)
	r.newest.add(ns)
	r.hour.wrote(now, ns)
}

// latencies keeps the newest observations of event latency, for quantiles that
// are exact over what is kept. The loop writes, one reader takes.
type latencies struct {
	next atomic.Uint64 // observations so far
	kept [4096]atomic.Int64
}

// add notes one latency in nanoseconds.
func (l *latencies) add(ns int64) {
	n := l.next.Load()
	l.kept[n%uint64(len(l.kept))].Store(ns)
	l.next.Store(n + 1)
}

// since returns the observations after the first from ones that are still kept,
// ascending, and how many there have been in all. One that is overwritten while
// it is read shows as the newer one.
func (l *latencies) since(from uint64) (sorted []int64, total uint64) {
	total = l.next.Load()
	if size := uint64(len(l.kept)); total-from > size {
		from = total - size
	}
	for i := from; i < total; i++ {
		sorted = append(sorted, l.kept[i%uint64(len(l.kept))].Load())
	}
	slices.Sort(sorted)
	return sorted, total
}

// Sampler makes the lines of the history. It belongs to one goroutine.
type Sampler struct {
	Status  *Status
	Metrics *Metrics
	from    uint64 // latencies before the last sample
}

// Append appends one line without its line break: a [warmrestart.Sample].
func (s *Sampler) Append(b []byte, now time.Time, h Health, restarts warmrestart.Counters) []byte {
	counts, n := s.Metrics.counts(), s.Status.ports.count()
	line := warmrestart.Sample{
		Time: now.UTC(), Process: s.Status.clock.base.UTC(), Health: h.Status, Score: h.Score,
		Restarts: restarts, RestartsSum: restarts.Checksum(),
		Events: counts.Events, Writes: counts.Writes, Resyncs: counts.Resyncs, Repairs: counts.Repairs,
		Exchanges: s.Status.rate.attempts.Load(), Failed: s.Status.rate.failed.Load(),
		Configured: s.Status.configured.Load(), Present: n.Present, Up: n.Up,
		Latency: s.latency(),
		Flaps:   flapsSince(s.Status.ports.flaps.all(), s.Status.clock.reading(now)),
	}
	out, err := json.Marshal(&line)
	if err != nil {
		panic(err) // plain numbers, words and times always have a form
	}
	return append(b, out...)
}

// latency returns that of the events since the last sample.
func (s *Sampler) latency() *warmrestart.Latency {
	sorted, total := s.Metrics.latency.newest.since(s.from)
	count := total - s.from
	s.from = total
	if len(sorted) == 0 {
		return nil
	}
	return &warmrestart.Latency{
		Count: count, Kept: len(sorted),
		P50: stats.Quantile(sorted, 0.50), P95: stats.Quantile(sorted, 0.95), P99: stats.Quantile(sorted, 0.99),
		Max: sorted[len(sorted)-1],
	}
}

// flapsSince returns the ports whose carrier went since the last sample, most
// often first.
func flapsSince(ports []*flaps, now int64) []warmrestart.PortFlaps {
	var all []warmrestart.PortFlaps
	for _, f := range ports {
		downs, sampled := f.downs.Load(), f.sampled.Load()
		if downs > sampled {
			penalty := f.figure()
			all = append(all, warmrestart.PortFlaps{Port: f.name, PortHex: warmrestart.HexUnlessUTF8(f.name),
				Downs: downs - sampled, Penalty: penalty.At(now)})
		}
		f.sampled.Store(downs)
	}
	slices.SortStableFunc(all, func(a, b warmrestart.PortFlaps) int { return cmp.Compare(b.Downs, a.Downs) })
	return all[:min(len(all), warmrestart.MaxFlaps)]
}
