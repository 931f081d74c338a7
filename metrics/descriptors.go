package metrics

import "golang.org/x/sys/unix"

// reservedDescriptors is the number of file descriptors reserved for the daemon itself: the
// databases, the netlink socket, the log, files being written and the listeners. The daemon uses
// about 20.
const reservedDescriptors = 32

// connectionLimit returns the default maximum number of connections for a process that may open the
// given number of file descriptors. Without this limit, clients could use up the descriptors that
// the daemon needs to connect to Redis.
func connectionLimit(descriptors uint64) int {
	return max(1, min(int(min(descriptors, 1<<20))-reservedDescriptors, defaultMaxConns))
}

// maxDescriptors returns the maximum number of open file descriptors (RLIMIT_NOFILE, getrlimit(2)).
// The Go runtime raises the soft limit to the hard limit at startup.
func maxDescriptors() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0 // unknown: use the smallest connection limit
	}
	return limit.Cur
}
