package daemon

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// renouncePrivileges has the kernel grant no more to this process than it has,
// whatever it might be made to execute: it executes nothing. Its capabilities are
// for who starts it to limit, as the unit does: what it reads and writes may
// belong to others than root. A build with cgo cannot reach all threads and goes
// without.
func renouncePrivileges() {
	syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
}
