package portsync

import (
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"portsyncd/warmrestart"
	"portsyncd/warmrestart/stats"
)

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

// sample is one line of history.jsonl.
type sample struct {
	Time   time.Time `json:"time"`
	Health string    `json:"health"`

	Restarts   warmrestart.Counters `json:"restarts"` // over all restarts
	Events     uint64               `json:"events"`   // since the process began
	Writes     uint64               `json:"writes"`   // likewise
	Resyncs    uint64               `json:"resyncs"`  // likewise
	Repairs    uint64               `json:"repairs"`  // likewise
	Configured int64                `json:"ports_configured"`
	Present    int64                `json:"ports_present"`
	Up         int64                `json:"ports_up"`
	Latency    *window              `json:"latency,omitempty"` // absent if there was no event
}

// window is the event latency since the last sample, over Kept of Count events.
type window struct {
	Count uint64 `json:"count"`
	Kept  int    `json:"kept"`
	P50   int64  `json:"p50_ns"`
	P95   int64  `json:"p95_ns"`
	P99   int64  `json:"p99_ns"`
	Max   int64  `json:"max_ns"`
}

// Sampler makes the lines of the history. It belongs to one goroutine.
type Sampler struct {
	Status  *Status
	Metrics *Metrics
	from    uint64 // latencies before the last sample
}

// Append appends one line without its line break.
func (s *Sampler) Append(b []byte, now time.Time, health string, restarts warmrestart.Counters) []byte {
	m := s.Metrics
	line := sample{
		Time: now.UTC(), Health: health, Restarts: restarts,
		Events:     m.events.At(int(NewLink)).Load() + m.events.At(int(DelLink)).Load(),
		Writes:     m.writes.At(writeSet).Load() + m.writes.At(writeDelete).Load(),
		Repairs:    m.repairs.At(repairRow).Load() + m.repairs.At(repairStale).Load(),
		Configured: s.Status.configured.Load(), Present: m.present.Load(),
	}
	for r := range numReasons {
		if r != ReasonStart && r != ReasonAudit {
			line.Resyncs += m.resyncs.At(int(r)).Load()
		}
	}
	for _, v := range s.Status.ports.all() {
		if v.present.Load() && v.oper.Load() {
			line.Up++
		}
	}
	sorted, total := m.latencies.since(s.from)
	if len(sorted) > 0 {
		line.Latency = &window{
			Count: total - s.from, Kept: len(sorted),
			P50: stats.Quantile(sorted, 0.50), P95: stats.Quantile(sorted, 0.95), P99: stats.Quantile(sorted, 0.99),
			Max: sorted[len(sorted)-1],
		}
	}
	s.from = total
	out, err := json.Marshal(&line)
	if err != nil {
		panic(err) // plain numbers, words and a time always have a form
	}
	return append(b, out...)
}
