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

// States for Notifier.Notify, as sd_notify(3) spells them.
const (
	Ready    = "READY=1"    // the start, or a reload, is complete
	Stopping = "STOPPING=1" // the service has begun to end; sent once, last
	Watchdog = "WATCHDOG=1" // sign of life
)

// sendTimeout bounds how long Notify waits for room in the manager's queue. The manager reads at once unless the
// machine is in trouble; a lost READY=1 would cost the start, so a moment's patience is right, and a stuck manager
// must not hold up the event loop for longer than that.
const sendTimeout = 100 * time.Millisecond

// maxAddress is the longest path or abstract name that fits sockaddr_un.sun_path with its NUL (unix(7)).
const maxAddress = 107

// Status returns the state that "systemctl status" shows in words. The text goes on one line: control characters,
// which could otherwise smuggle in a state of their own, become blanks.
func Status(format string, args ...any) string {
	return "STATUS=" + strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...))
}

// Reloading returns the state that announces a reload, with the CLOCK_MONOTONIC time that Type=notify-reload
// (systemd 253) wants beside it. Ready ends the reload.
func Reloading() string {
	var now unix.Timespec
	// CLOCK_MONOTONIC cannot fail on Linux, and with 0 the manager would at worst wait for the next message.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return "RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
}

// ExtendTimeout returns the state that asks for d from the moment of sending, before the start or the stop counts as hanging.
// It only takes effect once the unit's own timeout would have run out earlier, so it never shortens a wait.
func ExtendTimeout(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(max(d, 0).Microseconds(), 10)
}

// Notifier sends states to the service manager. A nil Notifier sends nothing. Notify may be called from several
// goroutines at once.
type Notifier struct {
	fd      int
	address string // as in NOTIFY_SOCKET: a path, or @ and an abstract name
}

// New reads NOTIFY_SOCKET and removes it from the environment. Without it, it returns nil and no error. It does not
// contact the manager, so an error means an address this package cannot use or no free descriptor.
func New() (*Notifier, error) {
	address := takeEnv("NOTIFY_SOCKET")
	if address == "" {
		return nil, nil
	}
	if address[0] != '/' && address[0] != '@' || len(address) == 1 {
		return nil, fmt.Errorf("NOTIFY_SOCKET is %q: want an absolute path or @name of a Unix socket", address)
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

// Notify sends the states as one datagram, one a line. It returns within about 100 ms even if the manager does not
// read. The address is looked up for each datagram, as sd_notify does, so a manager that made its socket anew is
// still reached.
func (n *Notifier) Notify(state ...string) error {
	if n == nil || len(state) == 0 {
		return nil
	}
	datagram := []byte(strings.Join(state, "\n"))
	for {
		// The address is made anew because Sendto writes into it. SockaddrUnix turns a leading @ into the NUL byte
		// of an abstract address.
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

// Close frees the descriptor. No Notify may run at the same time or afterwards.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	return os.NewSyscallError("close", unix.Close(n.fd))
}

// takeEnv returns the value of an environment variable and removes it. Empty is as good as unset.
func takeEnv(name string) string {
	value := os.Getenv(name)
	os.Unsetenv(name) // fails only for impossible names
	return value
}
