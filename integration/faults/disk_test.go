package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/switchtest"
)

// FIFREEZE and FITHAW of linux/fs.h are _IOWR('X', 119, int) and the next, in the
// encoding that all processors have which tests run on.
const (
	ioctlFreeze = 0xc0045877
	ioctlThaw   = 0xc0045878
)

// mountFreezer puts a file system of its own where the daemon keeps its files, and
// returns what has it answer no write until the second function is called
// (ioctl_fsfreeze; fsfreeze(8)). It needs a loop device, so root.
func mountFreezer(k *switchtest.Keeper) (freeze, thaw func()) {
	k.T.Helper()
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		lab.Unavailable(k.T, "no mkfs.btrfs, which a disk that freezes needs")
	}
	image, at := k.Dir+"/image", k.Dir+"/disk"
	k.Mkdir(at)
	k.Must("make an image", errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 128<<20)))
	if out, err := exec.Command("mkfs.btrfs", "-q", image).CombinedOutput(); err != nil {
		lab.Unavailable(k.T, fmt.Sprintf("no disk that freezes: %v: %s", err, out))
	}
	if err := k.MountImage(image, at, "btrfs"); err != nil {
		lab.Unavailable(k.T, fmt.Sprintf("no disk that freezes: %v", err))
	}
	dir, err := os.Open(at)
	k.Must("open the disk", err)
	frozen := false
	freeze = func() {
		k.Must("freeze the disk", unix.IoctlSetInt(int(dir.Fd()), ioctlFreeze, 0))
		frozen = true
	}
	thaw = func() {
		if frozen {
			k.Must("thaw the disk", unix.IoctlSetInt(int(dir.Fd()), ioctlThaw, 0))
			frozen = false
		}
	}
	k.T.Cleanup(func() {
		thaw()
		dir.Close()
		unix.Unmount(at, unix.MNT_DETACH)
	})
	k.State, k.Storage = at+"/state/port_state.json", at+"/metrics"
	return freeze, thaw
}

// TestFrozenDisk has the disk answer nothing for a while: ports are synchronised,
// scrapes answered, and reloads done all the same; what waited is written when it
// answers again; and SIGTERM needs no more than the kernel's own wait for the
// write that is under way.
func TestFrozenDisk(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	freeze, thaw := mountFreezer(k)
	k.Write("", "save_interval_secs = 1")
	d := k.Settle(switchtest.WarmPorts)
	k.AwaitRecord(1)
	s := switchtest.NewSite(t, switchtest.HttpAddress)

	freeze()
	for n := range 20 {
		k.Ip(fmt.Sprintf("link set %s mtu %d", switchtest.PortName(0), 1400+n))
		inStepAtOnce(k.Cell)
		s.Get("/metrics")
	}
	k.Recovered("20 changes on a frozen disk")
	k.Reload(d)
	if got := k.StoredPorts(); len(got) != switchtest.WarmPorts || got[0].MTU == 1419 {
		t.Errorf("a frozen disk has %+v", got)
	}
	thaw()
	switchtest.Eventually(t, switchtest.Patience, func() string {
		if got := k.StoredPorts(); len(got) != switchtest.WarmPorts || got[0].MTU != 1419 {
			return fmt.Sprintf("the state file has %+v", got)
		}
		return ""
	})
	k.Unharmed(d)

	freeze()
	k.Ip("link set " + switchtest.PortName(0) + " mtu 1500")
	k.Recovered("a change before the end")
	n := d.States.Len()
	d.Signal(syscall.SIGTERM)
	d.AwaitState(n, switchtest.Patience, "STOPPING=1")
	time.Sleep(2500 * time.Millisecond) // it gives files 2 s; a thread in the kernel's hands cannot be killed
	thaw()
	if status := d.Wait(switchtest.EndsWithin); status.Signal() != syscall.SIGTERM {
		t.Errorf("wait status %#x, want the end by SIGTERM", int(status))
	}
}

// TestFilesOfTheFuture gives the daemon files that were written by a clock decades
// ahead, as a switch does whose clock was wrong until NTP set it: nothing of
// them is lost, and nothing of the present waits for that time to come. (Nobody
// can set CLOCK_REALTIME for a test alone: time_namespaces(7) leave it out. A clock
// that jumps while the daemon runs is TestClockJumps' in package warmrestart.)
func TestFilesOfTheFuture(t *testing.T) {
	k := switchtest.NewKeeper(t)
	if k == nil {
		return
	}
	k.Write("", "save_interval_secs = 1\nexport_format = \"both\"")
	d := k.Settle(switchtest.WarmPorts)
	k.AwaitRecord(1)
	k.AwaitSamples(2)
	d.Kill()
	k.Pop()

	future := time.Now().AddDate(50, 0, 0)
	year := regexp.MustCompile(`"20[0-9]{2}-`)
	ahead := func(b []byte) []byte { return year.ReplaceAll(b, fmt.Appendf(nil, `"%d-`, future.Year())) }
	for _, f := range []*snapshot.File{k.StateFile(), {Path: k.Storage + "/metrics.json", Schema: 1}} {
		got, err := f.Peek()
		k.Must("read", err)
		f.Now, f.BootID, f.Writer, f.Schema = func() time.Time { return future }, got.BootID, got.Writer, got.Schema
		k.Must("write", errors.Join(f.Save(ahead(got.Body)), os.Chtimes(f.Path, future, future)))
	}
	text, err := os.ReadFile(k.Storage + "/history.jsonl")
	k.Must("read the history", err)
	switchtest.WriteFile(t, k.Storage+"/history.jsonl", string(ahead(text)))
	lines := strings.Count(string(text), "\n")
	part := fmt.Sprintf("%s/history-000001-%s.jsonl", k.Storage, future.UTC().Format("20060102T150405Z"))
	switchtest.WriteFile(t, part, string(ahead(text)))
	k.Must("date it", errors.Join(os.Chtimes(part, future, future), os.Chtimes(k.Storage+"/history.jsonl", future, future)))

	d = k.Launch()
	if r := k.AwaitRecord(2); r.Kind != "warm" || r.Changed != 0 || r.At.Year() == future.Year() {
		t.Errorf("record %+v, want a warm start of today that changed nothing", r)
	}
	samples := k.AwaitSamples(2*lines + 2)
	if last := samples[len(samples)-1]; last.Time.Year() == future.Year() {
		t.Errorf("the last sample is %+v", last)
	}
	if _, err := os.Stat(part); err != nil {
		t.Errorf("a part of the history is gone: %v", err)
	}
	switchtest.AwaitDegraded(t)
	k.Ip("link set " + switchtest.PortName(0) + " mtu 1400")
	k.Recovered("files of the future")
	k.Truthful(d, "disk")
	switchtest.Eventually(t, switchtest.Patience, func() string {
		got, err := k.StateFile().Peek()
		if err != nil || got.SavedAt.Year() == future.Year() {
			return fmt.Sprintf("the state file is of %v, %v", got.SavedAt, err)
		}
		return ""
	})
	for _, path := range []string{k.State, k.Storage + "/metrics.json"} {
		if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) > 0 {
			t.Errorf("set aside as damaged: %q", aside)
		}
	}
	d.DiesBy(syscall.SIGTERM, "after files of the future")
}
