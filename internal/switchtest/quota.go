package switchtest

import (
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
)

// MountQuota puts a file system with a quota there: a subvolume of btrfs, in an
// image of its own, with a limit on its group (btrfs-qgroup(8)). It needs a loop
// device, so root.
func (sw *StorageSwitch) MountQuota() (at string) {
	sw.T.Helper()
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		lab.Unavailable(sw.T, "no mkfs.btrfs, which a disk with a quota needs")
	}
	image, top := sw.Dir+"/image", sw.Dir+"/btrfs"
	sw.Mkdir(top)
	at = top + "/disk"
	run := func(command ...string) {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			lab.Unavailable(sw.T, fmt.Sprintf("no disk with a quota: %q: %v: %s", command, err, out))
		}
	}
	run("truncate", "-s", "128M", image)
	run("mkfs.btrfs", "-q", image)
	if err := sw.MountImage(image, top, "btrfs"); err != nil {
		lab.Unavailable(sw.T, fmt.Sprintf("no disk with a quota: %v", err))
	}
	run("btrfs", "quota", "enable", top)
	run("btrfs", "subvolume", "create", at)
	run("btrfs", "qgroup", "limit", "1M", at)
	sw.T.Cleanup(func() { unix.Unmount(top, 0) })
	sw.StatePath, sw.StorageDir = at+"/state/port_state.json", at+"/metrics"
	return at
}
