package metrics

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A listening socket stays open when clients can no longer reach it. SO_BINDTODEVICE and the scope
// of a link-local address refer to the index of a device, which is invalid after the device is
// deleted or recreated (socket(7), ipv6(7)). A unix socket is unreachable once its file is removed.
// A guard detects both.

// guardInterval is how often a guard checks a listener without an event. Renaming a parent
// directory of the socket, or mounting over it, does not cause an event.
const guardInterval = 2 * time.Second

// guard detects that a listener has become unreachable for clients.
type guard struct {
	events *os.File     // becomes readable when check may fail; nil if events are not available
	check  func() error // returns an error if the listener is unreachable
}

// link is a network device that a listener depends on. index is the interface index when the
// listener was opened, or 0 if the device did not exist.
type link struct {
	name  string
	index int
}

// linksOf returns the devices that a listener of e depends on: the device that it is bound to, and
// the zone of a link-local address.
func linksOf(e Endpoint, device string) []link {
	var links []link
	if e.Network == "unix" {
		return nil
	}
	for _, name := range []string{device, zoneOf(e.Address)} {
		if name != "" {
			links = append(links, link{name, indexOf(name)})
		}
	}
	return links
}

// zoneOf returns the zone of the IPv6 address in "[address%zone]:port", or "".
func zoneOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	_, zone, _ := strings.Cut(host, "%")
	return zone
}

// guardOf returns a guard for the listener l of endpoint e, which depends on the devices in links.
// It returns nil if l cannot become unreachable.
func guardOf(e Endpoint, l net.Listener, links []link) *guard {
	if socket, ok := l.(*unixListener); ok {
		return &guard{events: watchFile(e.Address), check: func() error {
			if !socket.inPlace() {
				return fmt.Errorf("socket %q was removed or replaced", e.Address)
			}
			return nil
		}}
	}
	if len(links) == 0 {
		return nil
	}
	return &guard{events: watchLink(links[0].index), check: func() error {
		for _, link := range links {
			if indexOf(link.name) != link.index {
				return fmt.Errorf("device %q was deleted or replaced", link.name)
			}
		}
		return nil
	}}
}

// wait blocks until the listener is unreachable and returns the reason. It returns nil if ctx ends
// first.
func (g *guard) wait(ctx context.Context) error {
	every := guardInterval
	if g.events != nil {
		defer g.events.Close()
		stop := context.AfterFunc(ctx, func() { g.events.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
	} else {
		every = time.Second
	}
	buf := make([]byte, 4096)
	for ctx.Err() == nil {
		if err := g.check(); err != nil {
			return err
		}
		if g.events == nil {
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
			continue
		}
		g.events.SetReadDeadline(time.Now().Add(every))
		if ctx.Err() != nil {
			break
		}
		g.events.Read(buf) // the content does not matter: check finds out
	}
	return nil
}

// watchFile returns a file that becomes readable when the file at path is removed or renamed
// (inotify(7)). It returns nil if inotify is not available.
func watchFile(path string) *os.File {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	// IN_ATTRIB reports a change of the link count. IN_DELETE_SELF is not reported while the
	// socket is open.
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_ATTRIB|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_DONT_FOLLOW); err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "inotify")
}

// watchLink returns a file that becomes readable when the kernel reports a change of the link with
// the given index (rtnetlink(7)). A socket filter drops messages about other links, which can be
// numerous. watchLink returns nil if the socket cannot be opened.
func watchLink(index int) *os.File {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil
	}
	const indexAt = unix.SizeofNlMsghdr + 4 // ifi_index in struct ifinfomsg
	var native [4]byte
	binary.NativeEndian.PutUint32(native[:], uint32(index))
	filter := []unix.SockFilter{ // linux/filter.h; a load is big-endian
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: indexAt},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: binary.BigEndian.Uint32(native[:])},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 18},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	}
	if err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "rtnetlink")
}

// indexOf returns the index of a device (SIOCGIFINDEX, netdevice(7)), or 0 if it does not exist.
func indexOf(device string) int {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return 0
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request) != nil {
		return 0
	}
	return int(request.Uint32())
}
