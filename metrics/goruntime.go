package metrics

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// goRuntime collects the go_* families, with the same names and meanings as in client_golang. It
// uses runtime/metrics and debug.ReadGCStats, which, unlike runtime.ReadMemStats, do not stop the
// world. It reuses its memory.
type goRuntime struct {
	samples []metrics.Sample
	gc      debug.GCStats

	gauges   []IntGauge
	counters []Counter
	lastGC   Gauge
	pauses   pauseSummary
}

// goGauges lists the gauges. Each value is the sum of the named runtime/metrics values.
var goGauges = []struct {
	name, help string
	from       []string
}{
	{"go_goroutines", "Number of goroutines that currently exist.",
		[]string{"/sched/goroutines:goroutines"}},
	{"go_threads", "Number of live operating system threads owned by the Go runtime.",
		[]string{"/sched/threads/total:threads"}},
	{"go_sched_gomaxprocs_threads", "Maximum number of operating system threads that execute Go code simultaneously (GOMAXPROCS).",
		[]string{"/sched/gomaxprocs:threads"}},
	{"go_gc_gogc_percent", "Heap growth in percent that triggers a garbage collection (GOGC).",
		[]string{"/gc/gogc:percent"}},
	{"go_gc_gomemlimit_bytes", "Soft memory limit of the Go runtime in bytes (GOMEMLIMIT), or math.MaxInt64 if there is no limit.",
		[]string{"/gc/gomemlimit:bytes"}},
	{"go_memstats_alloc_bytes", "Number of bytes in allocated heap objects, including unreachable objects that have not been freed.",
		[]string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_sys_bytes", "Number of bytes obtained from the system.",
		[]string{"/memory/classes/total:bytes"}},
	{"go_memstats_heap_alloc_bytes", "Number of bytes in allocated heap objects, same as go_memstats_alloc_bytes.",
		[]string{"/memory/classes/heap/objects:bytes"}},
	{"go_memstats_heap_sys_bytes", "Number of heap bytes obtained from the system.",
		[]string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes",
			"/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes"}},
	{"go_memstats_heap_idle_bytes", "Number of heap bytes that hold no objects.",
		[]string{"/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes"}},
	{"go_memstats_heap_inuse_bytes", "Number of bytes in heap spans that hold objects.",
		[]string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes"}},
	{"go_memstats_heap_released_bytes", "Number of heap bytes released to the operating system.",
		[]string{"/memory/classes/heap/released:bytes"}},
	{"go_memstats_heap_objects", "Number of allocated heap objects.",
		[]string{"/gc/heap/objects:objects"}},
	{"go_memstats_stack_inuse_bytes", "Number of bytes in use by goroutine stacks.",
		[]string{"/memory/classes/heap/stacks:bytes"}},
	{"go_memstats_stack_sys_bytes", "Number of bytes obtained from the system for goroutine and operating system thread stacks.",
		[]string{"/memory/classes/heap/stacks:bytes", "/memory/classes/os-stacks:bytes"}},
	{"go_memstats_mspan_inuse_bytes", "Number of bytes in use by mspan structures.",
		[]string{"/memory/classes/metadata/mspan/inuse:bytes"}},
	{"go_memstats_mspan_sys_bytes", "Number of bytes used for mspan structures obtained from the system.",
		[]string{"/memory/classes/metadata/mspan/inuse:bytes", "/memory/classes/metadata/mspan/free:bytes"}},
	{"go_memstats_mcache_inuse_bytes", "Number of bytes in use by mcache structures.",
		[]string{"/memory/classes/metadata/mcache/inuse:bytes"}},
	{"go_memstats_mcache_sys_bytes", "Number of bytes used for mcache structures obtained from the system.",
		[]string{"/memory/classes/metadata/mcache/inuse:bytes", "/memory/classes/metadata/mcache/free:bytes"}},
	{"go_memstats_buck_hash_sys_bytes", "Number of bytes used by the profiling bucket hash table.",
		[]string{"/memory/classes/profiling/buckets:bytes"}},
	{"go_memstats_gc_sys_bytes", "Number of bytes used for garbage collection system metadata.",
		[]string{"/memory/classes/metadata/other:bytes"}},
	{"go_memstats_other_sys_bytes", "Number of bytes used for other system allocations.",
		[]string{"/memory/classes/other:bytes"}},
	{"go_memstats_next_gc_bytes", "Target heap size of the next garbage collection in bytes.",
		[]string{"/gc/heap/goal:bytes"}},
}

