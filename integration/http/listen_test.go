package http

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// TestHTTPAddresses lets the daemon listen at several addresses, one of which is in use, and one
// of which is a socket file left by a killed process.
func TestHTTPAddresses(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const taken, v6 = "127.0.0.1:9102", "[::1]:9101"
	socket, foreign := filepath.Join(sw.Dir, "http.sock"), filepath.Join(sw.Dir, "file")
	squatter, err := net.Listen("tcp", taken)
	sw.NoError("listen", err)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	sw.NoError("leave a socket", err)
	stale.SetUnlinkOnClose(false)
	stale.Close()
	switchtest.WriteFile(t, foreign, "not ours")
	d := sw.StartWith(fmt.Sprintf("[metrics]\nlisten = [%q, %q, %q, %q, %q]\n",
		switchtest.HTTPAddress, taken, v6, "unix:"+socket, "unix:"+foreign))

	switchtest.NewClient(t, switchtest.HTTPAddress).AwaitCode("/healthz", 200)
	switchtest.NewUnixClient(t, socket).AwaitCode("/healthz", 200)
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil { // this machine has IPv6
		l.Close()
		switchtest.NewClient(t, v6).AwaitCode("/healthz", 200)
	}
	info, err := os.Stat(socket)
	sw.NoError("stat the socket", err)
	if info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("mode of the socket is %v, want 0660", info.Mode())
	}
	if text, _ := os.ReadFile(foreign); string(text) != "not ours" {
		t.Errorf("a file that was in the way is now %q", text)
	}
	squatter.Close()
	switchtest.NewClient(t, taken).AwaitCode("/healthz", 200)

	warnings := 0
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if l.Severity() <= 4 && l.Has(taken) {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings about the taken address, want one", warnings)
	}
	if !d.Alive() {
		t.Error("the daemon has ended")
	}
}

// TestHTTPHandedSockets passes two sockets to the daemon as systemd does (sd_listen_fds(3)). The
// daemon must serve them instead of the configured address.
func TestHTTPHandedSockets(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	path := filepath.Join(sw.Dir, "handed.sock")
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	sw.NoError("listen", err)
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	sw.NoError("listen", err)
	local.SetUnlinkOnClose(false)
	var files []*os.File
	for _, l := range []interface {
		File() (*os.File, error)
		Close() error
	}{tcp, local} {
		f, err := l.File()
		sw.NoError("produce the rows", err)
		files = append(files, f)
		l.Close()
	}
	d := sw.StartCommand(switchtest.StartOptions{Files: files, Env: []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=tcp:local"}},
		"/bin/sh", "-c", `export LISTEN_PID=$$; exec "$0"`, sw.Binary)
	for _, f := range files {
		f.Close()
	}
	d.AwaitReady()
	switchtest.NewClient(t, tcp.Addr().String()).AwaitCode("/readyz", 200)
	switchtest.NewUnixClient(t, path).AwaitCode("/readyz", 200)
	if conn, err := net.Dial("tcp", switchtest.HTTPAddress); err == nil {
		conn.Close()
		t.Error("the daemon also listens at the configured address")
	}
}

// TestHTTPDevice binds the listener to a device that is made after the daemon's start, deleted,
// made again and renamed. Clients at the other end of its cable must be served, clients on lo must
// not.
func TestHTTPDevice(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	switchtest.RequireCommand(t, "ip")
	socket := filepath.Join(sw.Dir, "s")
	sw.StartWith(fmt.Sprintf("[metrics]\nlisten = [\":9101\", %q]\ndevice = \"mgmt0\"\n", "unix:"+socket))
	sw.AwaitLog(0, switchtest.Timeout, ":9101", "mgmt0")

	const here, there = "192.0.2.1", "192.0.2.2" // RFC 5737
	outside := newPeerNamespace(t)
	makeDevice := func() {
		t.Helper()
		sw.NoError("make the device", sw.Links.AddVeth("mgmt0", "mgmt1"))
		ip(t, "link", "set", "mgmt1", "netns", strconv.Itoa(outside.thread))
		ip(t, "address", "add", here+"/24", "dev", "mgmt0")
		ip(t, "link", "set", "mgmt0", "up")
		outside.run(func() {
			ip(t, "address", "add", there+"/24", "dev", "mgmt1")
			ip(t, "link", "set", "mgmt1", "up")
		})
	}
	awaitAnswer := func() {
		t.Helper()
		switchtest.Eventually(t, switchtest.Timeout, func() (problem string) {
			outside.run(func() {
				conn, err := net.DialTimeout("tcp", here+":9101", time.Second)
				if err != nil {
					problem = err.Error()
					return
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(switchtest.Timeout))
				fmt.Fprint(conn, "GET /healthz HTTP/1.0\r\n\r\n")
				got, err := io.ReadAll(conn)
				if !strings.HasPrefix(string(got), "HTTP/1.0 200 ") || strings.Contains(string(got), "listener_down: HTTP listeners are down") {
					problem = fmt.Sprintf("response %q, %v", got, err)
				}
			})
			return problem
		})
	}
	makeDevice()
	awaitAnswer()
	// Deleted and made again, as a VRF is: the daemon listens at the new device, and health
	// reports the problem on the unix socket meanwhile.
	sw.NoError("delete the device", sw.Links.Delete("mgmt0"))
	local := switchtest.NewUnixClient(t, socket)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if got := local.Get("/healthz"); !strings.Contains(got, "listener_down: HTTP listeners are down: :9101: ") || !strings.Contains(got, "mgmt0") {
			return "/healthz says " + got
		}
		return ""
	})
	makeDevice()
	awaitAnswer()
	// A renamed device is not the configured one.
	lines := sw.Logs.Len()
	ip(t, "link", "set", "mgmt0", "down")
	ip(t, "link", "set", "mgmt0", "name", "mgmt9")
	sw.AwaitLog(lines, switchtest.Timeout, "HTTP listener unreachable; reopening", ":9101")
	// For the kernel, a connection to the device's own address comes through the device, so the
	// test connects to an address of lo.
	if conn, err := net.Dial("tcp", switchtest.HTTPAddress); err == nil {
		conn.Close()
		t.Errorf("the daemon accepts a connection to %s, which is not on the device", switchtest.HTTPAddress)
	}
}

