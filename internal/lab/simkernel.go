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

// SimKernel simulates the links of the kernel if network namespaces are forbidden. It has a table of veth
// pairs, and sends the messages of rtnetlink through [netlinkraw.Batch.Load]. The methods may be
// called from any goroutine, Receive from one at a time.
//
// Unlike the kernel it announces changes of the carrier at once, and has no bridges.
type SimKernel struct {
	// QueueLimit is the maximum number of queued datagrams, beyond which datagrams are lost and
	// an overrun is reported; 0 means no limit. Set it before use.
	QueueLimit int

	mu         sync.Mutex
	links      map[int32]*simLink
	lastIndex  int32
	lastSeq    uint32
	interrupts int // number of next dumps to interrupt
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
	carrierUp   uint32 // number of times the carrier came up
	carrierDown uint32
}

// NewSimKernel returns a kernel with only lo, which has index 1.
func NewSimKernel() *SimKernel {
	lo := &simLink{index: 1, name: "lo", up: true, carrier: true, mtu: 65536}
	return &SimKernel{links: map[int32]*simLink{1: lo}, lastIndex: 1, wake: make(chan struct{}, 1)}
}

// simBatch is the maximum number of datagrams per Receive.
const simBatch = 32

// Receive waits until a datagram is queued and fills b with the queued datagrams. It returns os.ErrClosed
// after Close.
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
		// Like netlinkraw.Conn: the overrun follows the queued datagrams.
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

// InterruptDumps sets NLM_F_DUMP_INTR in the next n dumps, as if links were created or deleted meanwhile.
func (k *SimKernel) InterruptDumps(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.interrupts = n
}

// RequestLink queues a live NewLink message for the link with this index, if it exists.
func (k *SimKernel) RequestLink(index int32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.links[index]; l != nil {
		k.announce(l, unix.RTM_NEWLINK)
	}
	return nil
}

// RequestLinkDump queues a NewLink message for each link and a DumpDone, all with the returned sequence
// number. QueueLimit does not apply to dumps.
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

// sorted returns the links by index, the order of a dump.
func (k *SimKernel) sorted() []*simLink {
	links := make([]*simLink, 0, len(k.links))
	for _, l := range k.links {
		links = append(links, l)
	}
	sort.Slice(links, func(i, j int) bool { return links[i].index < links[j].index })
	return links
}

// append appends a message with the state of l.
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

// flags returns the flags, like dev_get_flags in net/core/dev.c.
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

// errnoLink returns the error of a request, like that of [Links].
func errnoLink(what, name string, errno syscall.Errno) error {
	return fmt.Errorf("%s %q: %w", what, name, errno)
}
