package main

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

	"portsyncd/lab"
	"portsyncd/snapshot"
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
func (k *keeper) mountFreezer() (freeze, thaw func()) {
	k.t.Helper()
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		lab.Unavailable(k.t, "no mkfs.btrfs, which a disk that freezes needs")
	}
	image, at := k.dir+"/image", k.dir+"/disk"
	k.mkdir(at)
	k.must("make an image", errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 128<<20)))
	if out, err := exec.Command("mkfs.btrfs", "-q", image).CombinedOutput(); err != nil {
		lab.Unavailable(k.t, fmt.Sprintf("no disk that freezes: %v: %s", err, out))
	}
	if err := k.mountImage(image, at, "btrfs"); err != nil {
		lab.Unavailable(k.t, fmt.Sprintf("no disk that freezes: %v", err))
	}
	dir, err := os.Open(at)
	k.must("open the disk", err)
	frozen := false
	freeze = func() {
		k.must("freeze the disk", unix.IoctlSetInt(int(dir.Fd()), ioctlFreeze, 0))
		frozen = true
	}
	thaw = func() {
		if frozen {
			k.must("thaw the disk", unix.IoctlSetInt(int(dir.Fd()), ioctlThaw, 0))
			frozen = false
		}
	}
	k.t.Cleanup(func() {
		thaw()
		dir.Close()
		unix.Unmount(at, unix.MNT_DETACH)
	})
	k.state, k.storage = at+"/state/port_state.json", at+"/metrics"
	return freeze, thaw
}

// TestFrozenDisk has the disk answer nothing for a while: ports are synchronised,
// scrapes answered, and reloads done all the same; what waited is written when it
// answers again; and SIGTERM needs no more than the kernel's own wait for the
// write that is under way.
func TestFrozenDisk(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	freeze, thaw := k.mountFreezer()
	k.write("", "save_interval_secs = 1")
	d := k.settle(warmPorts)
	k.awaitRecord(1)
	s := newSite(t, httpAddress)

	freeze()
	for n := range 20 {
		k.ip(fmt.Sprintf("link set %s mtu %d", portName(0), 1400+n))
		k.inStepAtOnce()
		s.get("/metrics")
	}
	k.recovered("20 changes on a frozen disk")
	k.reload(d)
	if got := k.storedPorts(); len(got) != warmPorts || got[0].MTU == 1419 {
		t.Errorf("a frozen disk has %+v", got)
	}
	thaw()
	eventually(t, patience, func() string {
		if got := k.storedPorts(); len(got) != warmPorts || got[0].MTU != 1419 {
			return fmt.Sprintf("the state file has %+v", got)
		}
		return ""
	})
	k.unharmed(d)

	freeze()
	k.ip("link set " + portName(0) + " mtu 1500")
	k.recovered("a change before the end")
	n := d.states.len()
	d.signal(syscall.SIGTERM)
	d.awaitState(n, patience, "STOPPING=1")
	time.Sleep(2500 * time.Millisecond) // it gives files 2 s; a thread in the kernel's hands cannot be killed
	thaw()
	if status := d.wait(endsWithin); status.Signal() != syscall.SIGTERM {
		t.Errorf("wait status %#x, want the end by SIGTERM", int(status))
	}
}

// TestFilesOfTheFuture gives the daemon files that were written by a clock decades
// ahead, as a switch does whose clock was wrong until NTP set it: nothing of
// them is lost, and nothing of the present waits for that time to come. (Nobody
// can set CLOCK_REALTIME for a test alone: time_namespaces(7) leave it out. A clock
// that jumps while the daemon runs is TestClockJumps' in package warmrestart.)
func TestFilesOfTheFuture(t *testing.T) {
	k := newKeeper(t)
	if k == nil {
		return
	}
	k.write("", "save_interval_secs = 1\nexport_format = \"both\"")
	d := k.settle(warmPorts)
	k.awaitRecord(1)
	k.awaitSamples(2)
	d.kill()
	k.pop()

	future := time.Now().AddDate(50, 0, 0)
	year := regexp.MustCompile(`"20[0-9]{2}-`)
	ahead := func(b []byte) []byte { return year.ReplaceAll(b, fmt.Appendf(nil, `"%d-`, future.Year())) }
	for _, f := range []*snapshot.File{k.stateFile(), {Path: k.storage + "/metrics.json", Schema: 1}} {
		got, err := f.Peek()
		k.must("read", err)
		f.Now, f.BootID, f.Writer, f.Schema = func() time.Time { return future }, got.BootID, got.Writer, got.Schema
		k.must("write", errors.Join(f.Save(ahead(got.Body)), os.Chtimes(f.Path, future, future)))
	}
	text, err := os.ReadFile(k.storage + "/history.jsonl")
	k.must("read the history", err)
	writeFile(t, k.storage+"/history.jsonl", string(ahead(text)))
	lines := strings.Count(string(text), "\n")
	part := fmt.Sprintf("%s/history-000001-%s.jsonl", k.storage, future.UTC().Format("20060102T150405Z"))
	writeFile(t, part, string(ahead(text)))
	k.must("date it", errors.Join(os.Chtimes(part, future, future), os.Chtimes(k.storage+"/history.jsonl", future, future)))

	d = k.launch()
	if r := k.awaitRecord(2); r.Kind != "warm" || r.Changed != 0 || r.At.Year() == future.Year() {
		t.Errorf("record %+v, want a warm start of today that changed nothing", r)
	}
	samples := k.awaitSamples(2*lines + 2)
	if last := samples[len(samples)-1]; last.Time.Year() == future.Year() {
		t.Errorf("the last sample is %+v", last)
	}
	if _, err := os.Stat(part); err != nil {
		t.Errorf("a part of the history is gone: %v", err)
	}
	awaitDegraded(t)
	k.ip("link set " + portName(0) + " mtu 1400")
	k.recovered("files of the future")
	k.truthful(d, "disk")
	eventually(t, patience, func() string {
		got, err := k.stateFile().Peek()
		if err != nil || got.SavedAt.Year() == future.Year() {
			return fmt.Sprintf("the state file is of %v, %v", got.SavedAt, err)
		}
		return ""
	})
	for _, path := range []string{k.state, k.storage + "/metrics.json"} {
		if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) > 0 {
			t.Errorf("set aside as damaged: %q", aside)
		}
	}
	d.diesBy(syscall.SIGTERM, "after files of the future")
}
