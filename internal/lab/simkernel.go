package lab

import (
	"fmt"
	"os"
	"sort"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// SimKernel simulates the kernel's links where network namespaces are forbidden. It holds a table
// of veth pairs and delivers rtnetlink messages with [netlinkraw.Batch.Load]. Its methods may be
// called from any goroutine, but Receive from only one at a time.
//
// A SimKernel differs from a real kernel in two ways: it announces carrier changes immediately, and
// it does not support bridges.
type SimKernel struct {
	// QueueLimit is the maximum number of queued datagrams; 0 means no limit. Datagrams beyond the
	// limit are lost and an overrun is reported. It must be set before use.
	QueueLimit int

	mu         sync.Mutex
	links      map[int32]*simLink
	lastIndex  int32
	lastSeq    uint32
	interrupts int // number of dumps still to be interrupted
	queue      [][]byte
	lost       bool // datagrams were lost since the queue was last empty
	closed     bool
	wake       chan struct{} // queue or closed changed; capacity 1
}

// simLink is a simulated interface.
type simLink struct {
	index       int32
	name, kind  string
	peer        *simLink
	up, carrier bool
	mtu         uint32
	carrierUp   uint32 // number of times the carrier came up
	carrierDown uint32
}

// NewSimKernel returns a kernel that has only lo, with index 1.
func NewSimKernel() *SimKernel {
	lo := &simLink{index: 1, name: "lo", up: true, carrier: true, mtu: 65536}
	return &SimKernel{links: map[int32]*simLink{1: lo}, lastIndex: 1, wake: make(chan struct{}, 1)}
}

// simBatch is the maximum number of datagrams returned by one Receive.
const simBatch = 32

// Receive waits until a datagram is queued, then fills b with the queued datagrams. It returns
// os.ErrClosed after Close.
func (k *SimKernel) Receive(b *netlinkraw.Batch) error {
	for {
		datagrams, err := k.take()
		if err != nil {
			return err
		}
		if len(datagrams) > 0 {
			b.Load(datagrams...)
			return nil
		}
		<-k.wake
	}
}

func (k *SimKernel) take() ([][]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		signal(k.wake) // for the next Receive
		return nil, os.ErrClosed
	}
	n := min(len(k.queue), simBatch)
	datagrams := k.queue[:n:n]
	k.queue = k.queue[n:]
	if len(k.queue) == 0 && k.lost {
		// As in netlinkraw.Conn, the overrun follows the queued datagrams.
		k.lost = false
		start := netlinkraw.AppendHeader(nil, unix.NLMSG_OVERRUN, 0, 0, 0)
		netlinkraw.FinishMessage(start, 0)
		datagrams = append(datagrams, start)
	}
	return datagrams, nil
}

// Close makes Receive return os.ErrClosed. Links can still be changed.
func (k *SimKernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	signal(k.wake)
	return nil
}

// InterruptDumps sets NLM_F_DUMP_INTR in the next n dumps, as if links had been created or deleted
// during the dump.
func (k *SimKernel) InterruptDumps(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.interrupts = n
}

// RequestLink queues a live NewLink message for the link with the given index, if it exists.
func (k *SimKernel) RequestLink(index int32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.links[index]; l != nil {
		k.announce(l, unix.RTM_NEWLINK)
	}
	return nil
}

// RequestLinkDump queues a NewLink message for each link and a DumpDone, all with the returned
// sequence number. Dumps are not subject to QueueLimit.
func (k *SimKernel) RequestLinkDump() (seq uint32, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return 0, fmt.Errorf("request link dump: %w", os.ErrClosed)
	}
	k.lastSeq++
	flags := uint16(unix.NLM_F_MULTI)
	if k.interrupts > 0 {
		k.interrupts--
		flags |= unix.NLM_F_DUMP_INTR
	}
	const datagramSize = 16 << 10 // similar to the kernel
	var datagram []byte
	for _, l := range k.sorted() {
		if len(datagram) > datagramSize {
			k.queue = append(k.queue, datagram)
			datagram = nil
		}
		datagram = l.append(datagram, unix.RTM_NEWLINK, flags, k.lastSeq)
	}
	k.queue = append(k.queue, datagram, netlinkraw.AppendDone(nil, k.lastSeq, 0, flags, 0))
	signal(k.wake)
	return k.lastSeq, nil
}

// sorted returns the links sorted by index, which is the order of a dump.
func (k *SimKernel) sorted() []*simLink {
	links := make([]*simLink, 0, len(k.links))
	for _, l := range k.links {
		links = append(links, l)
	}
	sort.Slice(links, func(i, j int) bool { return links[i].index < links[j].index })
	return links
}

// append appends a message with the current state of l.
func (l *simLink) append(b []byte, msgType, flags uint16, seq uint32) []byte {
	link := netlinkraw.Link{
		Index:            l.index,
		Name:             []byte(l.name),
		Kind:             []byte(l.kind),
		Flags:            l.flags(),
		MTU:              l.mtu,
		HasMTU:           true,
		CarrierUp:        l.carrierUp,
		CarrierDown:      l.carrierDown,
		HasCarrierCounts: true,
	}
	return netlinkraw.AppendLinkMessage(b, msgType, flags, seq, 0, &link)
}

// flags returns the interface flags, computed like dev_get_flags in net/core/dev.c.
func (l *simLink) flags() uint32 {
	flags := uint32(unix.IFF_BROADCAST | unix.IFF_MULTICAST)
	if l.name == "lo" {
		flags = unix.IFF_LOOPBACK
	}
	if l.up {
		flags |= unix.IFF_UP
	}
	if l.up && l.carrier {
		flags |= unix.IFF_RUNNING | unix.IFF_LOWER_UP
	}
	return flags
}

// announce queues a live message.
func (k *SimKernel) announce(l *simLink, msgType uint16) {
	if k.closed {
		return
	}
	if k.QueueLimit > 0 && len(k.queue) >= k.QueueLimit {
		k.lost = true
		return
	}
	k.queue = append(k.queue, l.append(nil, msgType, 0, 0))
	signal(k.wake)
}

// errnoLink returns an error in the same format as the methods of [Links].
func errnoLink(what, name string, errno syscall.Errno) error {
	return fmt.Errorf("%s %q: %w", what, name, errno)
}
