package switchtest

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
)

// MountDisk mounts a small file system of 512 KiB, moves the daemon's files to it, and returns the
// mount point.
func (sw *StorageSwitch) MountDisk() (at string) {
	sw.T.Helper()
	at = sw.Dir + "/disk"
	sw.Mkdir(at)
	sw.NoError("mount a disk", unix.Mount("tmpfs", at, "tmpfs", 0, "size=512k"))
	sw.StatePath, sw.StorageDir = at+"/state/port_state.json", at+"/metrics"
	return at
}

// Remount remounts the file system at at with the given flags, for example read-only. It waits
// until no write is in progress.
func (sw *StorageSwitch) Remount(at string, flags uintptr) {
	sw.T.Helper()
	Eventually(sw.T, Timeout, func() string {
		if err := unix.Mount("", at, "", unix.MS_REMOUNT|flags, ""); err != nil {
			return err.Error()
		}
		return ""
	})
}

// MountImage mounts the file system image at at through a loop device (loop(4)), which is released
// when the file system is unmounted. Because the test's /dev has no loop devices, MountImage also
// mounts another /dev.
func (sw *StorageSwitch) MountImage(image, at, kind string) error {
	devices := sw.Dir + "/devices"
	sw.Mkdir(devices)
	if err := unix.Mount("devtmpfs", devices, "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
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

// MountQuota mounts a btrfs file system, creates a subvolume with a quota of 1 MiB
// (btrfs-qgroup(8)), and moves the daemon's files to it. It skips the test if that is not possible,
// for example without root.
func (sw *StorageSwitch) MountQuota() (at string) {
	sw.T.Helper()
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		lab.Unavailable(sw.T, "mkfs.btrfs is not installed, which a disk with a quota needs")
	}
	image, top := sw.Dir+"/image", sw.Dir+"/btrfs"
	sw.Mkdir(top)
	at = top + "/disk"
	run := func(command ...string) {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			lab.Unavailable(sw.T, fmt.Sprintf("cannot make a disk with a quota: %q: %v: %s", command, err, out))
		}
	}
	run("truncate", "-s", "128M", image)
	run("mkfs.btrfs", "-q", image)
	if err := sw.MountImage(image, top, "btrfs"); err != nil {
		lab.Unavailable(sw.T, fmt.Sprintf("cannot make a disk with a quota: %v", err))
	}
	run("btrfs", "quota", "enable", top)
	run("btrfs", "subvolume", "create", at)
	run("btrfs", "qgroup", "limit", "1M", at)
	sw.T.Cleanup(func() { unix.Unmount(top, 0) })
	sw.StatePath, sw.StorageDir = at+"/state/port_state.json", at+"/metrics"
	return at
}
