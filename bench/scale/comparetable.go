package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// compareRows defines the rows of the table: the key of the samples, a text, a unit and the number of
// decimals.
var compareRows = []struct {
	key, name, unit string
	decimals        int
}{
	{"burst rate", "burst: events per second", "1/s", 0},
	{"burst CPU", "burst: daemon CPU time per event", "µs", 1},
	{"burst Redis", "burst: Redis CPU time per event", "µs", 1},
	{"single p50", "single event: request to row, p50", "µs", 0},
	{"single p99", "single event: request to row, p99", "µs", 0},
	{"single CPU", "single event: daemon CPU time", "µs", 1},
	{"start 32", "start with 32 ports: exec to PortConfigDone", "ms", 1},
	{"start 128", "start with 128 ports: exec to PortConfigDone", "ms", 1},
	{"start 512", "start with 512 ports: exec to PortConfigDone", "ms", 1},
	{"start CPU 32", "start with 32 ports: CPU time until then", "ms", 1},
	{"start CPU 128", "start with 128 ports: CPU time until then", "ms", 1},
	{"start CPU 512", "start with 512 ports: CPU time until then", "ms", 1},
	{"peak 32", "peak RSS with 32 ports", "MiB", 1},
	{"peak 128", "peak RSS with 128 ports", "MiB", 1},
	{"peak 512", "peak RSS with 512 ports", "MiB", 1},
	{"overflow", "overflow: SIGCONT to all rows correct", "ms", 1},
	{"idle", "idle: wake-ups in the measured time", "", 0},
}

// printCompare prints the minimum and the median of each row for both binaries, and the ratio of the
// medians. It prints "never" if no run produced a value.
func printCompare(w io.Writer, reference, own samples) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\treference\t\tthis tree\t\t\t\t\n\tminimum\tmedian\tminimum\tmedian\t\tratio\t\n")
	for _, row := range compareRows {
		fmt.Fprintf(t, "%s\t", row.name)
		for _, s := range []samples{reference, own} {
			values := s[row.key]
			if len(values) == 0 {
				fmt.Fprint(t, "never\tnever\t")
				continue
			}
			fmt.Fprintf(t, "%.*f\t%.*f\t", row.decimals, slices.Min(values), row.decimals, medianOf(values))
		}
		fmt.Fprintf(t, "%s\t", row.unit)
		if a, b := reference[row.key], own[row.key]; len(a) > 0 && len(b) > 0 && medianOf(a) > 0 {
			fmt.Fprintf(t, "%.2f", medianOf(b)/medianOf(a))
		}
		fmt.Fprint(t, "\t\n")
	}
	t.Flush()
}

// medianOf returns the median of at least one value.
func medianOf(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// printMachine prints what the results depend on: the date, the machine and the binaries.
func printMachine(w io.Writer, binaries []string) error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	redis, err := exec.CommandContext(context.Background(), "redis-server", "--version").Output()
	if err != nil {
		return fmt.Errorf("redis-server --version: %w", err)
	}
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s; %d processors (%s); Linux %s; %s; load %s\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		runtime.NumCPU(), fieldOf(string(cpus), "model name"), unix.ByteSliceToString(u.Release[:]),
		strings.Join(strings.Fields(string(redis))[:3], " "), strings.Join(strings.Fields(string(load))[:3], " "))
	for i, name := range []string{"reference", "this tree"} {
		info, err := os.Stat(binaries[i])
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: %s, %.1f MB\n", name, binaries[i], float64(info.Size())/1e6)
	}
	fmt.Fprintln(w)
	return nil
}

// fieldOf returns the value of the first line "name : value", or "unknown model".
func fieldOf(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown model"
}
