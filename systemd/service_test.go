package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// slowStart is the duration of the first start of serve. It is longer than startTimeout, which is
// TimeoutStartSec= in TestUnit.
const (
	slowStart    = 5 * time.Second
	startTimeout = 4 * time.Second
)

// serve is the service run by a real systemd in TestUnit. It uses this package like portsyncd, and
// reports results in STATUS=.
func serve() {
	n, err := New()
	must(err)
	interval, err := WatchdogInterval()
	must(err)
	listeners, err := Listeners()
	must(err)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)

	must(n.Notify(Status("preparing"), ExtendTimeout(30*time.Second)))
	if _, err := os.Stat(stateFile()); err != nil {
		time.Sleep(slowStart) // the first start
	}
	names := []string{}
	for _, l := range listeners {
		names = append(names, l.Name)
		go greet(l)
	}
	must(n.Notify(Ready, Status("watchdog %v, sockets %q, sandbox: %v", interval, names, checkSandbox())))

	feed := time.NewTicker(interval / 4)
	for {
		select {
		case <-feed.C:
			must(n.Notify(Watchdog))
		case s := <-signals:
			if s == syscall.SIGHUP {
				must(n.Notify(Reloading(), Status("reloading")))
				must(n.Notify(Ready, Status("reloaded")))
				continue
			}
			must(n.Notify(Stopping, Status("stopping")))
			must(n.Close())
			signal.Reset(syscall.SIGTERM)
			must(unix.Kill(os.Getpid(), unix.SIGTERM))
			select {}
		}
	}
}

// must exits with an error, so that the test fails.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

// greet sends "hello" to each client.
func greet(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "hello")
		conn.Close()
	}
}

// checkSandbox checks that the unit allows what portsyncd needs, and forbids some operations that
// it does not need.
func checkSandbox() error {
	state := stateFile()
	for _, check := range []struct {
		what string
		try  func() error
		want error
	}{
		{"write a file", func() error { return os.WriteFile(state+".tmp", []byte("{}"), 0o644) }, nil},
		{"rename a file", func() error { return os.Rename(state+".tmp", state) }, nil},
		{"read the boot id", func() error { _, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); return err }, nil},
		{"request links", func() error { _, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC); return err }, nil},
		{"force a receive buffer", func() error {
			return withSocket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
			})
		}, nil},
		{"share memory", shareMemory, nil},
		{"listen on TCP", func() error { l, err := net.Listen("tcp", "127.0.0.1:0"); return errors.Join(err, closeIt(l)) }, nil},
		{"find the log", func() error {
			target, err := os.Readlink("/dev/log")
			if err == nil && target != "/run/systemd/journal/dev-log" {
				err = fmt.Errorf("/dev/log is a link to %q", target)
			}
			return err
		}, nil},
		{"have only CAP_NET_ADMIN", oneCapability, nil},
		{"write to /etc", func() error { return os.WriteFile("/etc/portsyncd-test", nil, 0o644) }, unix.EROFS},
		{"open a packet socket", func() error { return withSocket(unix.AF_PACKET, unix.SOCK_RAW, 0, func(int) error { return nil }) },
			unix.EAFNOSUPPORT},
		{"mount", func() error { return unix.Mount("none", "/mnt", "tmpfs", 0, "") }, unix.EPERM},
		{"set the clock", func() error { return unix.Settimeofday(&unix.Timeval{}) }, unix.EPERM},
	} {
		if err := check.try(); !errors.Is(err, check.want) {
			return fmt.Errorf("%s: %v, want %v", check.what, err, check.want)
		}
	}
	return nil
}

// stateFile returns the path of a file that checkSandbox writes.
func stateFile() string { return filepath.Join(os.Getenv("STATE_DIRECTORY"), "state.json") }

func withSocket(family, kind, protocol int, use func(fd int) error) error {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return use(fd)
}

func closeIt(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// shareMemory maps a memfd for writing, which MemoryDenyWriteExecute= must allow.
func shareMemory() error {
	fd, err := unix.MemfdCreate("portsyncd-test", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, 4096); err != nil {
		return err
	}
	memory, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	memory[0] = 1
	return unix.Munmap(memory)
}

// oneCapability checks that the effective capabilities are CAP_NET_ADMIN only.
func oneCapability() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	want := fmt.Sprintf("CapEff:\t%016x\n", 1<<unix.CAP_NET_ADMIN)
	if !strings.Contains(string(status), want) {
		_, rest, _ := strings.Cut(string(status), "CapEff:")
		effective, _, _ := strings.Cut(rest, "\n")
		return fmt.Errorf("effective capabilities:%s", effective)
	}
	return nil
}
