package process

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/switchtest"
)

// statusField returns the number in a line of a status file (proc_pid_status(5)), or 0 if the file or
// the line does not exist.
func statusField(file, name string) (n int) {
	text, _ := os.ReadFile(file) // a thread may have ended
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ = strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return n
}

// wakeups returns how often the threads of a process have woken up.
func wakeups(t *testing.T, pid int) (n int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("threads of process %d: %v, %v", pid, files, err)
	}
	for _, file := range files {
		n += statusField(file, "voluntary_ctxt_switches")
	}
	return n
}

// TestIdleWakeups changes each port twenty times. The daemon must then save its state and the events
// with few wake-ups, and after that sleep without any until the next scheduled work: an audit each
// minute and a health check each half minute.
func TestIdleWakeups(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const ports, most = 8, 150
	quiet := 5 * time.Second
	if switchtest.LongRun() {
		quiet = 12 * time.Second
	}
	sw.ConfigurePorts(ports)
	// The watchdog belongs to another process: its notifications are wake-ups.
	d := sw.Start(switchtest.StartOptions{Env: []string{"WATCHDOG_PID=1"}})
	d.AwaitReady()
	sw.PopPortTable()
	for n := range ports {
		sw.AddPort(switchtest.PortName(n))
	}
	sw.AwaitInitDone()
	for mtu := range 20 {
		for n := range ports {
			sw.NoError("set the MTU", sw.Links.SetMTU(switchtest.PortName(n), 1500+mtu))
		}
	}
	sw.AwaitInSync(switchtest.Timeout)

	pid := d.Cmd.Process.Pid
	worked := wakeups(t, pid)
	begun, since, last := time.Now(), time.Now(), worked
	for time.Since(since) < quiet {
		if time.Since(begun) > time.Minute {
			t.Fatalf("no %v without a wake-up in a minute, %d wake-ups", quiet, last-worked)
		}
		time.Sleep(100 * time.Millisecond) // the sampling interval
		if n := wakeups(t, pid); n != last {
			since, last = time.Now(), n
		}
	}
	t.Logf("%d wake-ups after the last change, none after %v", last-worked, since.Sub(begun).Round(time.Millisecond))
	if last-worked > most {
		t.Errorf("%d wake-ups after the last change, want at most %d", last-worked, most)
	}
}

// TestMonitorSleeps checks that link changes do not wake the monitor thread of the Go runtime. It
// would use more CPU time than the change itself. What is collected for 20 ms wakes it: log lines, so the
// log level is error, and events of the journal, which are allowed for.
func TestMonitorSleeps(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const changes = 200
	sw.ConfigurePorts(1)
	sw.Do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "LOGLEVEL", "ERROR", "LOGOUTPUT", "SYSLOG")
	// With one processor the runtime starts no other threads for a change.
	d := sw.Start(switchtest.StartOptions{Env: []string{"WATCHDOG_PID=1", "GOMAXPROCS=1"}})
	d.AwaitReady()
	sw.PopPortTable()
	port := switchtest.PortName(0)
	sw.AddPort(port)
	sw.AwaitInitDone()
	sw.AwaitInSync(switchtest.Timeout)

	begun, before := time.Now(), monitorWakeups(t, d.Cmd.Process.Pid)
	for i := range changes {
		mtu := 2000 + i
		sw.NoError("set the MTU", sw.Links.SetMTU(port, mtu))
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if got := sw.Row("STATE_DB", switchtest.StatePort+port)["mtu"]; got != strconv.Itoa(mtu) {
				return fmt.Sprintf("MTU %s in STATE_DB, want %d", got, mtu)
			}
			return ""
		})
	}
	got := monitorWakeups(t, d.Cmd.Process.Pid) - before
	most := changes/2 + 2*int(time.Since(begun)/journal.GatherFor)
	t.Logf("%d wake-ups of the monitor thread for %d changes", got, changes)
	if got > most {
		t.Errorf("%d wake-ups of the monitor thread for %d changes, want at most %d", got, changes, most)
	}
}

// monitorWakeups returns the number of voluntary context switches of the runtime's monitor thread,
// which is the first that a Go program starts.
func monitorWakeups(t *testing.T, pid int) int {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("%d threads, error %v", len(tasks), err)
	}
	slices.SortFunc(tasks, func(a, b os.DirEntry) int {
		return cmp.Or(len(a.Name())-len(b.Name()), cmp.Compare(a.Name(), b.Name()))
	})
	return statusField(fmt.Sprintf("/proc/%d/task/%s/status", pid, tasks[1].Name()), "voluntary_ctxt_switches")
}

// TestPeakMemory checks the peak resident memory of the daemon after a cold start with all features
// on, without stored files and with those of earlier starts and a full journal. The limits are about 15 %
// above what docs/BENCHMARKS.md reports.
func TestPeakMemory(t *testing.T) {
	if switchtest.RaceEnabled {
		return // the race detector multiplies the memory
	}
	earlier := 10
	if switchtest.LongRun() {
		earlier = 100
	}
	for _, test := range []struct {
		ports, earlier, limit int // limit in KiB
	}{{32, 0, 12_800}, {512, 0, 16_500}, {32, earlier, 14_500}, {512, earlier, 18_500}} {
		t.Run(fmt.Sprintf("%d_ports_%d_starts", test.ports, test.earlier), func(t *testing.T) {
			sw := switchtest.NewWithStorage(t)
			if sw == nil {
				return
			}
			if test.earlier > 0 {
				sw.StartEarlier(test.earlier, test.ports)
			}
			d := sw.BringUpSaved(test.ports)
			file := fmt.Sprintf("/proc/%d/status", d.Cmd.Process.Pid)
			peak := 0
			for same := 0; same < 10; same++ { // the daemon reads its files after it is ready
				if now := statusField(file, "VmHWM"); now != peak {
					peak, same = now, 0
				}
				time.Sleep(100 * time.Millisecond) // the sampling interval
			}
			t.Logf("peak %d KiB; now %d KiB anonymous, %d KiB of files", peak, statusField(file, "RssAnon"), statusField(file, "RssFile"))
			if peak == 0 || peak > test.limit {
				t.Errorf("peak resident memory %d KiB, want at most %d", peak, test.limit)
			}
		})
	}
}
