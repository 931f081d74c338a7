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

// ErrConcurrentUse is returned by Receive if another goroutine is in Receive.
var ErrConcurrentUse = errors.New("netlinkraw: concurrent Receive")

// Config configures [Dial]. The zero value is valid.
type Config struct {
	// ReceiveBuffer is the size in bytes of the socket's receive buffer; 0 means 16 MiB. The kernel
	// drops messages when the buffer is full. A link message takes about 2.3 KB. Without
	// CAP_NET_ADMIN, the kernel limits the size to net.core.rmem_max.
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
	need      int                   // size of the largest truncated datagram, or 0
	limit     int                   // maximum size of a slot
	overrun   bool                  // messages were lost and no Overrun has been returned yet
	batch     *Batch                // batch of the Receive in progress
	err       error                 // result of the Receive in progress
	poll      func(fd uintptr) bool // c.receive; a new method value per call would allocate
}

// Dial opens a Conn and joins the link multicast group. It needs no privileges.
func Dial(cfg Config) (*Conn, error) {
	return dial(cfg, unix.RTMGRP_LINK, slotCount, slotSize)
}

// dial opens a Conn that joins groups (0 for none) and has n slots of size bytes.
func dial(cfg Config, groups uint32, n, size int) (*Conn, error) {
	if cfg.ReceiveBuffer < 0 {
		return nil, fmt.Errorf("invalid receive buffer size %d: must be 0 or greater", cfg.ReceiveBuffer)
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

// openSocket opens a non-blocking rtnetlink socket that joins groups. It returns the descriptor and
// the port ID that the kernel assigned.
func openSocket(groups uint32) (fd int, port uint32, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, 0, fmt.Errorf("open netlink socket: %w", err)
	}
	// Enable error texts (since Linux 4.12) and strict checks of dump requests (since 4.20). Both
	// are optional, so errors from older kernels are ignored.
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)

	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("bind netlink socket: %w", err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("read netlink port ID: %w", err)
	}
	own, ok := addr.(*unix.SockaddrNetlink)
	if !ok {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("read netlink port ID: unexpected address type %T", addr)
	}
	return fd, own.Pid, nil
}

// setReceiveBuffer sets the size of the receive buffer and returns the actual size. SO_RCVBUFFORCE
// needs CAP_NET_ADMIN. SO_RCVBUF silently limits the size to net.core.rmem_max (socket(7)).
func setReceiveBuffer(fd, want int) (granted int, err error) {
	if want == 0 {
		want = defaultReceiveBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, want); err != nil {
			return 0, fmt.Errorf("set netlink receive buffer size: %w", err)
		}
	}
	granted, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0, fmt.Errorf("read netlink receive buffer size: %w", err)
	}
	return granted, nil
}

// pollable registers fd with the runtime poller, so that waiting for data blocks only the
// goroutine, and Close wakes it. It takes ownership of fd, even if it fails.
func pollable(fd int) (*os.File, syscall.RawConn, error) {
	file := os.NewFile(uintptr(fd), "netlink")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("register netlink socket with the poller: %w", err)
	}
	return file, raw, nil
}

// ReceiveBuffer returns the size of the receive buffer in bytes as reported by the kernel, which
// doubles the requested size to allow for its overhead (socket(7), SO_RCVBUF).
func (c *Conn) ReceiveBuffer() int { return c.granted }

// Stats returns the counters of c. They are updated while c is in use.
func (c *Conn) Stats() *Stats { return &c.stats }

// RequestLinkDump requests a dump of all links, without their IPv6 statistics. Receive returns the
// reply as NewLink messages with Dump set, followed by a DumpDone. All have the sequence number
// seq, which is never 0. RequestLinkDump may be called from any goroutine, even during Receive.
func (c *Conn) RequestLinkDump() (seq uint32, err error) {
	seq = c.dumps.issue()
	defer c.dumps.sent()
	// An unconnected netlink socket sends to the kernel (port ID 0).
	if _, err := c.file.Write(appendDumpRequest(nil, seq)); err != nil {
		return 0, fmt.Errorf("request link dump: %w", err)
	}
	return seq, nil
}

