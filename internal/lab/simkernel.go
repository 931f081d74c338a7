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

// SimKernel stands in for the kernel's links where network namespaces are
// forbidden. It keeps a table of veth pairs and announces changes in the bytes
// that rtnetlink would send, through [netlinkraw.Batch.Load]. Its methods may
// be called from any goroutine, Receive from one at a time.
//
// It differs from the kernel in that a change of carrier is announced at once,
// and in that it knows no bridges.
type SimKernel struct {
	// QueueLimit is how many datagrams wait to be received before more are
	// lost and an overrun is told; 0 means no limit. Set it before use.
	QueueLimit int

	mu         sync.Mutex
	links      map[int32]*simLink
	lastIndex  int32
	lastSeq    uint32
	interrupts int // how many dumps are yet to be interrupted
	queue      [][]byte
	lost       bool // datagrams were lost since the queue was last empty
	closed     bool
	wake       chan struct{} // queue or closed changed; capacity 1
}

// simLink is one interface.
type simLink struct {
	index       int32
	name, kind  string
	peer        *simLink
	up, carrier bool
	mtu         uint32
	carrierUp   uint32 // how often the carrier came
	carrierDown uint32
}

// NewSimKernel returns a kernel that has lo only, with index 1.
func NewSimKernel() *SimKernel {
	lo := &simLink{index: 1, name: "lo", up: true, carrier: true, mtu: 65536}
	return &SimKernel{links: map[int32]*simLink{1: lo}, lastIndex: 1, wake: make(chan struct{}, 1)}
}

// simBatch is how many datagrams one Receive gives at most.
const simBatch = 32

// Receive fills b with what is queued, at least one datagram; it waits if there
// is nothing. After Close it returns os.ErrClosed.
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
		// As netlinkraw.Conn: told when what survived has been received.
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

// InterruptDumps makes the next n dumps end with NLM_F_DUMP_INTR, as if links
// had come or gone meanwhile.
func (k *SimKernel) InterruptDumps(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.interrupts = n
}

// RequestLink queues a live NewLink message for one link, if there is one of
// that index.
func (k *SimKernel) RequestLink(index int32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.links[index]; l != nil {
		k.announce(l, unix.RTM_NEWLINK)
	}
	return nil
}

// RequestLinkDump queues a NewLink message for each link and a DumpDone, all
// with the sequence number that it returns. A dump is never lost.
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
	const datagramSize = 16 << 10 // about as the kernel's
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

// sorted returns the links by index, as the kernel dumps them.
func (k *SimKernel) sorted() []*simLink {
	links := make([]*simLink, 0, len(k.links))
	for _, l := range k.links {
		links = append(links, l)
	}
	sort.Slice(links, func(i, j int) bool { return links[i].index < links[j].index })
	return links
}

// append appends the message that tells how l is.
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

// flags are those that dev_get_flags in net/core/dev.c reports.
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

// announce queues one message to those that listen.
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

// errnoLink is the error of a request, as [Links] gives it.
func errnoLink(what, name string, errno syscall.Errno) error {
	return fmt.Errorf("%s %q: %w", what, name, errno)
}
