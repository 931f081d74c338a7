package netlinkraw

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// MessageType is the type of a [Message].
type MessageType uint8

// Message types.
const (
	NewLink    MessageType = iota + 1 // RTM_NEWLINK: a link was created or changed, or is part of a dump
	DelLink                           // RTM_DELLINK: a link was deleted, or (AF_BRIDGE) left its bridge
	DumpDone                          // the dump requested with RequestLinkDump is complete or failed
	Overrun                           // messages were lost; the caller must request a dump
	Unreadable                        // RTM_NEWLINK too large to receive; the link's state is unknown
)

// String returns the name of the message type, such as "newlink".
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

// Message is a message from the kernel. Type determines which fields are set; the others are zero.
type Message struct {
	Type MessageType

	// Seq is the sequence number. For a message of a dump, RequestLinkDump returned it. For a live
	// message, it is the number of the request that caused the change.
	Seq uint32
	// Dump is set if the message is part of the reply to this Conn's dump request Seq.
	Dump bool

	// Interrupted is set in a DumpDone if links were created or deleted during the dump (any
	// message had NLM_F_DUMP_INTR). Links may be missing or repeated.
	Interrupted bool
	// Incomplete is set in a DumpDone if messages have been lost since the dump was requested.
	// Links may be missing. An Overrun has been returned or will follow.
	Incomplete bool
	// Errno is the dump's error in a DumpDone, or 0 for success.
	Errno syscall.Errno

	// Link is set in NewLink and DelLink messages. In an Unreadable message only Index, Flags and
	// Name are set.
	Link Link
}

// Link is the state of a network interface in a link message.
type Link struct {
	Family uint8  // AF_UNSPEC, or AF_BRIDGE in a message about bridge membership
	Index  int32  // interface index, greater than 0
	Flags  uint32 // IFF_*
	MTU    uint32 // IFLA_MTU in bytes; valid if HasMTU is set
	Master int32  // IFLA_MASTER: index of the link's bridge or LAG, or 0

	// Name is IFLA_IFNAME without the terminating NUL, at most 15 bytes. It is empty if absent.
	Name []byte
	// Address is IFLA_ADDRESS, the MAC address. It is empty if absent.
	Address []byte
	// Kind is IFLA_INFO_KIND, such as "veth" or "team". It is empty for devices without a kind and
	// in all AF_BRIDGE messages.
	Kind []byte

	// CarrierUp and CarrierDown are IFLA_CARRIER_UP_COUNT and IFLA_CARRIER_DOWN_COUNT, the numbers
	// of carrier changes since the device was created. AF_BRIDGE messages do not contain them.
	CarrierUp, CarrierDown uint32

	HasMTU           bool
	HasCarrierCounts bool // the message contained both counts
}

// LinkState holds the properties of a network interface that portsyncd publishes and records. Its
// JSON form is part of the state file.
type LinkState struct {
	Index       int32  `json:"ifindex"` // 0 if the interface does not exist
	Admin       bool   `json:"admin"`   // IFF_UP
	Oper        bool   `json:"oper"`    // IFF_RUNNING
	MTU         uint32 `json:"mtu"`     // in bytes
	CarrierUp   uint32 `json:"carrier_up"`
	CarrierDown uint32 `json:"carrier_down"` // see Link for both counts
}

// Up reports whether the link is administratively up (IFF_UP).
func (l *Link) Up() bool { return l.Flags&unix.IFF_UP != 0 }

// Running reports whether the link is operational (IFF_RUNNING): administratively up and with
// carrier.
func (l *Link) Running() bool { return l.Flags&unix.IFF_RUNNING != 0 }