// goCounters lists the counters. Each value is the sum of the named runtime/metrics values.
var goCounters = []struct {
	name, help string
	from       []string
}{
	{"go_memstats_alloc_bytes_total", "Total number of bytes allocated for heap objects, including freed objects.",
		[]string{"/gc/heap/allocs:bytes"}},
	{"go_memstats_mallocs_total", "Total number of heap objects allocated, including freed objects.",
		[]string{"/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_frees_total", "Total number of heap objects freed.",
		[]string{"/gc/heap/frees:objects", "/gc/heap/tiny/allocs:objects"}},
}

// AddGo adds go_info and the go_* families.
func (s *Set) AddGo() {
	s.NewIntGauge("go_info", "Information about the Go environment.",
		Label{"version", runtime.Version()}).Set(1)

	g := &goRuntime{
		gauges:   make([]IntGauge, len(goGauges)),
		counters: make([]Counter, len(goCounters)),
	}
	g.gc.PauseQuantiles = make([]time.Duration, len(pauseQuantiles))
	for i, f := range goGauges {
		s.addValue(f.name, f.help, kindGauge, nil, &g.gauges[i])
		g.want(f.from)
	}
	for i, f := range goCounters {
		s.addValue(f.name, f.help, kindCounter, nil, &g.counters[i])
		g.want(f.from)
	}
	s.addValue("go_memstats_last_gc_time_seconds",
		"Unix timestamp of the last garbage collection, or 0 if none.",
		kindGauge, nil, &g.lastGC)
	const pauses = "go_gc_duration_seconds"
	g.pauses.render(pauses)
	s.add(pauses, "Duration of stop-the-world pauses of the garbage collector in seconds. Quantiles cover the last 256 pauses.",
		kindSummary, nil, &g.pauses)
	s.addCollector(g.read)
}

func (g *goRuntime) want(names []string) {
	for _, name := range names {
		g.samples = append(g.samples, metrics.Sample{Name: name})
	}
}

// read updates the go_* metrics from new runtime samples, which are in the order in which AddGo
// requested them.
func (g *goRuntime) read() {
	metrics.Read(g.samples)
	rest := g.samples
	take := func(n int) uint64 {
		sum := uint64(0)
		for _, sample := range rest[:n] {
			if sample.Value.Kind() == metrics.KindUint64 {
				sum += sample.Value.Uint64()
			}
		}
		rest = rest[n:]
		return sum
	}
	for i, f := range goGauges {
		g.gauges[i].Set(int64(min(take(len(f.from)), math.MaxInt64)))
	}
	for i, f := range goCounters {
		g.counters[i].Set(take(len(f.from)))
	}

	debug.ReadGCStats(&g.gc)
	if !g.gc.LastGC.IsZero() && g.gc.LastGC.UnixNano() != 0 {
		g.lastGC.Set(float64(g.gc.LastGC.UnixNano()) / 1e9)
	}
	for i, q := range g.gc.PauseQuantiles {
		g.pauses.quantiles[i].Set(q.Seconds())
	}
	g.pauses.sum.Set(g.gc.PauseTotal.Seconds())
	g.pauses.count.Set(uint64(g.gc.NumGC))
}

// pauseQuantiles are the quantiles computed by debug.ReadGCStats: minimum, quartiles and maximum.
var pauseQuantiles = [...]string{"0", "0.25", "0.5", "0.75", "1"}

// pauseSummary is the summary metric go_gc_duration_seconds, the only summary in this package.
type pauseSummary struct {
	quantiles [len(pauseQuantiles)]Gauge
	sum       Gauge
	count     Counter

	text      [len(pauseQuantiles)][]byte
	textSum   []byte
	textCount []byte
}

func (p *pauseSummary) render(name string) {
	for i, q := range pauseQuantiles {
		p.text[i] = appendSampleName(nil, name, []Label{{"quantile", q}})
	}
	p.textSum = appendSampleName(nil, name+"_sum", nil)
	p.textCount = appendSampleName(nil, name+"_count", nil)
}

func (p *pauseSummary) appendText(b []byte) []byte {
	for i := range p.quantiles {
		b = append(b, p.text[i]...)
		b = append(p.quantiles[i].appendValue(b), '\n')
	}
	b = append(p.sum.appendValue(append(b, p.textSum...)), '\n')
	return append(p.count.appendValue(append(b, p.textCount...)), '\n')
}

func (p *pauseSummary) appendJSON(b []byte) []byte {
	b = append(b, `{"labels":{},"quantiles":[`...)
	for i, q := range pauseQuantiles {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"quantile":"`...)
		b = append(b, q...)
		b = append(b, `","value":`...)
		b = append(appendJSONValue(b, &p.quantiles[i]), '}')
	}
	b = append(b, `],"sum":`...)
	b = appendJSONValue(b, &p.sum)
	b = append(b, `,"count":`...)
	b = appendJSONValue(b, &p.count)
	return append(b, '}', ',')
}
