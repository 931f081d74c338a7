package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
	"portsyncd/internal/switchtest"
)

// These tests make the daemon's disk fail or kill the daemon while it writes. Ports must be
// synchronized anyway, and the last good file must exist at any time.

// fill uses up the space of a disk and returns the file that has it.
func fill(t switchtest.T, at string) string {
	t.Helper()
	f, err := os.Create(at + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return f.Name()
}

// fillFor is like fill while the daemon is stopped between two writes. Otherwise the daemon could
// replace a file afterwards, which frees the space of the old one.
func fillFor(sw *switchtest.StorageSwitch, d *switchtest.Daemon, at string) string {
	sw.T.Helper()
	defer d.Signal(syscall.SIGCONT)
	switchtest.Eventually(sw.T, switchtest.Timeout, func() string {
		d.Pause()
		for _, dir := range []string{filepath.Dir(sw.StatePath), sw.StorageDir} {
			if unfinished, _ := filepath.Glob(dir + "/*.tmp-*"); len(unfinished) > 0 {
				d.Signal(syscall.SIGCONT)
				return fmt.Sprintf("the daemon is writing %q", unfinished)
			}
		}
		return ""
	})
	return fill(sw.T, at)
}

// TestDiskTrouble runs the daemon with a disk that is full, read-only, or over its quota.
func TestDiskTrouble(t *testing.T) {
	switchtest.Parallel(t)
	for _, c := range []struct {
		name, says string
		mount      func(*switchtest.StorageSwitch) (at string)
		begin      func(sw *switchtest.StorageSwitch, d *switchtest.Daemon, at string) (end func())
	}{
		{"quota", "disk quota exceeded", (*switchtest.StorageSwitch).MountQuota, func(sw *switchtest.StorageSwitch, d *switchtest.Daemon, at string) func() {
			filler := fillFor(sw, d, at)
			return func() {
				sw.NoError("free the space", os.Remove(filler))
				unix.Sync() // btrfs gives it back with the next transaction
			}
		}},
		{"full", "no space left on device", (*switchtest.StorageSwitch).MountDisk, func(sw *switchtest.StorageSwitch, d *switchtest.Daemon, at string) func() {
			filler := fillFor(sw, d, at)
			return func() { sw.NoError("free the space", os.Remove(filler)) }
		}},
		{"read_only", "read-only file system", (*switchtest.StorageSwitch).MountDisk, func(sw *switchtest.StorageSwitch, d *switchtest.Daemon, at string) func() {
			sw.Remount(at, unix.MS_RDONLY)
			return func() { sw.Remount(at, 0) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sw := switchtest.NewWithStorage(t)
			if sw == nil {
				return
			}
			at := c.mount(sw)
			sw.WriteSettings("", "save_interval_secs = 1\nexport_format = \"both\"")
			d := sw.BringUpSaved(switchtest.FewPorts)
			sw.AwaitRestarts(1)
			switchtest.AwaitDegraded(t)
			lines := sw.Logs.Len()
			end := c.begin(sw, d, at)
			sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
			sw.AwaitRecovery("change on a bad disk")
			switchtest.AwaitDegraded(t, c.says, "the state file")
			if got := sw.SavedPorts(); len(got) != switchtest.FewPorts || got[0].MTU == 1400 {
				t.Errorf("the last good file has %+v", got)
			}
			if m := sw.ReadMetricsFile(); len(m.Restarts) != 1 {
				t.Errorf("the last good metrics have %+v", m)
			}
			failures := switchtest.NewClient(t, switchtest.HTTPAddress).Scrape().Value(t, `portsyncd_snapshot_failures_total{file="state"}`)
			sw.IPLink("link set " + switchtest.PortName(1) + " mtu 1400")
			sw.AwaitRecovery("another change")
			end()
			switchtest.AwaitDegraded(t)
			switchtest.Eventually(t, switchtest.Timeout, func() string {
				if got := sw.SavedPorts(); len(got) != switchtest.FewPorts || got[0].MTU != 1400 || got[1].MTU != 1400 {
					return fmt.Sprintf("the state file has %+v", got)
				}
				return ""
			})
			sw.AwaitLog(lines, switchtest.Timeout, "writing files resumed")
			said, _ := sw.Logs.From(lines)
			state, journal := 0, 0
			for _, l := range said {
				switch {
				case l.Has("state: cannot write"):
					state++
				case l.Has("journal: cannot write"):
					journal++
				}
			}
			if state != 1 || journal > 1 {
				t.Errorf("log lines about the disk: %d of the recorder and %d of the journal, want 1 and at most 1", state, journal)
			}
			if failures == 0 {
				t.Error("no failure is counted")
			}
			sw.CheckAfterFault(d)
		})
	}
}

// TestDiskBadAtStart has a file in place of the storage directory. The daemon must serve ports,
// report the problem, and recover when the file is removed.
func TestDiskBadAtStart(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	switchtest.WriteFile(t, filepath.Dir(sw.StatePath), "in the way")
	sw.ConfigurePorts(1)
	d := sw.StartConfigured()
	sw.PopPortTable()
	sw.AddPort(switchtest.PortName(0))
	sw.AwaitInitDone()
	sw.AwaitRecovery("start without a state directory")
	switchtest.AwaitDegraded(t, filepath.Dir(sw.StatePath), "not a directory")
	sw.AwaitLog(0, switchtest.Timeout, "cannot write", filepath.Dir(sw.StatePath), "not a directory")
	sw.NoError("remove the file in the way", os.Remove(filepath.Dir(sw.StatePath)))
	switchtest.AwaitDegraded(t)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if got := sw.SavedPorts(); len(got) != 1 {
			return fmt.Sprintf("the state file has %+v", got)
		}
		return ""
	})
	sw.CheckAfterFault(d)
	d.Signal(syscall.SIGTERM)
	d.Wait(switchtest.ExitTimeout)
}

