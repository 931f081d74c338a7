package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what a process uses at one moment.
type usage struct {
	CPU         time.Duration // of all threads, user and system
	Wakeups     int           // voluntary context switches of all threads
	RSS         int           // bytes
	Threads     int
	Descriptors int
}

// readUsage reads what a process uses.
func readUsage(pid int) (u usage, err error) {
	// The CPU clock of a process (clock_getcpuclockid(3)) counts nanoseconds, /proc/PID/stat
	// only ticks. The number of the clock is computed as by the kernel's
	// include/linux/posix-timers_types.h, MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED.
	const cpuclockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts); err != nil {
		return u, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	u.CPU = time.Duration(ts.Nano())
	proc := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return u, err
	}
	u.RSS = statusNumber(string(status), "VmRSS") << 10 // given in KiB
	tasks, err := filepath.Glob(proc + "/task/*/status")
	if err != nil {
		return u, err
	}
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil { // a thread may end
			u.Threads++
			u.Wakeups += statusNumber(string(text), "voluntary_ctxt_switches")
		}
	}
	fds, err := os.ReadDir(proc + "/fd")
	u.Descriptors = len(fds)
	return u, err
}

// statusNumber returns the number in a line of /proc/PID/status (proc_pid_status(5)), or 0.
func statusNumber(status, name string) int {
	for line := range strings.Lines(status) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			if words := strings.Fields(text); len(words) > 0 {
				n, _ := strconv.Atoi(words[0])
				return n
			}
		}
	}
	return 0
}
