package metrics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endpoint is an address to listen on.
type endpoint struct {
	network string // "tcp" or "unix"
	address string
}

// maxUnixPath is the room in sockaddr_un.sun_path without the final NUL,
// unix(7).
const maxUnixPath = 107

// parseEndpoint reads one address of ServerConfig.Listen.
func parseEndpoint(spec string) (endpoint, error) {
	if path, ok := strings.CutPrefix(spec, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > maxUnixPath || strings.IndexByte(path, 0) >= 0 {
			return endpoint{}, fmt.Errorf("listen address %q: want unix: and an absolute path of at most %d bytes", spec, maxUnixPath)
		}
		return endpoint{"unix", path}, nil
	}
	_, port, err := net.SplitHostPort(spec)
	if err != nil {
		return endpoint{}, fmt.Errorf("listen address %q: want host:port, [v6]:port or unix:/path", spec)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return endpoint{}, fmt.Errorf("listen address %q: want a port from 0 to 65535", spec)
	}
	return endpoint{"tcp", spec}, nil
}

func (e endpoint) String() string {
	if e.network == "unix" {
		return "unix:" + e.address
	}
	return e.address
}

// listenTime bounds an attempt to listen: a host name may need a name server.
const listenTime = 2 * time.Second

// listen opens the endpoint. A TCP socket is bound to device unless that is
// empty; a unix socket gets mode 0660.
func (e endpoint) listen(ctx context.Context, device string) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTime)
	defer cancel()
	if e.network == "unix" {
		return e.listenUnix(ctx)
	}
	var lc net.ListenConfig
	if device != "" {
		lc.Control = func(_, _ string, c syscall.RawConn) error {
			var bindErr error
			err := c.Control(func(fd uintptr) { bindErr = unix.BindToDevice(int(fd), device) })
			if err = errors.Join(err, bindErr); err != nil {
				return fmt.Errorf("bind to device %q: %w", device, err)
			}
			return nil
		}
	}
	return lc.Listen(ctx, TCPNetwork(e.address), e.address)
}

// TCPNetwork returns the network, in the terms of [net.Listen], on which to listen at
// "host:port": tcp4 or tcp6 if host is an address of that family, else tcp for both.
// Package net by itself takes 0.0.0.0 and :: for both.
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

func (e endpoint) listenUnix(ctx context.Context) (net.Listener, error) {
	if err := removeStaleSocket(e.address); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", e.address)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(e.address, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("set mode of socket: %w", err)
	}
	return l, nil
}

// removeStaleSocket removes what a killed process left behind: a socket that
// refuses connections. Anything else at that path is somebody's.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%q exists and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("socket %q is served by another process", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("probe socket %q: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

// isLocal reports whether only processes of this host can connect to a
// listener's address.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return false
}
