package portsync

import (
	"portsyncd/netlinkraw"

	"golang.org/x/sys/unix"
)

// nameSize is IFNAMSIZ from include/uapi/linux/if.h: up to 15 bytes and a terminating null byte.
const nameSize = unix.IFNAMSIZ

const (
	// kindSize is the maximum length of a link kind. Longer kinds are truncated. The longest kind
	// in Linux, "openvswitch", has 11 bytes.
	kindSize = 24
	// addressSize is MAX_ADDR_LEN from include/linux/netdevice.h.
	addressSize = 32
)

// Event is one kernel message, reduced to the fields that State and the log use. It contains no
// pointers, so the garbage collector does not scan the ring of events.
type Event struct {
	Kind        netlinkraw.MessageType // type of the message
	Dump        bool                   // NewLink: the message is part of a dump
	Interrupted bool                   // DumpDone: links changed during the dump
	Incomplete  bool                   // DumpDone: messages were lost since the request; an Overrun was or will be reported
	Failed      bool                   // DumpDone: the kernel ended the dump with an error
	Team        bool                   // the link kind is "team"
	Counted     bool                   // the message has carrier counts; bridge messages have none
	nameLen     uint8                  //
	Index       int32                  // ifindex
	Master      int32                  // ifindex of the bridge or bond; 0 if none
	Flags       uint32                 // IFF_*
	MTU         uint32                 // in bytes
	CarrierUp   uint32                 // link-up transitions counted by the kernel; 0 unless Counted
	CarrierDown uint32                 // link-down transitions, likewise
	Seq         uint32                 // DumpDone: sequence number of the dump request
	name        [nameSize]byte
	kindLen     uint8
	addressLen  uint8
	linkKind    [kindSize]byte    // for the log
	address     [addressSize]byte // likewise
	At          int64             // when the datagram was read, nanoseconds on the loop's clock
}

// Name returns the interface name. The slice aliases the event and is valid as long as the event.
func (e *Event) Name() []byte { return e.name[:e.nameLen] }

// SetName sets the interface name. Names longer than IFNAMSIZ-1 bytes are truncated.
func (e *Event) SetName(name []byte) {
	e.nameLen = uint8(copy(e.name[:nameSize-1], name))
}

// Admin reports whether the interface is administratively up (IFF_UP), which is admin_status in
// STATE_DB.
func (e *Event) Admin() bool { return e.Flags&unix.IFF_UP != 0 }

// Oper reports whether the interface is operational (IFF_RUNNING), which is netdev_oper_status in
// STATE_DB.
func (e *Event) Oper() bool { return e.Flags&unix.IFF_RUNNING != 0 }

// unsettled reports whether the link has carrier but is not running. This usually means that the
// carrier has just come up and the kernel (linkwatch) has not processed it yet. Writing the state
// of such a dump message would set the port down in STATE_DB for a moment. A request for this link
// returns its settled state.
func (e *Event) unsettled() bool {
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	return e.Flags&(up|unix.IFF_RUNNING) == up
}

// fill copies a decoded message, whose slices are valid only until the next call of Receive. at is
// the time of the read on the loop's clock.
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
