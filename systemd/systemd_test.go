package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newManager returns a socket like the notification socket of the service manager.
func newManager(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// read returns the next datagram.
func read(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// newNotifier returns the result of New for an address.
func newNotifier(t *testing.T, address string) *Notifier {
	t.Helper()
	t.Setenv("NOTIFY_SOCKET", address)
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// TestNotify checks the datagrams on path and abstract sockets, and that New removes NOTIFY_SOCKET.
func TestNotify(t *testing.T) {
	for name, address := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@portsyncd-test-%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			manager := newManager(t, address)
			n := newNotifier(t, address)
			if value, set := os.LookupEnv("NOTIFY_SOCKET"); set {
				t.Errorf("NOTIFY_SOCKET is still %q", value)
			}
			for _, states := range [][]string{{Ready}, {Ready, Status("%d ports", 32), Watchdog}, {Stopping}} {
				if err := n.Notify(states...); err != nil {
					t.Fatal(err)
				}
				if got, want := read(t, manager), strings.Join(states, "\n"); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if err := n.Notify(); err != nil {
				t.Errorf("Notify without states: %v", err)
			}
		})
	}
}

// TestStates checks the text of each state.
func TestStates(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Ready, "READY=1"},
		{Stopping, "STOPPING=1"},
		{Watchdog, "WATCHDOG=1"},
		{Status("waiting for %s", "Redis"), "STATUS=waiting for Redis"},
		{Status("a\nREADY=1\x00"), "STATUS=a READY=1 "},
		{ExtendTimeout(1500 * time.Millisecond), "EXTEND_TIMEOUT_USEC=1500000"},
		{ExtendTimeout(-1), "EXTEND_TIMEOUT_USEC=0"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// TestReloadingTellsMonotonicTime checks the time in the state of Reloading.
func TestReloadingTellsMonotonicTime(t *testing.T) {
	now := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano() / 1000
	}
	before := now()
	got := Reloading()
	after := now()
	digits, found := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC=")
	usec, err := strconv.ParseInt(digits, 10, 64)
	if !found || err != nil || usec < before || usec > after {
		t.Errorf("got %q, want a time from %d to %d", got, before, after)
	}
}

// TestNilNotifier checks that New returns nil without NOTIFY_SOCKET, and that a nil Notifier does
// nothing.
func TestNilNotifier(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := New()
	if n != nil || err != nil {
		t.Fatalf("New() = %v, %v; want nil, nil", n, err)
	}
	if err := n.Notify(Ready); err != nil {
		t.Errorf("Notify: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestBadNotifySocket checks that New fails for unsupported addresses and removes NOTIFY_SOCKET.
func TestBadNotifySocket(t *testing.T) {
	for _, address := range []string{"vsock:2:1234", "notify", "@", "/", "/" + strings.Repeat("x", maxAddress)} {
		t.Setenv("NOTIFY_SOCKET", address)
		if n, err := New(); n != nil || err == nil || !strings.Contains(err.Error(), strconv.Quote(address)) {
			t.Errorf("%q: New() = %v, %v; want an error with the address", address, n, err)
		}
		if _, set := os.LookupEnv("NOTIFY_SOCKET"); set {
			t.Errorf("%q: NOTIFY_SOCKET is still set", address)
		}
	}
}

// TestLongestAddress checks that an address of maxAddress bytes works.
func TestLongestAddress(t *testing.T) {
	address := fmt.Sprintf("@%0*d", maxAddress-1, os.Getpid())
	manager := newManager(t, address)
	if err := newNotifier(t, address).Notify(Ready); err != nil {
		t.Fatal(err)
	}
	if got := read(t, manager); got != Ready {
		t.Errorf("got %q", got)
	}
}

// TestManagerComesAndGoes checks that Notify works after the manager has started or recreated its
// socket.
func TestManagerComesAndGoes(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	n := newNotifier(t, address)
	if err := n.Notify(Ready); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("no manager: %v, want an error with the address", err)
	}
	for range 2 {
		manager := newManager(t, address)
		if err := n.Notify(Ready); err != nil {
			t.Error(err)
		}
		if got := read(t, manager); got != Ready {
			t.Errorf("got %q", got)
		}
		manager.Close()
		os.Remove(address)
	}
}

// TestManagerStopsReading checks that Notify fails after sendTimeout if the queue of the manager is
// full.
func TestManagerStopsReading(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	manager := newManager(t, address)
	n := newNotifier(t, address)
	for {
		start := time.Now()
		err := n.Notify(Watchdog)
		if err == nil {
			continue
		}
		if took := time.Since(start); took < sendTimeout/2 || took > 50*sendTimeout {
			t.Errorf("Notify failed after %v, want about %v", took, sendTimeout)
		}
		break
	}
	read(t, manager)
	if err := n.Notify(Watchdog); err != nil {
		t.Errorf("with room in the queue: %v", err)
	}
}

// TestWatchdogInterval checks valid and invalid values of WATCHDOG_USEC and WATCHDOG_PID.
func TestWatchdogInterval(t *testing.T) {
	ours, other := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	tests := []struct {
		name      string
		usec, pid string
		want      time.Duration
		bad       string // variable in the error; "" for no error
	}{
		{name: "off"},
		{name: "off for a pid", pid: ours},
		{name: "any pid", usec: "30000000", want: 30 * time.Second},
		{name: "our pid", usec: "1", pid: ours, want: time.Microsecond},
		{name: "other pid", usec: "30000000", pid: other},
		{name: "longest", usec: "9223372036854775", want: 9223372036854775 * time.Microsecond},
		{name: "too long", usec: "9223372036854776", bad: "WATCHDOG_USEC"},
		{name: "infinity", usec: "18446744073709551615", bad: "WATCHDOG_USEC"},
		{name: "zero", usec: "0", bad: "WATCHDOG_USEC"},
		{name: "negative", usec: "-5", bad: "WATCHDOG_USEC"},
		{name: "not a number", usec: "30s", bad: "WATCHDOG_USEC"},
		{name: "bad pid", usec: "30000000", pid: "x", bad: "WATCHDOG_PID"},
		{name: "no such pid", usec: "30000000", pid: "0", bad: "WATCHDOG_PID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", tt.usec)
			t.Setenv("WATCHDOG_PID", tt.pid)
			got, err := WatchdogInterval()
			if got != tt.want || !errorNames(err, tt.bad) {
				t.Errorf("got %v, %v; want %v and an error with %q", got, err, tt.want, tt.bad)
			}
			for _, name := range []string{"WATCHDOG_USEC", "WATCHDOG_PID"} {
				if _, set := os.LookupEnv(name); set {
					t.Errorf("%s is still set", name)
				}
			}
		})
	}
}

// errorNames reports whether err contains name, or is nil if name is "".
func errorNames(err error, name string) bool {
	if name == "" {
		return err == nil
	}
	return err != nil && strings.Contains(err.Error(), name)
}
