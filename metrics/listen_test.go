package metrics

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/backoff"
)

// TestListenUnix checks the mode of the socket file, the error if another server listens on it, and
// that Close removes the file.
func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	e := Endpoint{"unix", path}
	l, err := e.listen(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v; want 0660", info.Mode(), err)
	}
	if _, err := e.listen(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "another process is listening on") {
		t.Errorf("listen on the socket of another server: %v", err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket after Close: %v, want none", err)
	}
}

// TestListenUnixReplacesStaleSocket checks that the socket file of a killed process is replaced.
func TestListenUnixReplacesStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // like a killed process
	fresh, err := Endpoint{"unix", path}.listen(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	fresh.Close()
}

// TestListenUnixMode checks that the socket has mode 0660 with any umask, and that the umask of the
// process does not change.
func TestListenUnixMode(t *testing.T) {
	for _, mask := range []int{0, 0o22, 0o77, 0o777} {
		path := filepath.Join(t.TempDir(), "s")
		old := unix.Umask(mask)
		l, err := Endpoint{"unix", path}.listen(t.Context(), "")
		after := unix.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != fs.ModeSocket|0o660 {
			t.Errorf("umask %03o: mode %v, %v; want 0660", mask, info.Mode(), err)
		}
		if after != mask {
			t.Errorf("umask is %03o afterwards, want %03o", after, mask)
		}
		l.Close()
	}
}

// TestCloseSparesOtherSocket checks that Close does not remove a socket that replaced the own one.
func TestCloseSparesOtherSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ours, err := Endpoint{"unix", path}.listen(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	theirs, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	ours.Close()
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("dial the other socket: %v", err)
	} else {
		c.Close()
	}
}

// TestListenUnixSparesBoundSocket checks that a socket that is bound but not listening is not
// removed, although it refuses connections like a stale one.
func TestListenUnixSparesBoundSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if _, err := (Endpoint{"unix", path}).listen(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "open in another process") {
		t.Errorf("listen on a bound socket: %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("stat the bound socket: %v", err)
	}
}

// TestSocketFileLost checks that the server reports and reopens its socket after the file was
// removed, renamed or replaced, or its directory was renamed, and that it does not replace the
// socket of another server.
func TestSocketFileLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	down := make(chan string, 100)
	s, err := NewServer(ServerConfig{Listen: []Endpoint{{"unix", path}}},
		Sources{Set: NewSet(), Health: healthy, Down: func(a string) { down <- a }}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.retry = backoff.Backoff{Min: time.Millisecond, Max: 4 * time.Millisecond}
	s.Start()
	defer s.Shutdown(t.Context())
	next := func(want string) {
		t.Helper()
		last := "no call"
		for deadline := time.After(30 * time.Second); ; {
			select {
			case last = <-down:
				if want == "" && last == "" || want != "" && strings.Contains(last, want) {
					return
				}
			case <-deadline:
				t.Fatalf("Down was not called with %q, last with %q", want, last)
			}
		}
	}
	served := func() {
		t.Helper()
		next("")
		if resp, _ := fetchWith(t, unixTransport(path), "GET", "http://x/healthz"); resp.StatusCode != 200 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	served()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	next("was removed or replaced")
	served()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	next("was removed or replaced")
	served()
	if err := os.Chmod(path, 0o600); err != nil { // a changed mode is not reported
		t.Fatal(err)
	}
	theirs, err := net.Listen("unix", path+".new")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	next("another process is listening on")
	theirs.(*net.UnixListener).SetUnlinkOnClose(false)
	theirs.Close()
	served()
	// The kernel reports no event for the directory.
	if err := errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	next("was removed or replaced")
	served()
}

// TestListenUnixSparesOtherFiles checks that a regular file at the path is an error and is not
// changed.
func TestListenUnixSparesOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Endpoint{"unix", path}).listen(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("listen on a regular file: %v", err)
	}
	if got, err := os.ReadFile(path); string(got) != "precious" {
		t.Errorf("file content is %q, %v", got, err)
	}
}

// TestListenOnDevice checks that a listener can be bound to lo, and the error for a missing device.
func TestListenOnDevice(t *testing.T) {
	l, err := Endpoint{"tcp", "127.0.0.1:0"}.listen(t.Context(), "lo")
	if errors.Is(err, syscall.EPERM) {
		t.Skip("binding to a device is not permitted here (kernels before 5.7 require CAP_NET_RAW)")
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = Endpoint{"tcp", "127.0.0.1:0"}.listen(t.Context(), "no-such-dev")
	if !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), `bind to device "no-such-dev"`) {
		t.Errorf("device that does not exist: %v", err)
	}
}

// TestListenFamily checks that an IPv4 address is not opened for IPv6 and vice versa.
func TestListenFamily(t *testing.T) {
	f := func(host string, v4, v6 bool) {
		t.Helper()
		l, err := Endpoint{"tcp", net.JoinHostPort(host, "0")}.listen(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		for address, want := range map[string]bool{"127.0.0.1": v4, "::1": v6} {
			c, err := net.Dial("tcp", net.JoinHostPort(address, port))
			if err == nil {
				c.Close()
			}
			if (err == nil) != want {
				t.Errorf("listening at %q: dial %s: %v, want success: %t", host, address, err, want)
			}
		}
	}
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("IPv6 is not available:", err)
	} else {
		l.Close()
	}
	f("0.0.0.0", true, false)
	f("127.0.0.1", true, false)
	f("::ffff:0.0.0.0", true, false)
	f("::", false, true)
	f("", true, true)
}

