package cli

import (
	"context"
	endian "encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// verifyPeer returns nil if credentials may be sent over an unencrypted connection: the peer must
// be on this host, and its socket must belong to a portsyncd process run by root or by the current
// user. Any other program listening on the port could steal the credentials. verifyPeer uses the
// kernel's socket tables to provide for TCP what SO_PEERCRED provides for unix sockets.
func verifyPeer(ctx context.Context, conn net.Conn) error {
	local, _ := conn.LocalAddr().(*net.TCPAddr)
	remote, _ := conn.RemoteAddr().(*net.TCPAddr)
	if local == nil || remote == nil || !remote.IP.IsLoopback() {
		return errors.New("unencrypted connection to another host")
	}
	for {
		uid, inode, err := acceptedBy(remote.AddrPort(), local.AddrPort())
		switch {
		case err != nil:
			return err
		case inode != "0" && uid != 0 && uid != os.Geteuid():
			return fmt.Errorf("port is in use by a process of user %d", uid)
		case inode != "0":
			return isDaemonSocket(inode)
		}
		select { // the connection has not been accepted yet
		case <-ctx.Done():
			return errors.New("no process accepted the connection")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// acceptedBy returns the owner and the inode of the socket with local address server and remote
// address client. The inode is "0" until the connection is accepted. acceptedBy reads /proc/net/tcp
// and /proc/net/tcp6 (proc_net(5)).
func acceptedBy(server, client netip.AddrPort) (uid int, inode string, err error) {
	for _, table := range []struct {
		file   string
		mapped bool // IPv4 addresses are mapped to IPv6
	}{{"/proc/net/tcp", false}, {"/proc/net/tcp6", true}} {
		text, err := os.ReadFile(table.file)
		if err != nil {
			continue // the second table does not exist if IPv6 is disabled
		}
		from, to := tableAddress(server, table.mapped), tableAddress(client, table.mapped)
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 9 && f[1] == from && f[2] == to {
				uid, err := strconv.Atoi(f[7])
				return uid, f[9], err
			}
		}
	}
	return 0, "", errors.New("the peer's socket is not in /proc/net/tcp")
}

// tableAddress formats an address as in /proc/net/tcp: 32-bit words in host byte order, followed by
// the port.
func tableAddress(a netip.AddrPort, mapped bool) string {
	ip := a.Addr().Unmap().AsSlice()
	if mapped {
		long := a.Addr().As16()
		ip = long[:]
	}
	var b []byte
	for ; len(ip) > 0; ip = ip[4:] {
		b = fmt.Appendf(b, "%08X", endian.NativeEndian.Uint32(ip))
	}
	return string(fmt.Appendf(b, ":%04X", a.Port()))
}

// isDaemonSocket returns nil if the socket with the given inode is open in a process that has the
// name of this program. It also returns nil if no process is found because this process may not
// inspect the processes of root: acceptedBy has already shown that the socket belongs to root or to
// the current user.
func isDaemonSocket(inode string) error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the path of this program: %w", err)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the only possible error is a malformed pattern
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		program, err := os.Readlink(process + "/exe")
		if err != nil {
			return fmt.Errorf("find the program that is listening on the port: %w", err)
		}
		if name := filepath.Base(strings.TrimSuffix(program, " (deleted)")); name != filepath.Base(own) {
			return fmt.Errorf("port is in use by program %q", name)
		}
		return nil
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return errors.New("no process is listening on the port")
}
