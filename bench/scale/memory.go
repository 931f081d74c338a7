package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// memoryColumn is one column of the table.
type memoryColumn struct {
	name    string
	ports   int
	earlier bool // with the files of earlier starts and a full journal
}

var memoryColumns = []memoryColumn{
	{"package initialization", 0, false},
	{"32 ports", 32, false}, {"32, files", 32, true},
	{"512 ports", 512, false}, {"512, files", 512, true},
}

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

// measureMemory measures the daemon after a cold start with a number of ports, and with the files of a
// number of earlier starts.
func measureMemory(ctx context.Context, sw *switchtest.Switch, ports, earlier int) (r memoryResult, err error) {
	b := newTestbed(sw, ports)
	if earlier > 0 {
		files := switchtest.StorageSwitch{Switch: sw, ConfigPath: b.writeConfig(0), StatePath: b.stateFile(), StorageDir: b.storage()}
		files.StartEarlier(earlier, ports)
	}
	if err := b.startWithPorts(ctx, ports); err != nil {
		return r, err
	}
	return readMemory(b.daemon.Cmd.Process.Pid, sw.Binary)
}

// measureInitialization measures a process that runs the binary's package initialization and little
// else: it is blocked while it prints its version.
func measureInitialization(binary string) (r memoryResult, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return r, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(pipe[0])
	full := os.NewFile(uintptr(pipe[1]), "pipe")
	defer full.Close()
	for err == nil {
		_, err = unix.Write(pipe[1], make([]byte, 4096))
	}
	if err := unix.SetNonblock(pipe[1], false); err != nil {
		return r, fmt.Errorf("set a pipe to blocking: %w", err)
	}
	cmd := exec.Command(binary, "version")
	cmd.Stdout = full
	if err := cmd.Start(); err != nil {
		return r, err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for same, last := 0, -1; same < 10; { // until it is blocked
		time.Sleep(20 * time.Millisecond)
		if r, err = readMemory(cmd.Process.Pid, binary); err != nil {
			return r, err
		}
		same++
		if r.Peak != last {
			same, last = 0, r.Peak
		}
	}
	return r, nil
}

// readMemory reads the resident memory of a process that runs binary.
func readMemory(pid int, binary string) (r memoryResult, err error) {
	proc := fmt.Sprintf("/proc/%d/", pid)
	smaps, err := os.ReadFile(proc + "smaps")
	if err != nil {
		return r, err
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return r, err
	}
	r.Peak, r.Parts = statusNumber(string(status), "VmHWM"), make([]int, len(memoryParts))
	for _, m := range parseSmaps(string(smaps), binary) {
		for i, part := range memoryParts {
			if part.of(m) {
				r.Parts[i] += m.rss
				break
			}
		}
	}
	return r, nil
}

// memory measures all memoryColumns and prints a table.
func memory(ctx context.Context, o options) error {
	results := make([]memoryResult, len(memoryColumns))
	for i, c := range memoryColumns {
		var err error
		switch {
		case c.ports == 0:
			results[i], err = measureInitialization(o.binary)
		case c.earlier:
			err = again(ctx, o, &results[i], "memory", "-memory-ports", strconv.Itoa(c.ports))
		default:
			err = again(ctx, o, &results[i], "memory", "-memory-ports", strconv.Itoa(c.ports), "-earlier", "0")
		}
		if err != nil {
			return fmt.Errorf("memory, %s: %w", c.name, err)
		}
	}
	printMemory(os.Stdout, results)
	return nil
}

// printMemory prints a column for each of memoryColumns.
func printMemory(w io.Writer, results []memoryResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, value func(r *memoryResult) int) {
		fmt.Fprintf(t, "%s\t", name)
		for i := range results {
			fmt.Fprintf(t, "%d\t", value(&results[i]))
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "resident memory, KiB\t")
	for _, c := range memoryColumns {
		fmt.Fprintf(t, "%s\t", c.name)
	}
	fmt.Fprintln(t)
	for i, part := range memoryParts {
		row(part.name, func(r *memoryResult) int { return r.Parts[i] })
	}
	row("peak (VmHWM)", func(r *memoryResult) int { return r.Peak })
	t.Flush()
}
