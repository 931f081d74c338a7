package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"portsyncd/internal/switchtest"
)

// memoryPorts lists the numbers of ports for which memory is measured.
var memoryPorts = []int{32, 512}

// memoryResult is the resident memory of the daemon after a cold start, in KiB.
type memoryResult struct {
	Peak  int
	Parts []int // by index in memoryParts
}

// memoryParts are the kinds of mappings, from smaps (proc_pid_smaps(5)).
var memoryParts = []struct {
	name string
	of   func(m mapping) bool
}{
	{"machine code", func(m mapping) bool { return m.binary && m.mode[2] == 'x' }},
	{"constants, types and tables of functions", func(m mapping) bool { return m.binary && m.mode[1] != 'w' }},
	{"variables", func(m mapping) bool { return m.binary || m.afterBinary }},
	{"heap and goroutine stacks", func(m mapping) bool { return m.heap }},
	{"garbage collector, netlink buffers and other", func(mapping) bool { return true }},
}

// mapping is one mapping of a process.
type mapping struct {
	mode        string // such as "r-xp"
	binary      bool   // of the executable
	afterBinary bool   // zeroed variables
	heap        bool   // arenas of the Go heap
	rss         int    // KiB
}

// parseSmaps parses the text of /proc/PID/smaps. binary is the path of the executable.
func parseSmaps(text, binary string) (all []mapping) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) >= 5 && strings.Contains(words[0], "-"):
			m := mapping{mode: words[1], binary: len(words) == 6 && words[5] == binary}
			m.afterBinary = !m.binary && len(words) == 5 && len(all) > 0 && all[len(all)-1].binary
			// The runtime reserves the heap at random addresses that are multiples of 4 MiB, and
			// whose upper 16 of 48 bits are less than 0x7f00, the beginning of the area for mmap.
			begin, _, _ := strings.Cut(words[0], "-")
			address, _ := strconv.ParseUint(begin, 16, 64)
			m.heap = len(words) == 5 && address%(4<<20) == 0 && address < 0x7f00_0000_0000
			all = append(all, m)
		case len(words) == 3 && words[0] == "Rss:" && len(all) > 0:
			all[len(all)-1].rss, _ = strconv.Atoi(words[1])
		}
	}
	return all
}

// measureMemory measures the daemon after a cold start with a number of ports.
func measureMemory(ctx context.Context, sw *switchtest.Switch, ports int) (r memoryResult, err error) {
	b := newTestbed(sw, ports)
	if err := b.startWithPorts(ctx, ports); err != nil {
		return r, err
	}
	proc := fmt.Sprintf("/proc/%d/", b.daemon.Cmd.Process.Pid)
	smaps, err := os.ReadFile(proc + "smaps")
	if err != nil {
		return r, err
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return r, err
	}
	r.Peak, r.Parts = statusNumber(string(status), "VmHWM"), make([]int, len(memoryParts))
	for _, m := range parseSmaps(string(smaps), sw.Binary) {
		for i, part := range memoryParts {
			if part.of(m) {
				r.Parts[i] += m.rss
				break
			}
		}
	}
	return r, nil
}

// memory measures all memoryPorts and prints a table.
func memory(ctx context.Context, o options) error {
	results := make([]memoryResult, len(memoryPorts))
	for i, ports := range memoryPorts {
		if err := again(ctx, o, &results[i], "memory", "-memory-ports", strconv.Itoa(ports)); err != nil {
			return fmt.Errorf("memory with %d ports: %w", ports, err)
		}
	}
	printMemory(os.Stdout, results)
	return nil
}

// printMemory prints a column for each of memoryPorts.
func printMemory(w io.Writer, results []memoryResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, value func(r *memoryResult) int) {
		fmt.Fprintf(t, "%s\t", name)
		for i := range results {
			fmt.Fprintf(t, "%d\t", value(&results[i]))
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "resident memory, KiB; ports:\t")
	for _, ports := range memoryPorts {
		fmt.Fprintf(t, "%d\t", ports)
	}
	fmt.Fprintln(t)
	for i, part := range memoryParts {
		row(part.name, func(r *memoryResult) int { return r.Parts[i] })
	}
	row("peak (VmHWM)", func(r *memoryResult) int { return r.Peak })
	t.Flush()
}
