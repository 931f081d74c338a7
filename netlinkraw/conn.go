package netlinkraw

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrConcurrentUse is returned by Receive during a Receive by another goroutine.
var ErrConcurrentUse = errors.New("netlinkraw: concurrent Receive")

// Config configures [Dial]. The zero value is valid.
type Config struct {
	// ReceiveBuffer is the size in bytes of the queue in the kernel, beyond which messages are
	// dropped; 0 means 16 MiB. A link message takes about 2.3 KB. Without CAP_NET_ADMIN the
	// kernel limits it to net.core.rmem_max.
	ReceiveBuffer int
}

const defaultReceiveBuffer = 16 << 20

// Conn is a socket that receives all link changes of its network namespace. See the package comment for
// concurrent use.
type Conn struct {
	file    *os.File // registers the descriptor with the runtime poller
	raw     syscall.RawConn
	granted int
	stats   Stats
	dumps   dumpTracker

	closed    atomic.Bool
	lent      atomic.Bool // a Batch may point into slots
	receiving atomic.Bool // guards the following fields
	slots     *slots
	need      int                   // size of the largest truncated datagram; 0 if there is none
	limit     int                   // maximum size of a slot
	overrun   bool                  // messages were lost, and no Overrun was returned yet
	batch     *Batch                // batch of the Receive in progress
	err       error                 // result of the Receive in progress
	poll      func(fd uintptr) bool // c.receive; a new method value per call would allocate
}

// Dial opens a Conn and joins the link group. It needs no privileges.
func Dial(cfg Config) (*Conn, error) {
	return dial(cfg, unix.RTMGRP_LINK, slotCount, slotSize)
}

// dial opens a Conn with these groups, 0 for none, and n slots of size bytes.
func dial(cfg Config, groups uint32, n, size int) (*Conn, error) {
	if cfg.ReceiveBuffer < 0 {
		return nil, fmt.Errorf("receive buffer of %d bytes, expected 0 or more", cfg.ReceiveBuffer)
	}
	fd, port, err := openSocket(groups)
	if err != nil {
		return nil, err
	}
	c := &Conn{limit: slotLimit}
	c.dumps.port = port
	c.poll = c.receive
	if c.granted, err = setReceiveBuffer(fd, cfg.ReceiveBuffer); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if c.slots, err = newSlots(n, size); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if c.file, c.raw, err = pollable(fd); err != nil {
		c.slots.free()
		return nil, err
	}
	return c, nil
}

// openSocket opens a non-blocking rtnetlink socket with these groups. It returns the descriptor and the
// port ID that the kernel assigned.
func openSocket(groups uint32) (fd int, port uint32, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, 0, fmt.Errorf("open netlink socket: %w", err)
	}
	// Error texts (since Linux 4.12) and strict checks of dump requests (since 4.20). The errors
	// of older kernels are ignored, since both are optional.
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)

	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("bind netlink socket: %w", err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("read port id of netlink socket: %w", err)
	}
	own, ok := addr.(*unix.SockaddrNetlink)
	if !ok {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("read port id of netlink socket: address is a %T", addr)
	}
	return fd, own.Pid, nil
}

// setReceiveBuffer sets the size of the receive buffer and returns the actual size. SO_RCVBUFFORCE needs
// CAP_NET_ADMIN; SO_RCVBUF silently limits the size to net.core.rmem_max (socket(7)).
func setReceiveBuffer(fd, want int) (granted int, err error) {
	if want == 0 {
		want = defaultReceiveBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want); err != nil {
			return 0, fmt.Errorf("set receive buffer of netlink socket: %w", err)
		}
	}
	granted, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0, fmt.Errorf("read receive buffer of netlink socket: %w", err)
	}
	return granted, nil
}

// pollable registers fd with the runtime poller, so that waiting blocks a goroutine and not a thread,
// and Close wakes it up. It takes ownership of fd, also if it fails.
func pollable(fd int) (*os.File, syscall.RawConn, error) {
	file := os.NewFile(uintptr(fd), "netlink")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("poll netlink socket: %w", err)
	}
	return file, raw, nil
}

// ReceiveBuffer returns the size of the receive buffer as the kernel counts it: it doubles the requested
// size, and adds its overhead to the size of each message (socket(7), SO_RCVBUF).
func (c *Conn) ReceiveBuffer() int { return c.granted }

// Stats returns the counters of c, which change while c is used.
func (c *Conn) Stats() *Stats { return &c.stats }

// RequestLinkDump requests all links, without their IPv6 statistics. Receive returns the answer:
// NewLink messages with Dump set and then a DumpDone, all with the sequence number seq, which is
// never 0. RequestLinkDump may be called from any goroutine, also during Receive.
func (c *Conn) RequestLinkDump() (seq uint32, err error) {
	seq = c.dumps.issue()
	// An unconnected netlink socket sends to port ID 0, the kernel.
	if _, err := c.file.Write(appendDumpRequest(nil, seq)); err != nil {
		return 0, fmt.Errorf("request link dump: %w", err)
	}
	return seq, nil
}

// appendDumpRequest appends RTM_GETLINK for all links. With strict checks, struct ifinfomsg must be
// complete, and zero except for the family.
func appendDumpRequest(b []byte, seq uint32) []byte {
	start := len(b)
	b = AppendHeader(b, unix.RTM_GETLINK, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, seq, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, 0, 0, 0)
	b = AppendAttrUint32(b, unix.IFLA_EXT_MASK, rtextFilterSkipStats)
	FinishMessage(b, start)
	return b
}