// TestIsLocal checks which listener addresses are local.
func TestIsLocal(t *testing.T) {
	f := func(a net.Addr, want bool) {
		t.Helper()
		if got := isLocal(a); got != want {
			t.Errorf("%v: %v, want %v", a, got, want)
		}
	}
	f(&net.UnixAddr{Name: "/x"}, true)
	f(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true)
	f(&net.TCPAddr{IP: net.IPv6loopback}, true)
	f(&net.TCPAddr{IP: net.IPv6zero}, false)
	f(&net.TCPAddr{}, false)
	f(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, false)
	f(&net.IPAddr{}, false)
}

// logs is a slog.Handler that sends records to a channel.
type logs chan slog.Record

func (l logs) Enabled(context.Context, slog.Level) bool { return true }
func (l logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logs) WithGroup(string) slog.Handler            { return l }
func (l logs) Handle(_ context.Context, r slog.Record) error {
	l <- r
	return nil
}

// next returns the next record with at least the given level.
func (l logs) next(t *testing.T, at slog.Level) slog.Record {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case r := <-l:
			if r.Level >= at {
				return r
			}
		case <-deadline:
			t.Fatal("no log record")
		}
	}
}

// TestAddressInUse checks that an address in use is logged once as a warning, is retried, and is
// served once it is free.
func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	records := make(logs, 1000)
	s, err := NewServer(ServerConfig{Listen: []Endpoint{{"tcp", address}}},
		Sources{Set: NewSet(), Health: healthy}, slog.New(records))
	if err != nil {
		t.Fatal(err)
	}
	s.retry = backoff.Backoff{Min: time.Millisecond, Max: 4 * time.Millisecond}
	s.Start()
	defer s.Shutdown(t.Context())
	if r := records.next(t, slog.LevelInfo); r.Level != slog.LevelWarn {
		t.Errorf("first record %v, want a warning", r)
	}
	for range 5 { // attempts
		if r := records.next(t, slog.LevelDebug); r.Level != slog.LevelDebug {
			t.Errorf("record of a later attempt is %v, want debug", r)
		}
	}
	if got := s.Addrs(); len(got) != 0 {
		t.Errorf("Addrs = %v, want none", got)
	}
	taken.Close()
	if r := records.next(t, slog.LevelInfo); r.Message != "listening for HTTP" {
		t.Errorf("record %q, want listening for HTTP", r.Message)
	}
	if resp, _ := fetch(t, "GET", "http://"+address+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestShutdownWhileRetrying checks that Shutdown stops the retries, and can be called twice.
func TestShutdownWhileRetrying(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s, err := NewServer(ServerConfig{Listen: []Endpoint{{"tcp", taken.Addr().String()}}},
		Sources{Set: NewSet()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.retry = backoff.Backoff{Min: time.Hour, Max: time.Hour}
	s.Start()
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestHandedInListener checks that a listener opened by the caller is served.
func TestHandedInListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, base := startServer(t, ServerConfig{Listeners: []net.Listener{l}}, Sources{Health: healthy})
	if resp, _ := fetch(t, "GET", base+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestSeveralAddresses checks that a TCP address and a unix socket are served at the same time.
func TestSeveralAddresses(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	s, base := startServer(t, ServerConfig{Listen: []Endpoint{{"tcp", "127.0.0.1:0"}, {"unix", socket}}}, Sources{Health: healthy})
	if got := len(s.Addrs()); got != 2 {
		t.Errorf("%d addresses, want 2", got)
	}
	fetch(t, "GET", base+"/healthz")
	overUnix := unixTransport(socket)
	fetchWith(t, overUnix, "GET", "http://unix/healthz")
}

// TestBadServerConfig checks the errors of NewServer for invalid configurations.
func TestBadServerConfig(t *testing.T) {
	f := func(cfg ServerConfig, want string) {
		t.Helper()
		_, err := NewServer(cfg, Sources{Set: NewSet()}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", cfg, err, want)
		}
	}
	f(ServerConfig{TLSCertFile: "c"}, "both a certificate file and a key file")
	f(ServerConfig{TLSKeyFile: "k"}, "both a certificate file and a key file")
	f(ServerConfig{TLSClientCAFile: "a"}, "require a server certificate")
	f(ServerConfig{Live: Live{Credentials: Credentials{BearerSHA256: "x"}}}, "bearer token")
}

// TestRemoveAddr checks that removeAddr removes the given address only.
func TestRemoveAddr(t *testing.T) {
	one, two := &net.TCPAddr{Port: 1}, &net.TCPAddr{Port: 2}
	s := &Server{addrs: []net.Addr{one, two}}
	s.removeAddr(two)
	if len(s.addrs) != 1 || s.addrs[0] != net.Addr(one) {
		t.Errorf("addresses %v, want %v", s.addrs, one)
	}
	s.removeAddr(two) // no effect
	if len(s.addrs) != 1 {
		t.Errorf("addresses %v, want %v", s.addrs, one)
	}
}
