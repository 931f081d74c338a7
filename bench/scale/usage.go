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

// usage is the resource usage of a process at one point in time.
type usage struct {
	CPU         time.Duration // user and system time of all threads
	Wakeups     int           // voluntary context switches of all threads
	RSS         int           // bytes
	Threads     int
	Descriptors int
}

// readUsage returns the resource usage of a process.
func readUsage(pid int) (u usage, err error) {
	if u.CPU, err = cpuTime(pid); err != nil {
		return u, err
	}
	proc := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return u, err
	}
	u.RSS = statusNumber(string(status), "VmRSS") << 10 // VmRSS is in KiB
	tasks, err := filepath.Glob(proc + "/task/*/status")
	if err != nil {
		return u, err
	}
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil { // the thread may have ended
			u.Threads++
			u.Wakeups += statusNumber(string(text), "voluntary_ctxt_switches")
		}
	}
	fds, err := os.ReadDir(proc + "/fd")
	u.Descriptors = len(fds)
	return u, err
}

// cpuTime returns the user and system time of all threads of a process.
func cpuTime(pid int) (time.Duration, error) {
	// The CPU clock of a process (clock_getcpuclockid(3)) has nanosecond resolution, while
	// /proc/PID/stat has only ticks. The clock ID is computed like MAKE_PROCESS_CPUCLOCK with
	// CPUCLOCK_SCHED in the kernel's include/linux/posix-timers_types.h.
	const cpuclockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts); err != nil {
		return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// statusNumber returns the number in the named line of /proc/PID/status (proc_pid_status(5)), or 0
// if there is none.
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
