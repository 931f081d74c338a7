package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
