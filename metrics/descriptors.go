package metrics

import "golang.org/x/sys/unix"

// ownDescriptors is how many file descriptors clients must leave to the daemon:
// for the databases, the netlink socket, the log, files in writing and the
// listeners. It uses some 20 of them.
const ownDescriptors = 32

// shareOf returns how many connections may be served if the process may have so many
// file descriptors. Clients that take all of them would keep the daemon from the
// databases.
func shareOf(descriptors uint64) int {
	return max(1, min(int(min(descriptors, 1<<20))-ownDescriptors, defaultMaxConns))
}

// descriptorLimit is RLIMIT_NOFILE, getrlimit(2). The Go runtime has raised it to
// the hard limit.
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0 // unknown: few
	}
	return limit.Cur
}
