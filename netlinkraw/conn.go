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

// ErrConcurrentUse is returned by Receive while another goroutine is in it.
var ErrConcurrentUse = errors.New("netlinkraw: concurrent Receive")

// Config is what [Dial] can be told. The zero value is good.
type Config struct {
	// ReceiveBuffer is how many bytes the kernel may queue for us before it
	// drops messages; 0 means 16 MiB. A link message takes about 2.3 KB of it.
	// Without CAP_NET_ADMIN the kernel cuts it to net.core.rmem_max.
	ReceiveBuffer int
}

const defaultReceiveBuffer = 16 << 20

// Conn is a socket that hears of every change of a link in its network
// namespace. The package comment says which goroutine may call what.
type Conn struct {
	file    *os.File // gives the descriptor to the runtime poller
	raw     syscall.RawConn
	granted int
	stats   Stats
	dumps   dumpTracker

	closed    atomic.Bool
	lent      atomic.Bool // a Batch may point into slots
	receiving atomic.Bool // guards what follows
	slots     *slots
	need      int                   // size of the largest datagram that did not fit; 0 if slots are large enough
	limit     int                   // size up to which slots grow
	overrun   bool                  // messages were lost, and not told yet
	batch     *Batch                // of the Receive in progress
	err       error                 // its result
	poll      func(fd uintptr) bool // method value c.receive, made once
}

// Dial opens a Conn and joins the link group. Every user may do that.
func Dial(cfg Config) (*Conn, error) {
	return dial(cfg, unix.RTMGRP_LINK, slotCount, slotSize)
}