// appendDumpRequest appends an RTM_GETLINK request for all links. Strict checking requires a
// complete struct ifinfomsg in which all fields but the family are zero.
func appendDumpRequest(b []byte, seq uint32) []byte {
	start := len(b)
	b = AppendHeader(b, unix.RTM_GETLINK, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, seq, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, 0, 0, 0)
	b = AppendAttrUint32(b, unix.IFLA_EXT_MASK, rtextFilterSkipStats)
	FinishMessage(b, start)
	return b
}

// RequestLink requests the state of one link. The reply arrives as a live NewLink message. If the
// link does not exist, no message arrives. RequestLink may be called from any goroutine, even
// during Receive.
//
// RequestLink is more accurate than a dump: since Linux 6.14 (rtnl_getlink, net/core/rtnetlink.c),
// the kernel applies a pending carrier change to IFF_RUNNING before it replies to the request.
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

// Receive waits until a datagram is queued, then replaces the contents of b with the queued
// datagrams, at most one per slot. The batch may contain no known messages.
//
// Receive returns os.ErrClosed after Close, and ErrConcurrentUse if another goroutine is in
// Receive. Lost messages are reported by an Overrun in the batch, not by an error. Other errors are
// unexpected: close c and dial again.
func (c *Conn) Receive(b *Batch) error {
	if !c.receiving.CompareAndSwap(false, true) {
		if c.closed.Load() { // Close may have set receiving
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
		// Either Read returned an error other than os.ErrClosed, or datagrams arrived while Close
		// was called. Those datagrams are dropped.
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

// receive makes one attempt to read from the socket. It returns true after setting c.batch or
// c.err, and false if it must be called again when the socket becomes readable.
func (c *Conn) receive(fd uintptr) bool {
	c.growSlots()
	for {
		raw := c.dumps.beginRaw()
		n, errno := c.slots.receive(fd, raw)
		c.dumps.endRaw()
		switch {
		case errno == 0:
			c.fillBatch(n)
			return true
		case errno == unix.EINTR:
		case errno == unix.ENOBUFS:
			// The Overrun is returned once the queue is empty. Until then the kernel keeps dropping
			// messages, so a dump would be outdated.
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

// lose is called when messages were lost. It makes Receive return an Overrun and marks the dumps
// requested so far as incomplete.
func (c *Conn) lose() {
	c.overrun = true
	c.dumps.lose()
}

// growSlots enlarges the slots of the read buffer if a datagram of the last batch was truncated. If there is
// not enough memory, the current slot size becomes the maximum.
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
	c.slots.free() // the last batch points into the slots but is no longer valid
	c.slots = larger
}

// fillBatch adds the n received datagrams to c.batch, except forged and truncated datagrams.
func (c *Conn) fillBatch(n int) {
	c.lent.Store(true)
	c.stats.Datagrams.Add(uint64(n))
	for i := range n {
		data, sender, size := c.slots.datagram(i)
		switch {
		case sender != 0: // forged: not sent by the kernel, so nothing was lost
			c.stats.Forged.Add(1)
		case size == len(data):
			c.batch.datagrams = append(c.batch.datagrams, data)
		default:
			c.stats.Truncated.Add(1)
			c.cutDatagram(data, size)
		}
	}
}

// cutDatagram handles a datagram of size bytes that was truncated to data. The datagram counts as
// lost and the slots grow, so that the dump after the Overrun can read the link.
//
// If the slots cannot grow, a new dump would be truncated as well. In that case cutDatagram adds
// the messages before the truncation and the name of the truncated link to the batch, so only the
// messages after that link count as lost.
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
	// A receiver may still be reading its batch; its next Receive frees the memory. If no batch was
	// ever returned and no Receive is in progress, Close frees the memory here.
	if !c.lent.Load() && c.receiving.CompareAndSwap(false, true) {
		c.slots.free()
		c.receiving.Store(false)
	}
	if err != nil {
		return fmt.Errorf("close netlink socket: %w", err)
	}
	return nil
}

// discard closes c and frees its memory. Only the receiving goroutine may call it, and its batches
// become invalid.
func (c *Conn) discard() {
	c.Close()
	c.slots.free()
}

// setDeadline sets the time at which Receive returns os.ErrDeadlineExceeded.
func (c *Conn) setDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }
