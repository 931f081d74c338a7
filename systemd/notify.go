package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// States for [Notifier.Notify]. See sd_notify(3).
const (
	Ready    = "READY=1"    // startup or a reload is complete
	Stopping = "STOPPING=1" // shutdown has begun; must be the last state
	Watchdog = "WATCHDOG=1" // keep-alive for the watchdog
)

// sendTimeout is how long Notify waits for space in the service manager's queue. Losing READY=1
// would make the start fail, so Notify waits, but only briefly, so that a hung service manager
// cannot block the event loop.
const sendTimeout = 100 * time.Millisecond

// maxAddress is the maximum length of a path or abstract name in sockaddr_un.sun_path, excluding
// the NUL (unix(7)).
const maxAddress = 107

// Status returns a state with the text that "systemctl status" displays. Control characters, which
// could add other states, are replaced by spaces.
func Status(format string, args ...any) string {
	return "STATUS=" + strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...))
}

// Reloading returns the state that announces the start of a reload. It includes the CLOCK_MONOTONIC
// time, which Type=notify-reload (systemd 253) requires. Send Ready when the reload is complete.
func Reloading() string {
	var now unix.Timespec
	// On Linux, ClockGettime cannot fail for CLOCK_MONOTONIC.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return "RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
}

// ExtendTimeout returns the state that extends the startup or shutdown timeout to at least d from
// now. It never shortens the unit's timeout.
func ExtendTimeout(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(max(d, 0).Microseconds(), 10)
}

// Notifier sends states to the service manager. Calling Notify on a nil Notifier does nothing.
// Notify is safe for concurrent use.
type Notifier struct {
	fd      int
	address string // as in NOTIFY_SOCKET: a path, or @ and an abstract name
}

// New returns a Notifier for the address in NOTIFY_SOCKET and removes NOTIFY_SOCKET from the
// environment. If the variable is not set, it returns nil and no error. It does not connect to the
// service manager. It returns an error if the address is not supported or no file descriptor is
// available.
func New() (*Notifier, error) {
	address := takeEnv("NOTIFY_SOCKET")
	if address == "" {
		return nil, nil
	}
	if address[0] != '/' && address[0] != '@' || len(address) == 1 {
		return nil, fmt.Errorf("invalid NOTIFY_SOCKET %q: must be an absolute path or @name of a unix socket", address)
	}
	if len(address) > maxAddress {
		return nil, fmt.Errorf("invalid NOTIFY_SOCKET %q: must be at most %d bytes", address, maxAddress)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open systemd notification socket: %w", err)
	}
	timeout := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set send timeout of systemd notification socket: %w", err)
	}
	return &Notifier{fd: fd, address: address}, nil
}

// Notify sends states in one datagram, one per line. It returns within about 100 ms even if the
// service manager does not read the datagram. Like sd_notify, it resolves the address for each
// datagram, so it keeps working after the manager recreates its socket.
func (n *Notifier) Notify(state ...string) error {
	if n == nil || len(state) == 0 {
		return nil
	}
	datagram := []byte(strings.Join(state, "\n"))
	for {
		// Sendto modifies the SockaddrUnix. It converts a leading @ to the NUL byte of an
		// abstract address.
		err := unix.Sendto(n.fd, datagram, unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: n.address})
		switch err {
		case nil:
			return nil
		case unix.EINTR: // a send with a timeout is not restarted after a signal handler: signal(7)
			continue
		default:
			return fmt.Errorf("notify systemd at %q: %w", n.address, err)
		}
	}
}

// Close closes the socket. Notify must not be called during or after Close.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	return os.NewSyscallError("close", unix.Close(n.fd))
}

// takeEnv returns the value of an environment variable and removes the variable. It returns "" if
// the variable is not set.
func takeEnv(name string) string {
	value := os.Getenv(name)
	os.Unsetenv(name) // fails only for invalid names
	return value
}
