package portsync

import (
	"portsyncd/netlinkraw"

	"golang.org/x/sys/unix"
)

// nameSize is IFNAMSIZ of include/uapi/linux/if.h: room for a name of 15 bytes
// and its terminator.
const nameSize = unix.IFNAMSIZ

const (
	// kindSize is room for a link kind; the longest in Linux, "openvswitch", has 11
	// bytes. A longer one is cut off.
	kindSize = 24
	// addressSize is MAX_ADDR_LEN of include/linux/netdevice.h.
	addressSize = 32
)

// Event is one message of the kernel, reduced to what State and the log need. It
// holds no pointers: the ring of events is one allocation that the garbage collector
// does not scan.
type Event struct {
	Kind        netlinkraw.MessageType // what the message reports
	Dump        bool                   // NewLink: part of a dump
	Interrupted bool                   // DumpDone: the dump is not a consistent picture
	Incomplete  bool                   // DumpDone: messages were lost since the dump was requested; an Overrun came or comes
	Failed      bool                   // DumpDone: the kernel ended the dump with an error
	Team        bool                   // link kind is "team"
	Counted     bool                   // the message has the carrier changes; one of a bridge has not
	nameLen     uint8                  //
	Index       int32                  // ifindex
	Master      int32                  // ifindex of the bridge or bond, 0 if none
	Flags       uint32
	MTU         uint32
	CarrierUp   uint32 // carrier changes as the kernel counts them; 0 unless Counted
	CarrierDown uint32
	Seq         uint32 // DumpDone: which request it ends
	name        [nameSize]byte
	kindLen     uint8
	addressLen  uint8
	linkKind    [kindSize]byte    // for the log
	address     [addressSize]byte // likewise
	At          int64             // when the datagram was read, nanoseconds on the loop's clock
}

// Name returns the interface name. The bytes belong to the event.
func (e *Event) Name() []byte { return e.name[:e.nameLen] }

// SetName copies name into the event; what exceeds IFNAMSIZ-1 bytes is cut off.
func (e *Event) SetName(name []byte) {
	e.nameLen = uint8(copy(e.name[:nameSize-1], name))
}

// Admin reports IFF_UP, which STATE_DB calls admin_status.
func (e *Event) Admin() bool { return e.Flags&unix.IFF_UP != 0 }

// Oper reports IFF_RUNNING, which STATE_DB calls netdev_oper_status.
func (e *Event) Oper() bool { return e.Flags&unix.IFF_RUNNING != 0 }

// unsettled reports a link that has carrier and does not run. As a rule its
// carrier came a moment ago and the kernel has yet to act on it (linkwatch); a
// dump that falls into this moment would have the port go down and up again in
// STATE_DB. Asking for the link alone gives the settled state.
func (e *Event) unsettled() bool {
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	return e.Flags&(up|unix.IFF_RUNNING) == up
}

// fill copies what a decision can need out of a decoded message, whose slices
// live only until the next Receive.
func (e *Event) fill(m *netlinkraw.Message, at int64) {
	*e = Event{Kind: m.Type, Dump: m.Dump, Seq: m.Seq, At: at}
	if m.Type == netlinkraw.DumpDone {
		e.Interrupted, e.Incomplete, e.Failed = m.Interrupted, m.Incomplete, m.Errno != 0
		return
	}
	l := &m.Link
	e.Index, e.Master, e.Flags, e.MTU = l.Index, l.Master, l.Flags, l.MTU
	e.CarrierUp, e.CarrierDown, e.Counted = l.CarrierUp, l.CarrierDown, l.HasCarrierCounts
	e.Team = string(l.Kind) == "team"
	e.SetName(l.Name)
	e.kindLen = uint8(copy(e.linkKind[:], l.Kind))
	e.addressLen = uint8(copy(e.address[:], l.Address))
}
