package snapshot

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// troubles are the errors by which a disk, a file system or its administrator
// says no. Each can pass without our doing.
var troubles = []syscall.Errno{
	unix.ENOSPC, unix.EDQUOT, unix.EFBIG, // full, for all or for us
	unix.EROFS, unix.EACCES, unix.EPERM, // forbidden, or made read-only after an error
	unix.EIO, unix.EUCLEAN, unix.EBADMSG, // broken; the latter two are ext4's and XFS's for bad metadata
	unix.ENODEV, unix.ENXIO, unix.ESTALE, unix.ETIMEDOUT, unix.ENOTCONN, // the device, server or FUSE daemon is gone
	unix.ENOENT, unix.ENOTDIR, // the directory is gone
	unix.EBUSY, // a mount point is in the file's place
}

// IsDiskTrouble reports whether an error of this package came from the disk, and
// not from what was to be saved: keep the last good file, say so once, and try
// again later.
func IsDiskTrouble(err error) bool {
	return isAny(err, troubles)
}
