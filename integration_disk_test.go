package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/lab"

	"golang.org/x/sys/unix"

	"portsyncd/snapshot"
)

// These tests take the disk away from the daemon, or the daemon from the disk:
// ports are synchronised all the same, and the last good file is there at any
// moment.

const metricsAddress = "127.0.0.1:9101"

// mountDisk puts a small file system where the daemon keeps its files.
func (k *keeper) mountDisk() (at string) {
	k.t.Helper()
	at = k.dir + "/disk"
	k.mkdir(at)
	k.must("mount a disk", unix.Mount("tmpfs", at, "tmpfs", 0, "size=512k"))
	k.state, k.storage = at+"/state/port_state.json", at+"/metrics"
	return at
}

// mountQuota puts a file system with a quota there: a subvolume of btrfs, in an
// image of its own, with a limit on its group (btrfs-qgroup(8)). It needs a loop
// device, so root.
func (k *keeper) mountQuota() (at string) {
	k.t.Helper()
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		lab.Unavailable(k.t, "no mkfs.btrfs, which a disk with a quota needs")
	}
	image, top := k.dir+"/image", k.dir+"/btrfs"
	k.mkdir(top)
	at = top + "/disk"
	run := func(command ...string) {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			lab.Unavailable(k.t, fmt.Sprintf("no disk with a quota: %q: %v: %s", command, err, out))
		}
	}
	run("truncate", "-s", "128M", image)
	run("mkfs.btrfs", "-q", image)
	if err := k.mountImage(image, top, "btrfs"); err != nil {
		lab.Unavailable(k.t, fmt.Sprintf("no disk with a quota: %v", err))
	}
	run("btrfs", "quota", "enable", top)
	run("btrfs", "subvolume", "create", at)
	run("btrfs", "qgroup", "limit", "1M", at)
	k.t.Cleanup(func() { unix.Unmount(top, 0) })
	k.state, k.storage = at+"/state/port_state.json", at+"/metrics"
	return at
}

// mountImage mounts a file system in a file, by a loop device (loop(4)) that goes
// with the mount. The cell's own /dev has none.
func (k *keeper) mountImage(image, at, kind string) error {
	devices := k.dir + "/devices"
	k.mkdir(devices)
	if err := unix.Mount("devtmpfs", devices, "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount the devices: %w", err)
	}
	control, err := os.Open(devices + "/loop-control")
	if err != nil {
		return err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return fmt.Errorf("find a loop device: %w", err)
	}
	loop, err := os.OpenFile(fmt.Sprintf("%s/loop%d", devices, n), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer loop.Close()
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_FD, int(file.Fd())); err != nil {
		return fmt.Errorf("set up %s: %w", loop.Name(), err)
	}
	status := unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}
	if err := unix.IoctlLoopSetStatus64(int(loop.Fd()), &status); err != nil {
		return fmt.Errorf("set up %s: %w", loop.Name(), err)
	}
	if err := unix.Mount(loop.Name(), at, kind, 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", loop.Name(), err)
	}
	return nil
}

// remount makes the disk read-only or writable. It has to wait for a write that
// is under way.
func (k *keeper) remount(at string, flags uintptr) {
	k.t.Helper()
	eventually(k.t, patience, func() string {
		if err := unix.Mount("", at, "", unix.MS_REMOUNT|flags, ""); err != nil {
			return err.Error()
		}
		return ""
	})
}

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

// awaitDegraded waits until /healthz says degraded with all of the words, or
// healthy if there are none.
func awaitDegraded(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, patience, func() string {
		code, body, err := health(metricsAddress)
		want := "healthy\n"
		if len(words) > 0 {
			want = "degraded\n"
		}
		problem := fmt.Sprintf("/healthz answers %d %q, %v, want %q with %q", code, body, err, want, words)
		if code != http.StatusOK || !strings.HasPrefix(body, want) {
			return problem
		}
		for _, w := range words {
			if !strings.Contains(body, w) {
				return problem
			}
		}
		return ""
	})
}