// dial opens a Conn in the given groups, 0 for none, with n slots of size bytes.
func dial(cfg Config, groups uint32, n, size int) (*Conn, error) {
	if cfg.ReceiveBuffer < 0 {
		return nil, fmt.Errorf("receive buffer of %d bytes: want 0 or more", cfg.ReceiveBuffer)
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

// openSocket returns a nonblocking rtnetlink socket, a member of the given
// groups, and the port id that the kernel gave it.
func openSocket(groups uint32) (fd int, port uint32, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, 0, fmt.Errorf("open netlink socket: %w", err)
	}
	// Kernels that lack them (before 4.12 and 4.20) refuse, and are fine without:
	// texts of errors, and strict checking of what a dump request asks for.
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

// setReceiveBuffer asks for a receive buffer and returns what was granted.
// SO_RCVBUF cuts what it is asked for to net.core.rmem_max without a word;
// SO_RCVBUFFORCE does not, but needs CAP_NET_ADMIN (socket(7)).
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

// pollable gives fd to the runtime poller, which parks a goroutine that waits
// for it instead of a thread, and wakes it on close. It owns fd, also when it
// fails.
func pollable(fd int) (*os.File, syscall.RawConn, error) {
	file := os.NewFile(uintptr(fd), "netlink")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("poll netlink socket: %w", err)
	}
	return file, raw, nil
}

// ReceiveBuffer returns how many bytes of messages the kernel queues at most,
// in its own reckoning: it doubles what it is asked for, and charges each
// message with its bookkeeping (socket(7), SO_RCVBUF).
func (c *Conn) ReceiveBuffer() int { return c.granted }

// Stats returns the counters of c. They go on counting.
func (c *Conn) Stats() *Stats { return &c.stats }

// RequestLinkDump asks the kernel for all links, without their IPv6 statistics.
// The answer comes through Receive: NewLink messages with Dump set, then a
// DumpDone, all with the sequence number seq, which is never 0. It may be
// called while another goroutine is in Receive.
func (c *Conn) RequestLinkDump() (seq uint32, err error) {
	seq = c.dumps.issue()
	// A connectionless netlink socket sends to port 0, the kernel.
	if _, err := c.file.Write(appendDumpRequest(nil, seq)); err != nil {
		return 0, fmt.Errorf("request link dump: %w", err)
	}
	return seq, nil
}

// appendDumpRequest appends RTM_GETLINK for all links. With strict checking
// ifinfomsg must be whole and zero but for the family.
func appendDumpRequest(b []byte, seq uint32) []byte {
	start := len(b)
	b = AppendHeader(b, unix.RTM_GETLINK, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, seq, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, 0, 0, 0)
	b = AppendAttrUint32(b, unix.IFLA_EXT_MASK, rtextFilterSkipStats)
	FinishMessage(b, start)
	return b
}

// RequestLink asks the kernel for one link. The answer arrives as a live NewLink
// message; none arrives if the link is gone.
//
// Since Linux 6.14 (rtnl_getlink, net/core/rtnetlink.c) it first has the link's
// carrier change take effect that is still on its way to IFF_RUNNING, which a
// dump does not. It may be called from any goroutine.
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

// Receive fills b with what the kernel has queued, at least one datagram and
// no more than fit; it waits if there is nothing. All that b held is gone. A
// batch can turn out to hold no message of interest.
//
// It returns os.ErrClosed after Close, and ErrConcurrentUse if another
// goroutine is in it. Lost messages are no error but an Overrun in the batch.
// No other error is expected: close c and Dial again.
func (c *Conn) Receive(b *Batch) error {
	if !c.receiving.CompareAndSwap(false, true) {
		if c.closed.Load() { // it may be Close that is in there
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
		// Read fails with an error of its own, not os.ErrClosed; or it raced
		// with Close and has datagrams that nobody waits for any more.
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

// receive is the body of Receive. It returns false to be called again when
// the socket has become readable, true when c.batch or c.err is set.
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
			// Not told before the queue is empty: until then the kernel keeps
			// dropping, and a dump would be as old as what is queued.
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

// lose notes that messages were lost: an Overrun is due, and no dump requested
// until now is a complete picture.
func (c *Conn) lose() {
	c.overrun = true
	c.dumps.lose()
}

// growSlots makes the slots as large as the last batch turned out to need. If
// there is no memory, larger datagrams stay unreadable.
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
	c.slots.free() // the batch that points into it is over
	c.slots = larger
}

// fillBatch hands the n datagrams just received to c.batch, save those that
// must not be read.
func (c *Conn) fillBatch(n int) {
	c.lent.Store(true)
	c.stats.Datagrams.Add(uint64(n))
	for i := range n {
		data, sender, size := c.slots.datagram(i)
		switch {
		case sender != 0: // not the kernel; what it sent is no loss either
			c.stats.Forged.Add(1)
		case size == len(data):
			c.batch.datagrams = append(c.batch.datagrams, data)
		default:
			c.stats.Truncated.Add(1)
			c.cutDatagram(data, size)
		}
	}
}

// cutDatagram handles a datagram of size bytes of which only data fitted. Slots
// grow, and the resync that the loss leads to reads the link with larger slots.
//
// If slots cannot grow, asking again would have the same result. The messages
// before the cut and the name of the link at the cut are then handed out instead,
// and only what followed in the datagram, if anything did, counts as lost.
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

// Close closes the socket and wakes Receive, which returns os.ErrClosed. A
// second Close returns an error.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return fmt.Errorf("close netlink socket: %w", os.ErrClosed)
	}
	err := c.file.Close()
	// A receiver may still be reading its batch; its next Receive gives the
	// memory back. If there was no batch yet, and nobody waits for one, we do.
	if !c.lent.Load() && c.receiving.CompareAndSwap(false, true) {
		c.slots.free()
		c.receiving.Store(false)
	}
	if err != nil {
		return fmt.Errorf("close netlink socket: %w", err)
	}
	return nil
}

// discard is Close for the goroutine that receives, once it is through with its
// batches: it gives the memory back at once.
func (c *Conn) discard() {
	c.Close()
	c.slots.free()
}

// setDeadline makes Receive fail with os.ErrDeadlineExceeded from t on.
func (c *Conn) setDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }
