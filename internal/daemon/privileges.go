package daemon

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dropPrivileges sets no_new_privs (prctl(2)) on all threads. The daemon executes no other program,
// so it never needs additional privileges. It keeps its capabilities, because the files it reads
// and writes may belong to other users; the systemd unit limits the capabilities. A build with cgo
// cannot set the flag on all threads and runs without it.
func dropPrivileges() {
	syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
}
