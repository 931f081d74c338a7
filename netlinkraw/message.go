package netlinkraw

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// MessageType says what a [Message] reports.
type MessageType uint8

// The kinds of [Message].
const (
	NewLink    MessageType = iota + 1 // RTM_NEWLINK: a link exists, or is as told
	DelLink                           // RTM_DELLINK: a link is gone, or (AF_BRIDGE) left its bridge
	DumpDone                          // the answer to RequestLinkDump has ended
	Overrun                           // messages were lost: dump again
	Unreadable                        // RTM_NEWLINK too large to be received: the link exists, its state is unknown
)

// String returns the name of t, such as "newlink".
func (t MessageType) String() string {
	switch t {
	case NewLink:
		return "newlink"
	case DelLink:
		return "dellink"
	case DumpDone:
		return "dumpdone"
	case Overrun:
		return "overrun"
	case Unreadable:
		return "unreadable"
	}
	return "MessageType(" + strconv.Itoa(int(t)) + ")"
}

// Message is one thing the kernel said. Which fields have a meaning depends on
// Type; the others are zero.
type Message struct {
	Type MessageType

	// Seq is the number in the message. For a Dump it is what RequestLinkDump
	// returned; a live message carries that of whoever caused it.
	Seq uint32
	// Dump is set if the message is part of the answer to our own dump request
	// Seq, and not a live change.
	Dump bool

	// Interrupted, of a DumpDone: links came or went during the dump
	// (NLM_F_DUMP_INTR on any of its parts), so it may lack or repeat some.
	Interrupted bool
	// Incomplete, of a DumpDone: messages were lost since the dump was requested, so
	// it may lack some. An Overrun was delivered before or follows.
	Incomplete bool
	// Errno, of a DumpDone: the dump failed, or was refused. 0 is success.
	Errno syscall.Errno

	// Link, of a NewLink or DelLink. Of an Unreadable it has Index, Flags and Name.
	Link Link
}

// Link is what a link message says about one network interface.
type Link struct {
	Family uint8  // AF_UNSPEC, or AF_BRIDGE for a message about membership of a bridge
	Index  int32  // interface index, above 0
	Flags  uint32 // IFF_*
	MTU    uint32 // IFLA_MTU in bytes, if HasMTU
	Master int32  // IFLA_MASTER: index of the bridge or LAG it belongs to, 0 for none

	// Name is IFLA_IFNAME without its NUL, at most 15 bytes; empty if absent.
	Name []byte
	// Address is IFLA_ADDRESS, the MAC address; empty if absent.
	Address []byte
	// Kind is IFLA_INFO_KIND, such as "veth" or "team"; empty for a plain
	// device, and in every AF_BRIDGE message.
	Kind []byte

	// CarrierUp and CarrierDown are IFLA_CARRIER_UP_COUNT and
	// IFLA_CARRIER_DOWN_COUNT: how often the carrier came and went since the
	// device was made. AF_BRIDGE messages do not have them.
	CarrierUp, CarrierDown uint32

	HasMTU           bool
	HasCarrierCounts bool // both counts were in the message
}

// Up reports whether the link is administratively up (IFF_UP).
func (l *Link) Up() bool { return l.Flags&unix.IFF_UP != 0 }

// Running reports whether the link is operational (IFF_RUNNING): up and with a
// carrier.
func (l *Link) Running() bool { return l.Flags&unix.IFF_RUNNING != 0 }
