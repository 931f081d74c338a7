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

// latencyRecord records the latency of each acknowledged write in three forms: cumulative buckets
// for scrapes, recent values for exact quantiles in the stored history, and per-minute values for
// the last hour in /status.
type latencyRecord struct {
	histogram *metrics.Histogram
	newest    latencies
	hour      hour
}

// observe records a write latency of ns nanoseconds that was measured at time now on the loop's
// clock.
func (r *latencyRecord) observe(now, ns int64) {
	r.histogram.Observe(float64(ns) / 1e9)
	r.newest.add(ns)
	r.hour.wrote(now, ns)
}

// latencies keeps the newest 4096 latencies, from which exact quantiles are computed. The loop
// writes it; one other goroutine reads it.
type latencies struct {
	next atomic.Uint64 // number of latencies since startup
	kept [4096]atomic.Int64
}

// add adds a latency of ns nanoseconds.
func (l *latencies) add(ns int64) {
	n := l.next.Load()
	l.kept[n%uint64(len(l.kept))].Store(ns)
	l.next.Store(n + 1)
}

// since returns the latencies that were added after the first from ones and are still kept, in
// ascending order, and the total number added since startup. A latency that is overwritten during
// the call may be returned with its new value.
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

// Sampler creates the samples of the stored history. It must be used by one goroutine only.
type Sampler struct {
	Status  *Status
	Metrics *Metrics
	from    uint64 // number of latencies included in earlier samples
}

// Append appends a [warmrestart.Sample] to b as JSON without a trailing newline.
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
		panic(err) // unreachable: all values can be encoded as JSON
	}
	return append(b, out...)
}

// latency returns a summary of the write latencies since the last sample, or nil if there were no
// writes.
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

// flapsSince returns the ports that had link-down transitions since the last sample, in descending
// order of their number.
func flapsSince(ports []*flaps, now int64) []warmrestart.PortFlaps {
	var all []warmrestart.PortFlaps
	for _, f := range ports {
		downs, sampled := f.downs.Load(), f.sampled.Load()
		if downs > sampled {
			penalty := f.currentPenalty()
			all = append(all, warmrestart.PortFlaps{Port: f.name, PortHex: warmrestart.HexUnlessUTF8(f.name),
				Downs: downs - sampled, Penalty: penalty.At(now)})
		}
		f.sampled.Store(downs)
	}
	slices.SortStableFunc(all, func(a, b warmrestart.PortFlaps) int { return cmp.Compare(b.Downs, a.Downs) })
	return all[:min(len(all), warmrestart.MaxFlaps)]
}