// TestDiskTrouble has the disk full, read-only, and over its quota.
func TestDiskTrouble(t *testing.T) {
	alongside(t)
	for _, c := range []struct {
		name, says string
		mount      func(*keeper) (at string)
		begin      func(k *keeper, at string) (end func())
	}{
		{"quota", "disk quota exceeded", (*keeper).mountQuota, func(k *keeper, at string) func() {
			filler := fill(k.t, at)
			return func() {
				k.must("free the space", os.Remove(filler))
				unix.Sync() // btrfs gives it back with the next transaction
			}
		}},
		{"full", "no space left on device", (*keeper).mountDisk, func(k *keeper, at string) func() {
			filler := fill(k.t, at)
			return func() { k.must("free the space", os.Remove(filler)) }
		}},
		{"read_only", "read-only file system", (*keeper).mountDisk, func(k *keeper, at string) func() {
			k.remount(at, unix.MS_RDONLY)
			return func() { k.remount(at, 0) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeeper(t)
			if k == nil {
				return
			}
			at := c.mount(k)
			k.write("", "save_interval_secs = 1\nexport_format = \"both\"")
			d := k.settle(warmPorts)
			k.awaitRecord(1)
			awaitDegraded(t)
			lines := k.logs.len()
			end := c.begin(k, at)
			k.ip("link set " + portName(0) + " mtu 1400")
			k.recovered("change on a bad disk")
			awaitDegraded(t, c.says, "the state file")
			if got := k.storedPorts(); len(got) != warmPorts || got[0].MTU == 1400 {
				t.Errorf("the last good file has %+v", got)
			}
			if m := k.stored(); len(m.Restarts) != 1 {
				t.Errorf("the last good metrics have %+v", m)
			}
			failures := scrape(t)[`portsyncd_snapshot_failures_total{file="state"}`]
			k.ip("link set " + portName(1) + " mtu 1400")
			k.recovered("another change")
			end()
			awaitDegraded(t)
			eventually(t, patience, func() string {
				if got := k.storedPorts(); len(got) != warmPorts || got[0].MTU != 1400 || got[1].MTU != 1400 {
					return fmt.Sprintf("the state file has %+v", got)
				}
				return ""
			})
			k.awaitLog(lines, patience, "files can be written again")
			said, _ := k.logs.from(lines)
			troubles := 0
			for _, l := range said {
				if l.has("cannot write") {
					troubles++
				}
			}
			if troubles != 1 {
				t.Errorf("%d log lines about the trouble, want 1", troubles)
			}
			if failures == "0" {
				t.Error("no failure is counted")
			}
			if !d.alive() {
				t.Error("the daemon has ended")
			}
		})
	}
}

// TestDiskBadAtStart has a file where the directory is to be: the daemon serves
// ports as ever, says what is wrong, and mends it when it can.
func TestDiskBadAtStart(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	writeFile(t, filepath.Dir(k.state), "in the way")
	k.configure(1)
	d := k.launch()
	k.pop()
	k.addPort(portName(0))
	k.awaitInitDone()
	k.recovered("start without a state directory")
	awaitDegraded(t, filepath.Dir(k.state), "want a directory")
	k.awaitLog(0, patience, "cannot write", filepath.Dir(k.state), "want a directory")
	k.must("clear the way", os.Remove(filepath.Dir(k.state)))
	awaitDegraded(t)
	if got := k.storedPorts(); len(got) != 1 {
		t.Errorf("the state file has %+v", got)
	}
	d.signal(syscall.SIGTERM)
	d.wait(5 * time.Second)
}

// TestKilledAnyTime kills the daemon at random moments soon after its start,
// when it saves both whole files, while ports flap: never is a file unreadable,
// and no counter goes back.
func TestKilledAnyTime(t *testing.T) {
	kills := 300
	if testing.Short() || raceEnabled {
		kills = 30
	}
	k := newKeeper(t)
	if k == nil {
		return
	}
	k.write("", "save_interval_secs = 1")
	d := k.settle(faultPorts)
	k.awaitRecord(1)
	stop := k.churn()
	defer stop()
	starts, saves := uint64(0), 0
	last := time.Time{}
	for n := range kills {
		d.kill()
		got, err := k.stateFile().Peek()
		if err != nil || got.Recovered || len(got.Problems) > 0 {
			t.Fatalf("kill %d: state file %v, %+v", n, err, got.Problems)
		}
		if got.SavedAt != last {
			saves, last = saves+1, got.SavedAt
		}
		f := snapshot.File{Path: k.storage + "/metrics.json", Schema: 1}
		got, err = f.Peek()
		if err != nil || got.Recovered || len(got.Problems) > 0 {
			t.Fatalf("kill %d: metrics %v, %+v", n, err, got.Problems)
		}
		var m memory
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
		d = k.start(launch{args: []string{"-c", k.conf}, unwatched: true})
		time.Sleep(rand.N(150 * raceFactor * time.Millisecond)) // the moment of the kill
	}
	t.Logf("%d kills: %d starts were recorded, %d state files seen, 0 unreadable", kills, starts, saves)
	if starts < uint64(kills/5) || saves < kills/5 {
		t.Errorf("too few saves to tell")
	}
	entries, err := os.ReadDir(filepath.Dir(k.state))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(entries) > 8 {
		t.Errorf("%d files are left in the state directory: %v", len(entries), entries)
	}
}