// RequestLink requests one link. The answer arrives as a live NewLink message, or not at all if the link
// does not exist. RequestLink may be called from any goroutine.
//
// Since Linux 6.14 (rtnl_getlink, net/core/rtnetlink.c) the kernel first applies a pending carrier
// change to IFF_RUNNING, which it does not do for a dump.
func (c *Conn) RequestLink(index int32) error {
	b := AppendHeader(nil, unix.RTM_GETLINK, unix.NLM_F_REQUEST, 0, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, index, 0, 0)
	b = AppendAttrUint32(b, unix.IFLA_EXT_MASK, rtextFilterSkipStats)
	FinishMessage(b, 0)
	if _, err := c.file.Write(b); err != nil {
		return fmt.Errorf("request link %d: %w", index, err)
	}
	return nil
}

// Receive waits until a datagram is queued, and replaces the content of b with the queued datagrams, as
// many as there are slots. A batch may contain no known messages.
//
// Receive returns os.ErrClosed after Close, and ErrConcurrentUse during a Receive by another
// goroutine. Lost messages are reported by an Overrun in the batch, not by an error. After any other
// error, which is not expected, close c and dial again.
func (c *Conn) Receive(b *Batch) error {
	if !c.receiving.CompareAndSwap(false, true) {
		if c.closed.Load() { // Close may hold receiving
			return os.ErrClosed
		}
		return ErrConcurrentUse
	}
	defer c.receiving.Store(false)

	b.reset(&c.dumps, &c.stats)
	c.batch, c.err = b, nil
	err := c.raw.Read(c.poll)
	c.batch = nil
	switch {
	case c.closed.Load():
		// Read returned another error than os.ErrClosed, or received datagrams at the time
		// of Close, which are dropped.
		b.reset(&c.dumps, &c.stats)
		c.slots.free()
		return os.ErrClosed
	case err != nil:
		return fmt.Errorf("wait for link messages: %w", err)
	case c.err != nil:
		return fmt.Errorf("receive link messages: %w", c.err)
	}
	return nil
}

// receive reads once for Receive. It returns true after it set c.batch or c.err, and false to be called
// again when the socket is readable.
func (c *Conn) receive(fd uintptr) bool {
	c.growSlots()
	for {
		n, errno := c.slots.receive(fd)
		switch {
		case errno == 0:
			c.fillBatch(n)
			return true
		case errno == unix.EINTR:
		case errno == unix.ENOBUFS:
			// The Overrun follows when the queue is empty. Until then the kernel drops
			// messages, and a dump would be outdated.
			c.stats.Overruns.Add(1)
			c.lose()
		case errno == unix.EAGAIN && c.overrun:
			c.batch.overrun, c.overrun = true, false
			return true
		case errno == unix.EAGAIN:
			return false
		default:
			c.err = errno
			return true
		}
	}
}

// lose records that messages were lost: an Overrun follows, and dumps requested so far are incomplete.
func (c *Conn) lose() {
	c.overrun = true
	c.dumps.lose()
}

// growSlots enlarges the slots if a datagram of the last batch was truncated. If there is not enough
// memory, the present size becomes the limit.
func (c *Conn) growSlots() {
	if c.need == 0 {
		return
	}
	n, size := slotsFor(c.slots.n, c.slots.size, c.need)
	c.need = 0
	larger, err := newSlots(n, size)
	if err != nil {
		c.limit = c.slots.size
		return
	}
	c.slots.free() // the last batch, which points into them, is not valid any more
	c.slots = larger
}

// fillBatch adds the n received datagrams to c.batch, except forged and truncated ones.
func (c *Conn) fillBatch(n int) {
	c.lent.Store(true)
	c.stats.Datagrams.Add(uint64(n))
	for i := range n {
		data, sender, size := c.slots.datagram(i)
		switch {
		case sender != 0: // not sent by the kernel; not a loss either
			c.stats.Forged.Add(1)
		case size == len(data):
			c.batch.datagrams = append(c.batch.datagrams, data)
		default:
			c.stats.Truncated.Add(1)
			c.cutDatagram(data, size)
		}
	}
}

// cutDatagram handles a datagram of size bytes that was truncated to data. It counts as lost, and the
// slots grow, so that the dump after the Overrun can read the link.
//
// If the slots cannot grow, another dump would be truncated as well. Then the messages before the
// truncation and the name of the truncated link are added to the batch, and only messages after
// that link count as lost.
func (c *Conn) cutDatagram(data []byte, size int) {
	if size <= c.limit {
		c.need = max(c.need, size)
		c.lose()
		return
	}
	at, end, ok := findCut(data)
	if !ok || end < size {
		c.lose()
	}
	if ok || at > 0 {
		b := c.batch
		b.datagrams = append(b.datagrams, data)
		b.cut = append(b.cut, len(b.datagrams))
	}
}

// Close closes the socket. A blocked Receive returns os.ErrClosed. A second Close returns an error.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return fmt.Errorf("close netlink socket: %w", os.ErrClosed)
	}
	err := c.file.Close()
	// A receiver may still read its batch; its next Receive frees the memory. If there was no
	// batch yet and there is no Receive in progress, Close frees the memory.
	if !c.lent.Load() && c.receiving.CompareAndSwap(false, true) {
		c.slots.free()
		c.receiving.Store(false)
	}
	if err != nil {
		return fmt.Errorf("close netlink socket: %w", err)
	}
	return nil
}

// discard closes c and frees its memory. The receiving goroutine may call it if it does not need its
// batches any more.
func (c *Conn) discard() {
	c.Close()
	c.slots.free()
}

// setDeadline sets the time after which Receive returns os.ErrDeadlineExceeded.
func (c *Conn) setDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }
