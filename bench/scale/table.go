package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// size holds the results of all runs with one number of interfaces.
type size struct {
	interfaces int
	runs       []growthResult
}

// least returns the minimum of the given value over all runs with this number of interfaces. Other
// programs on the machine only add to a value.
func (s *size) least(value func(r *growthResult) float64) float64 {
	least := value(&s.runs[0])
	for i := range s.runs {
		least = min(least, value(&s.runs[i]))
	}
	return least
}

// growthRows defines the rows of the growth table.
var growthRows = []struct {
	name, unit string
	value      func(r *growthResult) float64
}{
	{"cold start: exec to PortConfigDone", "ms", func(r *growthResult) float64 { return ms(r.ConfigDone) }},
	{"cold start: exec to READY=1", "ms", func(r *growthResult) float64 { return ms(r.Ready) }},
	{"last port's interface to PortInitDone", "ms", func(r *growthResult) float64 { return ms(r.InitDone) }},
	{"resync after an overrun: duration of the dump", "ms", func(r *growthResult) float64 { return ms(r.Resync) }},
	{"overrun: SIGCONT to all rows correct", "ms", func(r *growthResult) float64 { return ms(r.InStep) }},
	{"restart of the daemon only: exec to READY=1", "ms", func(r *growthResult) float64 { return ms(r.Restart) }},
	{"CPU time per audit", "ms", func(r *growthResult) float64 { return ms(r.AuditCPU) }},
	{"idle, no audits: CPU time per second", "µs", func(r *growthResult) float64 { return 1e3 * ms(r.IdleCPU) }},
	{"idle, one audit per minute: CPU time per second", "µs", func(r *growthResult) float64 { return 1e3 * ms(r.IdleCPU+r.AuditCPU/60) }},
	{"idle, no audits: wake-ups per second", "", func(r *growthResult) float64 { return r.IdleWakeups }},
	{"RSS with all ports", "MiB", func(r *growthResult) float64 { return mib(r.StartRSS) }},
	{"RSS after audits", "MiB", func(r *growthResult) float64 { return mib(r.AuditRSS) }},
	{"RSS after the overrun", "MiB", func(r *growthResult) float64 { return mib(r.EndRSS) }},
	{"(for comparison: listing all links)", "ms", func(r *growthResult) float64 { return ms(r.List) }},
	{"(for comparison: creating the other interfaces)", "ms", func(r *growthResult) float64 { return ms(r.Make) }},
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func mib(bytes int) float64      { return float64(bytes) / (1 << 20) }

// printGrowth prints a column of minimums for each number of interfaces, in ascending order. The
// last columns show the factor from the first to the last minimum, the increase per 1,000
// interfaces, and the maximum deviation of the minimums from a straight line, in the unit of the
// row.
func printGrowth(w io.Writer, ports int, sizes []size) {
	first, last := &sizes[0], &sizes[len(sizes)-1]
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%d ports; interfaces:\t", ports)
	for _, s := range sizes {
		fmt.Fprintf(t, "%d\t", s.interfaces)
	}
	fmt.Fprint(t, "\tfactor\tper 1,000 more\tdeviation\t\n")
	for _, row := range growthRows {
		fmt.Fprintf(t, "%s\t", row.name)
		for i := range sizes {
			fmt.Fprintf(t, "%.1f\t", sizes[i].least(row.value))
		}
		fmt.Fprintf(t, "%s\t", row.unit)
		from, to := first.least(row.value), last.least(row.value)
		if from > 0 {
			fmt.Fprintf(t, "%.1f", to/from)
		}
		fmt.Fprint(t, "\t")
		if last.interfaces > first.interfaces {
			each := (to - from) / float64(last.interfaces-first.interfaces)
			fmt.Fprintf(t, "%+.2f\t%.1f", 1000*each, offLine(sizes, row.value, from, each))
		} else {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, "\t\n")
	}
	t.Flush()
	fmt.Fprintln(w)
}

// offLine returns the maximum deviation of the minimums from the straight line that begins at from
// and increases by each.
func offLine(sizes []size, value func(r *growthResult) float64, from, each float64) (off float64) {
	for i := range sizes {
		line := from + each*float64(sizes[i].interfaces-sizes[0].interfaces)
		off = max(off, sizes[i].least(value)-line, line-sizes[i].least(value))
	}
	return off
}

// printFlood prints a line for each sample and a summary.
func printFlood(w io.Writer, o floodOptions, r floodResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "flood of %d ports\tsent\tprocessed\toverruns\tRSS, MiB\theap, MiB\tGC cycles\tgoroutines\tthreads\tdescriptors\tCPU, s\t\n", o.Ports)
	line := func(when string, s sample) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.1f\t%.1f\t%d\t%d\t%d\t%d\t%.2f\t\n", when, s.Sent, s.Decided-r.Before.Decided,
			s.Overruns, mib(s.RSS), mib(s.Heap), s.Cycles, s.Goroutines, s.Threads, s.Descriptors, (s.CPU - r.Before.CPU).Seconds())
	}
	line("before", r.Before)
	for _, s := range r.Samples {
		line(fmt.Sprintf("%.0f s", s.At.Seconds()), s)
	}
	line("after", r.After)
	t.Flush()
	cpu := r.After.CPU - r.Before.CPU
	fmt.Fprintf(w, "%.0f changes per second; daemon CPU time: %.1f µs per change; all rows correct at the end\n\n",
		float64(r.Sent)/r.Took.Seconds(), cpu.Seconds()*1e6/float64(max(r.Sent, 1)))
}
