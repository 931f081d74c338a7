package metrics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/transport"
)

// Endpoint is an address to listen on. Its fields are the arguments of [net.Listen].
type Endpoint struct {
	Network string // "tcp" or "unix"
	Address string // "host:port", "[v6]:port", ":port", or an absolute path
}

// String returns the address, which for a unix socket is "unix:" and the path.
func (e Endpoint) String() string {
	if e.Network == "unix" {
		return "unix:" + e.Address
	}
	return e.Address
}

// listenTimeout is the timeout for opening a listener, which may require a DNS lookup.
const listenTimeout = 2 * time.Second

// listen opens a listener. Unless device is "", a TCP socket is bound to device. A unix socket is
// created with mode 0660.
func (e Endpoint) listen(ctx context.Context, device string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	if e.Network == "unix" {
		return e.listenUnix()
	}
	lc := net.ListenConfig{Control: transport.BindToDevice(device)}
	address := e.Address
	if zone := zoneOf(address); zone != "" {
		// Package net caches the index of a zone for a minute, but the device may have
		// been recreated since.
		if index := indexOf(zone); index != 0 {
			address = strings.Replace(address, "%"+zone+"]", fmt.Sprintf("%%%d]", index), 1)
		}
	}
	return lc.Listen(ctx, TCPNetwork(e.Address), address)
}

// TCPNetwork returns the network argument of [net.Listen] for an address "host:port". It returns
// tcp4 or tcp6 if host is an IP address of that family, otherwise tcp for both families. With tcp,
// [net.Listen] would treat 0.0.0.0 and :: as both families.
func TCPNetwork(address string) string {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "tcp"
	case ip.Unmap().Is4():
		return "tcp4"
	}
	return "tcp6"
}

func (e Endpoint) listenUnix() (net.Listener, error) {
	if err := removeStaleSocket(e.Address); err != nil {
		return nil, err
	}
	var l *net.UnixListener
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The mode is set by the umask, because another file could replace the socket
		// before a chmod. The umask is shared by all threads until unshare(2) with
		// CLONE_FS. The locked thread ends with the goroutine.
		runtime.LockOSThread()
		private := unix.Unshare(unix.CLONE_FS) == nil
		old := unix.Umask(0o117)
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: e.Address, Net: "unix"})
		if !private {
			unix.Umask(old)
		}
	}()
	<-done
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would also remove another file of that name
	id, _, err := idOf(e.Address)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("stat socket: %w", err)
	}
	return &unixListener{l, e.Address, id}, nil
}

// unixListener removes its socket file on Close, unless the file has been replaced.
type unixListener struct {
	*net.UnixListener
	path string
	id   fileID
}

func (l *unixListener) Close() error {
	if l.inPlace() {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// inPlace reports whether the path still refers to the socket of this listener.
func (l *unixListener) inPlace() bool {
	id, _, err := idOf(l.path)
	return err == nil && id == l.id
}

// fileID identifies a file. The inode number alone is not sufficient, because inode numbers are
// reused.
type fileID struct {
	dev, ino uint64
	born     unix.StatxTimestamp // zero if the file system does not support it
}

// idOf returns the identity and attributes of the file at path. It does not follow symbolic links.
func idOf(path string) (fileID, *unix.Statx_t, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st)
	return fileID{uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), st.Ino, st.Btime}, &st, err
}

// removeStaleSocket removes the socket file of a killed daemon: a socket that is owned by this user
// and not open in any process. It returns an error if there is any other file at path.
func removeStaleSocket(path string) error {
	id, st, err := idOf(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return fmt.Errorf("%q exists and is not a socket", path)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("socket %q is owned by user %d", path, st.Uid)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("another process is listening on socket %q", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("probe socket %q: %w", path, err)
	}
	if isBound(path) {
		return fmt.Errorf("socket %q is open in another process", path)
	}
	if now, _, err := idOf(path); err != nil || now != id {
		return fmt.Errorf("socket %q was replaced concurrently", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

// isBound reports whether a process has a socket bound to path, listening or not
// (/proc/net/unix, proc_net(5)).
func isBound(path string) bool {
	table, err := os.ReadFile("/proc/net/unix")
	return err == nil && strings.Contains(string(table)+"\n", " "+path+"\n")
}

// isLocal reports whether only processes on this host can connect to the address of a listener.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return false
}
