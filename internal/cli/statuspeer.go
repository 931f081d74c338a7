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

// vouchFor returns nil if credentials may be sent on a connection in the clear: its other
// end is on this host, and the socket there was accepted by a portsyncd of root or of
// this user. Whoever else holds the port could keep the credentials. It is the TCP
// counterpart of SO_PEERCRED, from the kernel's own table.
func vouchFor(ctx context.Context, conn net.Conn) error {
	local, _ := conn.LocalAddr().(*net.TCPAddr)
	remote, _ := conn.RemoteAddr().(*net.TCPAddr)
	if local == nil || remote == nil || !remote.IP.IsLoopback() {
		return errors.New("it is another host, and the connection is not encrypted")
	}
	for {
		uid, inode, err := acceptedBy(remote.AddrPort(), local.AddrPort())
		switch {
		case err != nil:
			return err
		case inode != "0" && uid != 0 && uid != os.Geteuid():
			return fmt.Errorf("the port is held by user %d", uid)
		case inode != "0":
			return isDaemonSocket(inode)
		}
		select { // not accepted yet: so far the socket belongs to nobody
		case <-ctx.Done():
			return errors.New("nobody accepts the connection")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// acceptedBy returns the owner and the inode of the socket at this host's end server of a
// connection from client; the inode is "0" until the socket is accepted. It reads the
// tables of proc_net(5).
func acceptedBy(server, client netip.AddrPort) (uid int, inode string, err error) {
	for _, table := range []struct {
		file   string
		mapped bool // IPv4 is shown as IPv6
	}{{"/proc/net/tcp", false}, {"/proc/net/tcp6", true}} {
		text, err := os.ReadFile(table.file)
		if err != nil {
			continue // without IPv6 there is one table
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
	return 0, "", errors.New("the kernel's table does not show who holds the port")
}

// tableAddress spells an address as those tables do: words of 32 bits in the order of the
// host, then the port.
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

// isDaemonSocket returns nil if a process that runs this program holds the socket with an
// inode, or if the processes of others cannot be looked into: then root holds it.
func isDaemonSocket(inode string) error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the name of this program: %w", err)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is good
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		program, err := os.Readlink(process + "/exe")
		if err != nil {
			return fmt.Errorf("find the program that holds the port: %w", err)
		}
		if name := filepath.Base(strings.TrimSuffix(program, " (deleted)")); name != filepath.Base(own) {
			return fmt.Errorf("the port is held by the program %q", name)
		}
		return nil
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return errors.New("no process is seen that holds the port")
}
