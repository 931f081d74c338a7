package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// firstFD is SD_LISTEN_FDS_START of systemd/sd-daemon.h.
const firstFD = 3

// maxFDs bounds LISTEN_FDS far above any use, so that a wrong number is called wrong.
const maxFDs = 1024

// NamedListener is a listening socket that the manager opened for us. Name is FileDescriptorName= of the socket
// unit, by default the unit's name; "unknown" if the manager gave none.
type NamedListener struct {
	net.Listener
	Name string
}

// Listeners takes over the sockets that the manager passed (sd_listen_fds(3)), in the order of their descriptors,
// and removes LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES. There are none if LISTEN_PID is another process or unset.
// It must be called at most once, and on an error all of them are lost: those already taken over are closed.
func Listeners() ([]NamedListener, error) {
	count, pid, names := takeEnv("LISTEN_FDS"), takeEnv("LISTEN_PID"), takeEnv("LISTEN_FDNAMES")
	if ours, err := isOurPID("LISTEN_PID", pid); err != nil || !ours {
		return nil, err
	}
	return listeners(firstFD, count, names)
}

// listeners takes over count descriptors from first on, with the names that LISTEN_FDNAMES gives them.
func listeners(first int, count, names string) ([]NamedListener, error) {
	if count == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxFDs {
		return nil, fmt.Errorf("LISTEN_FDS is %q: want a number from 1 to %d", count, maxFDs)
	}
	name := make([]string, n)
	for i := range name {
		name[i] = "unknown"
	}
	if names != "" {
		if name = strings.Split(names, ":"); len(name) != n {
			return nil, fmt.Errorf("LISTEN_FDNAMES is %q: want %d names, as many as LISTEN_FDS says", names, n)
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

// takeListener turns a descriptor into a listener. A descriptor that proves not to be a listening socket is left
// open: if LISTEN_FDS is wrong, it may well belong to the Go runtime.
func takeListener(fd int, name string) (net.Listener, error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	if listening == 0 {
		return nil, fmt.Errorf("not a listening stream socket")
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	return net.FileListener(file) // on a duplicate, which unlike what was passed has close-on-exec set
}
