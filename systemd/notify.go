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

// States for [Notifier.Notify], see sd_notify(3).
const (
	Ready    = "READY=1"    // startup or a reload is complete
	Stopping = "STOPPING=1" // shutdown has begun; sent once, as the last state
	Watchdog = "WATCHDOG=1" // keep-alive for the watchdog
)

// sendTimeout is how long Notify waits for room in the queue of the service manager. A lost READY=1
// would make the start fail, so Notify waits, but not long enough for a hanging manager to block
// the event loop.
const sendTimeout = 100 * time.Millisecond

// maxAddress is the maximum length of a path or abstract name in sockaddr_un.sun_path, which
// includes a NUL (unix(7)).
const maxAddress = 107

// Status returns the state with the text shown by "systemctl status". Control characters, which
// could add other states, are replaced by blanks.
func Status(format string, args ...any) string {
	return "STATUS=" + strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...))
}

// Reloading returns the state that announces a reload, with the time of CLOCK_MONOTONIC that
// Type=notify-reload requires (systemd 253). Ready ends the reload.
func Reloading() string {
	var now unix.Timespec
	// ClockGettime cannot fail for CLOCK_MONOTONIC on Linux.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return "RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
}

// ExtendTimeout returns the state that extends the timeout of startup or shutdown to at least d
// from now. It never shortens the timeout of the unit.
func ExtendTimeout(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(max(d, 0).Microseconds(), 10)
}

// Notifier sends states to the service manager. A nil Notifier does nothing. Notify is safe for
// concurrent use.
type Notifier struct {
	fd      int
	address string // as in NOTIFY_SOCKET: a path, or @ and an abstract name
}

// New returns a Notifier for the address in NOTIFY_SOCKET, and removes NOTIFY_SOCKET from the
// environment. It returns nil and no error if the variable is not set. It does not connect to the
// manager. It fails if the address is not supported or no file descriptor is available.
func New() (*Notifier, error) {
	address := takeEnv("NOTIFY_SOCKET")
	if address == "" {
		return nil, nil
	}
	if address[0] != '/' && address[0] != '@' || len(address) == 1 {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q: want an absolute path or @name of a unix socket", address)
	}
	if len(address) > maxAddress {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q: longer than %d bytes", address, maxAddress)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket to notify systemd: %w", err)
	}
	timeout := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set send timeout to notify systemd: %w", err)
	}
	return &Notifier{fd: fd, address: address}, nil
}

// Notify sends the states in one datagram, one state in each line. It returns within about 100 ms
// even if the manager does not read. Like sd_notify, it resolves the address for each datagram, so
// that it works after the manager has recreated its socket.
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

// Close closes the socket. Notify must not be called concurrently or afterwards.
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
