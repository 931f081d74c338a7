package netlinkraw

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// MessageType is the type of a [Message].
type MessageType uint8

// Types of messages.
const (
	NewLink    MessageType = iota + 1 // RTM_NEWLINK: a link was created or changed, or is part of a dump
	DelLink                           // RTM_DELLINK: a link was deleted, or (AF_BRIDGE) left its bridge
	DumpDone                          // the answer to RequestLinkDump is complete or failed
	Overrun                           // messages were lost; request a dump
	Unreadable                        // RTM_NEWLINK that is too large to receive: the link exists, its state is unknown
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

// Message is a message from the kernel. The fields that are set depend on Type; the others are zero.
type Message struct {
	Type MessageType

	// Seq is the sequence number: in a dump that of RequestLinkDump, in a live message that of
	// the request that caused the change.
	Seq uint32
	// Dump is set if the message is part of the answer to the dump request Seq of this Conn.
	Dump bool

	// Interrupted is set in a DumpDone if links were created or deleted during the dump
	// (NLM_F_DUMP_INTR in any part). Links may be missing or repeated.
	Interrupted bool
	// Incomplete is set in a DumpDone if messages were lost since the request of the dump.
	// Links may be missing. An Overrun was returned before or follows.
	Incomplete bool
	// Errno is the error of a dump in a DumpDone; 0 for success.
	Errno syscall.Errno

	// Link is set in a NewLink and DelLink. In an Unreadable it has Index, Flags and Name only.
	Link Link
}

// Link is the state of a network interface in a link message.
type Link struct {
	Family uint8  // AF_UNSPEC, or AF_BRIDGE for a message about membership of a bridge
	Index  int32  // interface index, above 0
	Flags  uint32 // IFF_*
	MTU    uint32 // IFLA_MTU in bytes, if HasMTU
	Master int32  // IFLA_MASTER: index of its bridge or LAG, 0 for none

	// Name is IFLA_IFNAME without its NUL, at most 15 bytes; empty if absent.
	Name []byte
	// Address is IFLA_ADDRESS, the MAC address; empty if absent.
	Address []byte
	// Kind is IFLA_INFO_KIND, such as "veth" or "team"; empty for a plain
	// device, and in every AF_BRIDGE message.
	Kind []byte

	// CarrierUp and CarrierDown are IFLA_CARRIER_UP_COUNT and IFLA_CARRIER_DOWN_COUNT: the numbers
	// of carrier changes since the device was created. AF_BRIDGE messages do not have them.
	CarrierUp, CarrierDown uint32

	HasMTU           bool
	HasCarrierCounts bool // both counts were in the message
}

// Up reports whether the link is administratively up (IFF_UP).
func (l *Link) Up() bool { return l.Flags&unix.IFF_UP != 0 }

// Running reports whether the link is operational: up and with carrier (IFF_RUNNING).
func (l *Link) Running() bool { return l.Flags&unix.IFF_RUNNING != 0 }
