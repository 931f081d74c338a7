package lab

import (
	"fmt"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// LinkMaker creates and changes network interfaces. It is implemented by [Links] for the kernel and
// by [SimKernel] for simulated interfaces.
type LinkMaker interface {
	// AddVeth creates a veth pair.
	AddVeth(name, peer string) error
	// Delete deletes an interface and its peer.
	Delete(name string) error
	// SetUp brings an interface up or down.
	SetUp(name string, up bool) error
	// SetMTU sets the MTU in bytes.
	SetMTU(name string, mtu int) error
}

// Links creates and changes interfaces in the network namespace in which DialLinks was called. It
// needs CAP_NET_ADMIN. Each method sends one request to the kernel. Links must not be used by
// several goroutines at the same time.
type Links struct {
	requester *netlinkraw.Requester
	buf       []byte
}

// DialLinks opens a socket for requests to the kernel.
func DialLinks() (*Links, error) {
	r, err := netlinkraw.DialRequester()
	if err != nil {
		return nil, err
	}
	return &Links{requester: r}, nil
}

// Close closes the socket. It does not delete interfaces.
func (l *Links) Close() error { return l.requester.Close() }

// AddVeth creates a veth pair. Both interfaces are down and have an MTU of 1500.
func (l *Links) AddVeth(name, peer string) error {
	return l.add(name, "veth", func(b []byte) []byte {
		// VETH_INFO_PEER is a nested link message.
		// Source: include/uapi/linux/veth.h, drivers/net/veth.c veth_newlink.
		const vethInfoPeer = 1
		b, data := netlinkraw.BeginNested(b, unix.IFLA_INFO_DATA)
		b, info := netlinkraw.BeginNested(b, vethInfoPeer)
		b = netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, 0, 0, 0)
		b = netlinkraw.AppendAttrString(b, unix.IFLA_IFNAME, peer)
		b = netlinkraw.EndNested(b, info)
		return netlinkraw.EndNested(b, data)
	})
}

// AddBridge creates a bridge. The bridge is down.
func (l *Links) AddBridge(name string) error {
	return l.add(name, "bridge", func(b []byte) []byte { return b })
}

func (l *Links) add(name, kind string, appendData func([]byte) []byte) error {
	b := netlinkraw.AppendHeader(l.buf[:0], unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0)
	b = netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, 0, 0, 0)
	b = netlinkraw.AppendAttrString(b, unix.IFLA_IFNAME, name)
	b, info := netlinkraw.BeginNested(b, unix.IFLA_LINKINFO)
	b = netlinkraw.AppendAttrString(b, unix.IFLA_INFO_KIND, kind)
	b = appendData(b)
	b = netlinkraw.EndNested(b, info)
	if err := l.do(b); err != nil {
		return fmt.Errorf("add %s interface %q: %w", kind, name, err)
	}
	return nil
}

// Delete deletes an interface. Deleting a veth also deletes its peer.
func (l *Links) Delete(name string) error {
	index, err := linkIndex(name)
	if err == nil {
		b := netlinkraw.AppendHeader(l.buf[:0], unix.RTM_DELLINK, 0, 0, 0)
		err = l.do(netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, index, 0, 0))
	}
	if err != nil {
		return fmt.Errorf("delete link %q: %w", name, err)
	}
	return nil
}

// SetUp brings an interface up or down.
func (l *Links) SetUp(name string, up bool) error {
	var c linkChange
	c.setFlag(unix.IFF_UP, up)
	return l.change(name, &c)
}

// SetMTU sets the MTU of an interface in bytes.
func (l *Links) SetMTU(name string, mtu int) error {
	var c linkChange
	c.setNumber(unix.IFLA_MTU, uint32(mtu))
	return l.change(name, &c)
}

// Rename renames an interface.
func (l *Links) Rename(name, to string) error {
	var c linkChange
	c.setString(unix.IFLA_IFNAME, to)
	return l.change(name, &c)
}

// SetMaster adds an interface to a bridge.
func (l *Links) SetMaster(name, master string) error {
	var c linkChange
	if err := c.setMaster(master); err != nil {
		return fmt.Errorf("set link %q: %w", name, err)
	}
	return l.change(name, &c)
}

// NoMaster removes an interface from its bridge.
func (l *Links) NoMaster(name string) error {
	var c linkChange
	c.setNumber(unix.IFLA_MASTER, 0)
	return l.change(name, &c)
}

// SetTxQueueLen sets the length of an interface's transmit queue in packets.
func (l *Links) SetTxQueueLen(name string, packets int) error {
	var c linkChange
	c.setNumber(unix.IFLA_TXQLEN, uint32(packets))
	return l.change(name, &c)
}

// linkChange holds the changes made by one RTM_NEWLINK request.
type linkChange struct {
	flags, mask uint32 // ifi_flags, ifi_change
	attrs       []byte
}

func (c *linkChange) setFlag(flag uint32, on bool) {
	c.mask |= flag
	c.flags &^= flag
	if on {
		c.flags |= flag
	}
}

func (c *linkChange) setNumber(attr uint16, n uint32) {
	c.attrs = netlinkraw.AppendAttrUint32(c.attrs, attr, n)
}

func (c *linkChange) setString(attr uint16, s string) {
	c.attrs = netlinkraw.AppendAttrString(c.attrs, attr, s)
}

func (c *linkChange) setMaster(name string) error {
	index, err := linkIndex(name)
	if err != nil {
		return fmt.Errorf("look up master %q: %w", name, err)
	}
	c.setNumber(unix.IFLA_MASTER, uint32(index))
	return nil
}

// change applies c to the named interface.
func (l *Links) change(name string, c *linkChange) error {
	index, err := linkIndex(name)
	if err == nil {
		b := netlinkraw.AppendHeader(l.buf[:0], unix.RTM_NEWLINK, 0, 0, 0)
		b = netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, index, c.flags, c.mask)
		err = l.do(append(b, c.attrs...))
	}
	if err != nil {
		return fmt.Errorf("set link %q: %w", name, err)
	}
	return nil
}

// syncState requests the state of an interface and ignores the reply. The request makes the kernel
// update the operational state, which it otherwise does up to a second later. Without the request,
// an interface that is brought up soon after it was created is announced as running although its
// peer is down. Source: net/core/rtnetlink.c rtnl_getlink, net/core/link_watch.c
// linkwatch_sync_dev.
func (l *Links) syncState(name string) error {
	index, err := linkIndex(name)
	if err == nil {
		b := netlinkraw.AppendHeader(l.buf[:0], unix.RTM_GETLINK, 0, 0, 0)
		err = l.do(netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, index, 0, 0))
	}
	if err != nil {
		return fmt.Errorf("get link %q: %w", name, err)
	}
	return nil
}

// do sets the length of the request in b, sends the request and waits for the kernel's reply.
func (l *Links) do(b []byte) error {
	l.buf = b
	netlinkraw.FinishMessage(b, 0)
	return l.requester.Do(b)
}

// linkIndex returns the index of an interface, or ENODEV. It uses SIOCGIFINDEX (netdevice(7)).
func linkIndex(name string) (int32, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("invalid interface name of %d bytes: %w", len(name), err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, err
	}
	return int32(request.Uint32()), nil
}
