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

// A listening socket stays open when clients can no longer reach it: SO_BINDTODEVICE and
// the scope of a link-local address keep the index of a device that is deleted or renamed
// (socket(7), ipv6(7)), and nobody can connect to a unix socket whose name is gone. The
// kernel reports these events.

// guardEvery is how often a guard checks without an event: a directory above the socket
// may be renamed or mounted over.
const guardEvery = 2 * time.Second

// guard watches what a listener hangs on.
type guard struct {
	events *os.File     // becomes readable when something may have happened; nil: look often
	why    func() error // nil while the listener can be reached
}

// link is a device that a listener depends on, with the index it had when the listener
// was opened; 0 if there was none.
type link struct {
	name  string
	index int
}

// linksOf returns the devices that a listener of e on device depends on: that device, and
// the zone of a link-local address.
func linksOf(e endpoint, device string) []link {
	var links []link
	if e.network == "unix" {
		return nil
	}
	for _, name := range []string{device, zoneOf(e.address)} {
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

// guardOf returns the guard of a listener that e opened, and that depends on links; nil
// if there is nothing to watch.
func guardOf(e endpoint, l net.Listener, links []link) *guard {
	if socket, ok := l.(*unixListener); ok {
		return &guard{events: watchFile(e.address), why: func() error {
			if !socket.inPlace() {
				return fmt.Errorf("the socket %q was removed or replaced", e.address)
			}
			return nil
		}}
	}
	if len(links) == 0 {
		return nil
	}
	return &guard{events: watchLink(links[0].index), why: func() error {
		for _, link := range links {
			if indexOf(link.name) != link.index {
				return fmt.Errorf("the device %q was deleted or replaced", link.name)
			}
		}
		return nil
	}}
}

// wait returns why the listener cannot be reached any more, or nil when ctx ends.
func (g *guard) wait(ctx context.Context) error {
	every := guardEvery
	if g.events != nil {
		defer g.events.Close()
		stop := context.AfterFunc(ctx, func() { g.events.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
	} else {
		every = time.Second
	}
	buf := make([]byte, 4096)
	for ctx.Err() == nil {
		if err := g.why(); err != nil {
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
		g.events.Read(buf) // whatever it says, why looks
	}
	return nil
}

// watchFile returns a file that becomes readable when the file at path is removed or
// renamed (inotify(7)), or nil.
func watchFile(path string) *os.File {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	// IN_ATTRIB: the number of links. The inode stays while the socket is open.
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_ATTRIB|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_DONT_FOLLOW); err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "inotify")
}

// watchLink returns a file that becomes readable when the kernel reports a change of the
// link with an index (rtnetlink(7)), or nil. A filter in the kernel drops the messages
// about other links, of which there may be many.
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

// indexOf returns the index of a device, 0 if there is none: SIOCGIFINDEX in netdevice(7).
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
