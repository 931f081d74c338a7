package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstFD is SD_LISTEN_FDS_START of systemd/sd-daemon.h.
const firstFD = 3

// maxFDs is the maximum value of LISTEN_FDS. Larger values are treated as errors.
const maxFDs = 1024

// NamedListener is a listening socket that was opened by the service manager. Name is the socket
// unit's FileDescriptorName=, which defaults to the name of the unit. It is "unknown" if
// LISTEN_FDNAMES is not set.
type NamedListener struct {
	net.Listener
	Name string
}

// Listeners returns the sockets passed by the service manager (sd_listen_fds(3)), in the order of
// their descriptors. It removes LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES from the environment. It
// returns no sockets if LISTEN_PID is not set or is not this process. On an error, it closes the
// listeners that it has created. Listeners must be called at most once.
func Listeners() ([]NamedListener, error) {
	count, pid, names := takeEnv("LISTEN_FDS"), takeEnv("LISTEN_PID"), takeEnv("LISTEN_FDNAMES")
	if ours, err := isOurPID("LISTEN_PID", pid); err != nil || !ours {
		return nil, err
	}
	return listeners(firstFD, count, names)
}

// listeners creates listeners for count descriptors, starting at first. names is the value of
// LISTEN_FDNAMES.
func listeners(first int, count, names string) ([]NamedListener, error) {
	if count == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxFDs {
		return nil, fmt.Errorf("invalid LISTEN_FDS %q: must be a number from 1 to %d", count, maxFDs)
	}
	name := make([]string, n)
	for i := range name {
		name[i] = "unknown"
	}
	if names != "" {
		if name = strings.Split(names, ":"); len(name) != n {
			return nil, fmt.Errorf("invalid LISTEN_FDNAMES %q: must have %d names, the value of LISTEN_FDS", names, n)
		}
	}
	taken := make([]NamedListener, 0, n)
	for i := range n {
		l, err := takeListener(first+i, name[i])
		if err != nil {
			for _, t := range taken {
				t.Close()
			}
			return nil, fmt.Errorf("socket %q passed by systemd as descriptor %d: %w", name[i], first+i, err)
		}
		taken = append(taken, NamedListener{Listener: l, Name: name[i]})
	}
	return taken, nil
}

// takeListener converts a descriptor to a listener. If the descriptor is not a listening socket,
// takeListener does not close it: if LISTEN_FDS is wrong, the descriptor may belong to the Go
// runtime.
func takeListener(fd int, name string) (net.Listener, error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	if listening == 0 {
		return nil, errors.New("not a listening stream socket")
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	return net.FileListener(file) // duplicates the descriptor with close-on-exec
}
