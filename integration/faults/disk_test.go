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

// FIFREEZE and FITHAW of linux/fs.h are _IOWR('X', 119, int) and _IOWR('X', 120, int) in the
// encoding of all architectures on which the tests run.
const (
	ioctlFreeze = 0xc0045877
	ioctlThaw   = 0xc0045878
)

// mountFreezer mounts a file system for the daemon's files. It returns two functions that freeze
// writes to it and continue them (ioctl FIFREEZE; fsfreeze(8)). It needs root for a loop device.
func mountFreezer(sw *switchtest.StorageSwitch) (freeze, thaw func()) {
	sw.T.Helper()
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		lab.Unavailable(sw.T, "mkfs.btrfs is not installed, which a frozen disk needs")
	}
	image, at := sw.Dir+"/image", sw.Dir+"/disk"
	sw.Mkdir(at)
	sw.NoError("make an image", errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 128<<20)))
	if out, err := exec.Command("mkfs.btrfs", "-q", image).CombinedOutput(); err != nil {
		lab.Unavailable(sw.T, fmt.Sprintf("cannot make a disk to freeze: %v: %s", err, out))
	}
	if err := sw.MountImage(image, at, "btrfs"); err != nil {
		lab.Unavailable(sw.T, fmt.Sprintf("cannot make a disk to freeze: %v", err))
	}
	dir, err := os.Open(at)
	sw.NoError("open the disk", err)
	frozen := false
	freeze = func() {
		sw.NoError("freeze the disk", unix.IoctlSetInt(int(dir.Fd()), ioctlFreeze, 0))
		frozen = true
	}
	thaw = func() {
		if frozen {
			sw.NoError("unfreeze the disk", unix.IoctlSetInt(int(dir.Fd()), ioctlThaw, 0))
			frozen = false
		}
	}
	sw.T.Cleanup(func() {
		thaw()
		dir.Close()
		unix.Unmount(at, unix.MNT_DETACH)
	})
	sw.StatePath, sw.StorageDir = at+"/state/port_state.json", at+"/metrics"
	return freeze, thaw
}

// TestFrozenDisk freezes the disk. The daemon must synchronize ports, answer scrapes and reload
// meanwhile, write the pending files afterwards, and end by SIGTERM without waiting longer than
// the write in progress.
func TestFrozenDisk(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	freeze, thaw := mountFreezer(sw)
	sw.WriteSettings("", "save_interval_secs = 1")
	d := sw.BringUpSaved(switchtest.FewPorts)
	t.Cleanup(thaw) // before the daemon is ended, which may wait for the disk
	sw.AwaitRestarts(1)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)

	freeze()
	for n := range 20 {
		sw.IPLink(fmt.Sprintf("link set %s mtu %d", switchtest.PortName(0), 1400+n))
		awaitInSyncUnchanged(sw.Switch)
		client.Get("/metrics")
	}
	sw.AwaitRecovery("20 changes on a frozen disk")
	sw.Reload(d)
	if got := sw.SavedPorts(); len(got) != switchtest.FewPorts || got[0].MTU == 1419 {
		t.Errorf("the frozen disk has %+v", got)
	}
	thaw()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if got := sw.SavedPorts(); len(got) != switchtest.FewPorts || got[0].MTU != 1419 {
			return fmt.Sprintf("the state file has %+v", got)
		}
		return ""
	})
	sw.CheckAfterFault(d)

	freeze()
	sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1500")
	sw.AwaitRecovery("a change before the end")
	n := d.Notifications.Len()
	d.Signal(syscall.SIGTERM)
	d.AwaitNotification(n, switchtest.Timeout, "STOPPING=1")
	time.Sleep(2500 * time.Millisecond) // the daemon waits 2 s for files; a thread blocked in the kernel cannot be killed
	thaw()
	if status := d.Wait(switchtest.ExitTimeout); status.Signal() != syscall.SIGTERM {
		t.Errorf("wait status %#x, want the end by SIGTERM", int(status))
	}
}

// TestFilesFromFuture gives the daemon files with times decades ahead, as a switch writes before
// NTP has set its clock. The daemon must keep their contents and must not wait for that time. Time
// namespaces do not cover CLOCK_REALTIME; TestClockJumps in package warmrestart changes the clock
// while a recorder runs.
func TestFilesFromFuture(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	sw.WriteSettings("", "save_interval_secs = 1\nexport_format = \"both\"")
	d := sw.BringUpSaved(switchtest.FewPorts)
	sw.AwaitRestarts(1)
	sw.AwaitHistory(2)
	d.Kill()
	sw.PopPortTable()

	future := time.Now().AddDate(50, 0, 0)
	year := regexp.MustCompile(`"20[0-9]{2}-`)
	ahead := func(b []byte) []byte { return year.ReplaceAll(b, fmt.Appendf(nil, `"%d-`, future.Year())) }
	for _, f := range []*snapshot.File{sw.StateFile(), {Path: sw.StorageDir + "/metrics.json", Schema: 1}} {
		got, err := f.Peek()
		sw.NoError("read", err)
		f.Now, f.BootID, f.Writer, f.Schema = func() time.Time { return future }, got.BootID, got.Writer, got.Schema
		sw.NoError("write", errors.Join(f.Save(ahead(got.Body)), os.Chtimes(f.Path, future, future)))
	}
	text, err := os.ReadFile(sw.StorageDir + "/history.jsonl")
	sw.NoError("read the history", err)
	switchtest.WriteFile(t, sw.StorageDir+"/history.jsonl", string(ahead(text)))
	lines := strings.Count(string(text), "\n")
	part := fmt.Sprintf("%s/history-000001-%s.jsonl", sw.StorageDir, future.UTC().Format("20060102T150405Z"))
	switchtest.WriteFile(t, part, string(ahead(text)))
	sw.NoError("set the file's time", errors.Join(os.Chtimes(part, future, future), os.Chtimes(sw.StorageDir+"/history.jsonl", future, future)))

	d = sw.StartConfigured()
	if r := sw.AwaitRestarts(2); r.Kind != "warm" || r.Changed != 0 || r.At.Year() == future.Year() {
		t.Errorf("record %+v, want a warm start that changed nothing", r)
	}
	samples := sw.AwaitHistory(2*lines + 2)
	if last := samples[len(samples)-1]; last.Time.Year() == future.Year() {
		t.Errorf("the last sample is %+v", last)
	}
	if _, err := os.Stat(part); err != nil {
		t.Errorf("a part of the history is missing: %v", err)
	}
	switchtest.AwaitDegraded(t)
	sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
	sw.AwaitRecovery("files from the future")
	sw.CheckSelfReport(d, "disk")
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		got, err := sw.StateFile().Peek()
		if err != nil || got.SavedAt.Year() == future.Year() {
			return fmt.Sprintf("the state file was written at %v, %v", got.SavedAt, err)
		}
		return ""
	})
	for _, path := range []string{sw.StatePath, sw.StorageDir + "/metrics.json"} {
		if aside, _ := filepath.Glob(path + ".corrupt-*"); len(aside) > 0 {
			t.Errorf("renamed as corrupt: %q", aside)
		}
	}
	d.EndBySignal(syscall.SIGTERM, "after files of the future")
}
