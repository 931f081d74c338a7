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

// These tests take the disk away from the daemon, or the daemon from the disk:
// ports are synchronised all the same, and the last good file is there at any
// moment.

// fill takes all space of a disk and returns the file that has it.
func fill(t *testing.T, at string) string {
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

// TestDiskTrouble has the disk full, read-only, and over its quota.
func TestDiskTrouble(t *testing.T) {
	switchtest.Alongside(t)
	for _, c := range []struct {
		name, says string
		mount      func(*switchtest.Keeper) (at string)
		begin      func(k *switchtest.Keeper, at string) (end func())
	}{
		{"quota", "disk quota exceeded", (*switchtest.Keeper).MountQuota, func(k *switchtest.Keeper, at string) func() {
			filler := fill(k.T, at)
			return func() {
				k.Must("free the space", os.Remove(filler))
				unix.Sync() // btrfs gives it back with the next transaction
			}
		}},
		{"full", "no space left on device", (*switchtest.Keeper).MountDisk, func(k *switchtest.Keeper, at string) func() {
			filler := fill(k.T, at)
			return func() { k.Must("free the space", os.Remove(filler)) }
		}},
		{"read_only", "read-only file system", (*switchtest.Keeper).MountDisk, func(k *switchtest.Keeper, at string) func() {
			k.Remount(at, unix.MS_RDONLY)
			return func() { k.Remount(at, 0) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := switchtest.NewKeeper(t)
			if k == nil {
				return
			}
			at := c.mount(k)
			k.Write("", "save_interval_secs = 1\nexport_format = \"both\"")
			d := k.Settle(switchtest.WarmPorts)
			k.AwaitRecord(1)
			switchtest.AwaitDegraded(t)
			lines := k.Logs.Len()
			end := c.begin(k, at)
			k.Ip("link set " + switchtest.PortName(0) + " mtu 1400")
			k.Recovered("change on a bad disk")
			switchtest.AwaitDegraded(t, c.says, "the state file")
			if got := k.StoredPorts(); len(got) != switchtest.WarmPorts || got[0].MTU == 1400 {
				t.Errorf("the last good file has %+v", got)
			}
			if m := k.Stored(); len(m.Restarts) != 1 {
				t.Errorf("the last good metrics have %+v", m)
			}
			failures := switchtest.Scrape(t)[`portsyncd_snapshot_failures_total{file="state"}`]
			k.Ip("link set " + switchtest.PortName(1) + " mtu 1400")
			k.Recovered("another change")
			end()
			switchtest.AwaitDegraded(t)
			switchtest.Eventually(t, switchtest.Patience, func() string {
				if got := k.StoredPorts(); len(got) != switchtest.WarmPorts || got[0].MTU != 1400 || got[1].MTU != 1400 {
					return fmt.Sprintf("the state file has %+v", got)
				}
				return ""
			})
			k.AwaitLog(lines, switchtest.Patience, "files can be written again")
			said, _ := k.Logs.From(lines)
			troubles := 0
			for _, l := range said {
				if l.Has("cannot write") {
					troubles++
				}
			}
			if troubles != 1 {
				t.Errorf("%d log lines about the trouble, want 1", troubles)
			}
			if failures == "0" {
				t.Error("no failure is counted")
			}
			if !d.Alive() {
				t.Error("the daemon has ended")
			}
		})
	}
}

// TestDiskBadAtStart has a file where the directory is to be: the daemon serves
// ports as ever, says what is wrong, and mends it when it can.
func TestDiskBadAtStart(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	switchtest.WriteFile(t, filepath.Dir(k.State), "in the way")
	k.Configure(1)
	d := k.Launch()
	k.Pop()
	k.AddPort(switchtest.PortName(0))
	k.AwaitInitDone()
	k.Recovered("start without a state directory")
	switchtest.AwaitDegraded(t, filepath.Dir(k.State), "want a directory")
	k.AwaitLog(0, switchtest.Patience, "cannot write", filepath.Dir(k.State), "want a directory")
	k.Must("clear the way", os.Remove(filepath.Dir(k.State)))
	switchtest.AwaitDegraded(t)
	if got := k.StoredPorts(); len(got) != 1 {
		t.Errorf("the state file has %+v", got)
	}
	d.Signal(syscall.SIGTERM)
	d.Wait(5 * time.Second)
}

// TestKilledAnyTime kills the daemon at random moments soon after its start,
// when it saves both whole files, while ports flap: never is a file unreadable,
// and no counter goes back.
func TestKilledAnyTime(t *testing.T) {
	kills := 300
	if testing.Short() || switchtest.RaceEnabled {
		kills = 30
	}
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	k.Write("", "save_interval_secs = 1")
	d := k.Settle(switchtest.FaultPorts)
	k.AwaitRecord(1)
	stop := k.Churn()
	defer stop()
	starts, saves := uint64(0), 0
	last := time.Time{}
	for n := range kills {
		d.Kill()
		got, err := k.StateFile().Peek()
		if err != nil || got.Recovered || len(got.Problems) > 0 {
			t.Fatalf("kill %d: state file %v, %+v", n, err, got.Problems)
		}
		if got.SavedAt != last {
			saves, last = saves+1, got.SavedAt
		}
		f := snapshot.File{Path: k.Storage + "/metrics.json", Schema: 1}
		got, err = f.Peek()
		if err != nil || got.Recovered || len(got.Problems) > 0 {
			t.Fatalf("kill %d: metrics %v, %+v", n, err, got.Problems)
		}
		var m switchtest.Memory
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
		d = k.Start(switchtest.Launch{Args: []string{"-c", k.Conf}, Unwatched: true})
		time.Sleep(rand.N(150 * switchtest.RaceFactor * time.Millisecond)) // the moment of the kill
	}
	t.Logf("%d kills: %d starts were recorded, %d state files seen, 0 unreadable", kills, starts, saves)
	if starts < uint64(kills/5) || saves < kills/5 {
		t.Errorf("too few saves to tell")
	}
	entries, err := os.ReadDir(filepath.Dir(k.State))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(entries) > 8 {
		t.Errorf("%d files are left in the state directory: %v", len(entries), entries)
	}
}