// TestKillDuringSave kills the daemon at random moments soon after its start, when it saves files,
// while ports flap. Every file must stay readable, and no counter may decrease.
func TestKillDuringSave(t *testing.T) {
	kills := 300
	if testing.Short() || switchtest.RaceEnabled {
		kills = 30
	}
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	sw.WriteSettings("", "save_interval_secs = 1")
	d := sw.BringUpSaved(switchtest.ManyPorts)
	sw.AwaitRestarts(1)
	stop := sw.Churn()
	defer stop()
	starts, saves := uint64(0), 0
	last := time.Time{}
	for n := range kills {
		d.Kill()
		got, err := sw.StateFile().Peek()
		if err != nil || got.Recovered || len(got.Problems) > 0 {
			t.Fatalf("kill %d: state file %v, %+v", n, err, got.Problems)
		}
		if got.SavedAt != last {
			saves, last = saves+1, got.SavedAt
		}
		f := snapshot.File{Path: sw.StorageDir + "/metrics.json", Schema: 1}
		got, err = f.Peek()
		if err != nil || got.Recovered || len(got.Problems) > 0 {
			t.Fatalf("kill %d: metrics %v, %+v", n, err, got.Problems)
		}
		var m switchtest.MetricsFile
		if err := json.Unmarshal(got.Body, &m); err != nil {
			t.Fatalf("kill %d: %v", n, err)
		}
		if s := m.Counters.ColdStarts + m.Counters.WarmRestarts; s < starts {
			t.Fatalf("kill %d: %d starts, there were %d", n, s, starts)
		} else {
			starts = s
		}
		if c := m.Counters; c.CorruptionsDetected > 0 || c.StateRecoveries > 0 {
			t.Fatalf("kill %d: %+v", n, c)
		}
		d = sw.Start(switchtest.StartOptions{Args: []string{"-c", sw.ConfigPath}, NoNotifySocket: true})
		if n%4 == 0 { // so that saves occur however slow a start is
			switchtest.Eventually(t, switchtest.Timeout, func() string {
				state, err := sw.StateFile().Peek()
				sw.NoError("read the state file", err)
				if c := sw.ReadMetricsFile().Counters; c.ColdStarts+c.WarmRestarts == starts || state.SavedAt == last {
					return fmt.Sprintf("the start after kill %d is not saved", n)
				}
				return ""
			})
		}
		time.Sleep(rand.N(150 * switchtest.RaceFactor * time.Millisecond)) // the moment of the kill
	}
	t.Logf("%d kills: %d starts were recorded, %d state files seen, 0 unreadable", kills, starts, saves)
	if starts < uint64(kills/5) || saves < kills/5 {
		t.Errorf("too few saves")
	}
	entries, err := os.ReadDir(filepath.Dir(sw.StatePath))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(entries) > 8 {
		t.Errorf("%d files are left in the state directory: %v", len(entries), entries)
	}
}
