package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// size has the runs with one number of interfaces.
type size struct {
	interfaces int
	runs       []growthResult
}

// median returns the median of one value over the runs.
func (s *size) median(value func(r *growthResult) float64) float64 {
	var all []float64
	for i := range s.runs {
		all = append(all, value(&s.runs[i]))
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// growthRows are the rows of the table.
var growthRows = []struct {
	name, unit string
	value      func(r *growthResult) float64
}{
	{"cold start: exec to PortConfigDone", "ms", func(r *growthResult) float64 { return ms(r.ConfigDone) }},
	{"cold start: exec to READY=1", "ms", func(r *growthResult) float64 { return ms(r.Ready) }},
	{"last port's interface to PortInitDone", "ms", func(r *growthResult) float64 { return ms(r.InitDone) }},
	{"resync after an overrun: the dump", "ms", func(r *growthResult) float64 { return ms(r.Resync) }},
	{"overrun: SIGCONT to all rows correct", "ms", func(r *growthResult) float64 { return ms(r.InStep) }},
	{"restart alone: exec to READY=1", "ms", func(r *growthResult) float64 { return ms(r.Restart) }},
	{"CPU of one audit", "ms", func(r *growthResult) float64 { return ms(r.AuditCPU) }},
	{"idle, no audits: CPU a second", "µs", func(r *growthResult) float64 { return 1e3 * ms(r.IdleCPU) }},
	{"the same with an audit each minute", "µs", func(r *growthResult) float64 { return 1e3 * ms(r.IdleCPU+r.AuditCPU/60) }},
	{"idle, no audits: wake-ups a second", "", func(r *growthResult) float64 { return r.IdleWakeups }},
	{"RSS with all ports", "MiB", func(r *growthResult) float64 { return mib(r.StartRSS) }},
	{"RSS after audits", "MiB", func(r *growthResult) float64 { return mib(r.AuditRSS) }},
	{"RSS after the overrun", "MiB", func(r *growthResult) float64 { return mib(r.EndRSS) }},
	{"(a bare list of all links)", "ms", func(r *growthResult) float64 { return ms(r.List) }},
	{"(kernel: adding the other interfaces)", "ms", func(r *growthResult) float64 { return ms(r.Make) }},
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func mib(bytes int) float64      { return float64(bytes) / (1 << 20) }

// printGrowth prints a column of medians for each number of interfaces, from the smallest to the
// largest, and then how the values grow: the factor from the first to the last, the increase for
// 1,000 more interfaces, and how far the values between lie off that straight line, in the unit of
// the row.
func printGrowth(w io.Writer, ports int, sizes []size) {
	first, last := &sizes[0], &sizes[len(sizes)-1]
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%d ports among so many interfaces\t", ports)
	for _, s := range sizes {
		fmt.Fprintf(t, "%d\t", s.interfaces)
	}
	fmt.Fprint(t, "\ttimes\teach 1,000 more\toff the line\t\n")
	for _, row := range growthRows {
		fmt.Fprintf(t, "%s\t", row.name)
		for i := range sizes {
			fmt.Fprintf(t, "%.1f\t", sizes[i].median(row.value))
		}
		fmt.Fprintf(t, "%s\t", row.unit)
		from, to := first.median(row.value), last.median(row.value)
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

// offLine returns the largest distance of a median from the straight line.
func offLine(sizes []size, value func(r *growthResult) float64, from, each float64) (off float64) {
	for i := range sizes {
		line := from + each*float64(sizes[i].interfaces-sizes[0].interfaces)
		off = max(off, sizes[i].median(value)-line, line-sizes[i].median(value))
	}
	return off
}

// printFlood prints a line for each sample.
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
	fmt.Fprintf(w, "%.0f changes a second; CPU of the daemon %.1f µs for each; all rows correct at the end\n\n",
		float64(r.Sent)/r.Took.Seconds(), cpu.Seconds()*1e6/float64(max(r.Sent, 1)))
}