// TestHTTPLinkLocal listens at a link-local address, which belongs to a device, without the
// setting metrics.device. When the device is made again, the daemon must listen at the new one.
func TestHTTPLinkLocal(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	switchtest.RequireCommand(t, "ip")
	const address = "fe80::5"
	outside := newPeerNamespace(t)
	make := func() {
		t.Helper()
		sw.NoError("make the device", sw.Links.AddVeth("mgmt0", "mgmt1"))
		ip(t, "link", "set", "mgmt1", "netns", strconv.Itoa(outside.thread))
		ip(t, "-6", "address", "add", address+"/64", "dev", "mgmt0", "nodad")
		ip(t, "link", "set", "mgmt0", "up")
		outside.run(func() {
			ip(t, "-6", "address", "add", "fe80::6/64", "dev", "mgmt1", "nodad")
			ip(t, "link", "set", "mgmt1", "up")
		})
	}
	await := func() {
		t.Helper()
		switchtest.Eventually(t, switchtest.Timeout, func() (problem string) {
			outside.run(func() {
				// Package net caches the index of a zone name, so the test uses the number.
				device, err := net.InterfaceByName("mgmt1")
				if err != nil {
					problem = err.Error()
					return
				}
				conn, err := net.DialTimeout("tcp", fmt.Sprintf("[%s%%%d]:9101", address, device.Index), time.Second)
				if err != nil {
					problem = err.Error()
					return
				}
				conn.Close()
			})
			return problem
		})
	}
	make()
	sw.StartWith("[metrics]\nlisten = \"[" + address + "%mgmt0]:9101\"\n")
	await()
	sw.NoError("delete the device", sw.Links.Delete("mgmt0"))
	sw.AwaitLog(0, switchtest.Timeout, "HTTP listener unreachable; reopening", "mgmt0")
	make()
	await()
}

// peerNamespace is a thread in another network namespace.
type peerNamespace struct {
	thread int
	work   chan func()
	done   chan struct{}
}

// newPeerNamespace starts the thread, which ends with the test.
func newPeerNamespace(t *testing.T) *peerNamespace {
	t.Helper()
	o := &peerNamespace{work: make(chan func()), done: make(chan struct{})}
	left := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: no other goroutine may use this thread
		err := unix.Unshare(unix.CLONE_NEWNET)
		o.thread = unix.Gettid()
		left <- err
		for f := range o.work {
			f()
			o.done <- struct{}{}
		}
	}()
	if err := <-left; err != nil {
		t.Fatalf("unshare: %v", err)
	}
	t.Cleanup(func() { close(o.work) })
	return o
}

// run calls f in the namespace and waits for it.
func (o *peerNamespace) run(f func()) {
	o.work <- f
	<-o.done
}

// ip runs the program ip in the network namespace of the calling thread.
func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
