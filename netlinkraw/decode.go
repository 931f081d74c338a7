package netlinkraw

import (
	"bytes"
	"syscall"

	"golang.org/x/sys/unix"
)

// verdict says what became of one message.
type verdict uint8

const (
	taken     verdict = iota // decoded
	ignored                  // of no interest
	foreign                  // answer to somebody else's request
	malformed                // not as the kernel writes it
)

// decode sets m to the message with header h and the given payload. Unless it
// returns taken, m is of no use.
func (m *Message) decode(h header, payload []byte, dumps *dumpTracker) verdict {
	*m = Message{Seq: h.seq}
	switch h.typ {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		m.Type = NewLink
		if h.typ == unix.RTM_DELLINK {
			m.Type = DelLink
		}
		ours, known := dumps.part(h)
		if !known {
			return foreign
		}
		m.Dump = ours
		if !m.Link.decode(payload) {
			return malformed
		}
		return taken

	case unix.NLMSG_DONE:
		ours, known := dumps.part(h)
		if !known || !ours {
			return foreign
		}
		m.Type, m.Dump, m.Interrupted, m.Incomplete = DumpDone, true, dumps.interrupted, dumps.lossy(h.seq)
		dumps.interrupted = false
		// The kernel puts an int there, 0 or a negative errno; older ones
		// ended some dumps without.
		if len(payload) >= 4 {
			m.Errno = errnoOf(payload)
		}
		return taken

	case unix.NLMSG_ERROR:
		if len(payload) < errorLen {
			return malformed
		}
		if h.seq == 0 {
			return ignored // RequestLink for a link that is gone
		}
		if !dumps.owns(h) {
			return foreign
		}
		m.Type, m.Dump, m.Errno = DumpDone, true, errnoOf(payload)
		if m.Errno == 0 {
			return ignored // an acknowledgement, not an end
		}
		return taken

	case unix.NLMSG_OVERRUN:
		m.Type = Overrun
		return taken
	}
	return ignored // NLMSG_NOOP and whatever else
}

// findCut returns where the message begins that the end of data cuts off, and
// where it ends in the whole datagram. ok is false unless it is an RTM_NEWLINK
// whose index and name can be read.
func findCut(data []byte) (at, end int, ok bool) {
	rest := data
	for {
		_, _, next, whole := cutMessage(rest)
		if !whole {
			break
		}
		rest = next
	}
	at = len(data) - len(rest)
	if len(rest) < headerLen {
		return at, at, false
	}
	var l Link
	ok = native.Uint16(rest[4:]) == unix.RTM_NEWLINK && l.decodeHead(rest[headerLen:])
	return at, at + align(int(native.Uint32(rest))), ok
}

// decodeCut sets m from the beginning of an RTM_NEWLINK.
func (m *Message) decodeCut(data []byte, dumps *dumpTracker) verdict {
	if len(data) < headerLen || native.Uint16(data[4:]) != unix.RTM_NEWLINK {
		return malformed
	}
	h := header{
		typ:   native.Uint16(data[4:]),
		flags: native.Uint16(data[6:]),
		seq:   native.Uint32(data[8:]),
		port:  native.Uint32(data[12:]),
	}
	ours, known := dumps.part(h)
	if !known {
		return foreign
	}
	*m = Message{Type: Unreadable, Seq: h.seq, Dump: ours}
	if !m.Link.decodeHead(data[headerLen:]) {
		return malformed
	}
	return taken
}

// errnoOf returns the error number with which the payload of an NLMSG_ERROR or
// NLMSG_DONE begins. The kernel writes it negated.
func errnoOf(payload []byte) syscall.Errno {
	e := int64(int32(native.Uint32(payload)))
	return syscall.Errno(max(e, -e))
}

// decode sets l from the payload of an RTM_NEWLINK or RTM_DELLINK and reports
// whether it was well-formed.
func (l *Link) decode(payload []byte) bool {
	if !l.decodeInfo(payload) {
		return false
	}
	var hasUp, hasDown bool
	for attrs := payload[ifinfoLen:]; len(attrs) >= attrHeaderLen; {
		typ, value, rest, ok := cutAttr(attrs)
		if !ok {
			return false
		}
		attrs = rest
		switch typ {
		case unix.IFLA_IFNAME:
			l.Name = untilNUL(value)
			ok = len(l.Name) <= maxNameLen
		case unix.IFLA_ADDRESS:
			l.Address = value[:len(value):len(value)]
		case unix.IFLA_MTU:
			ok = getUint32(&l.MTU, value)
			l.HasMTU = true
		case unix.IFLA_MASTER:
			var master uint32
			ok = getUint32(&master, value)
			l.Master = int32(master)
		case unix.IFLA_LINKINFO:
			l.Kind, ok = decodeKind(value)
		case unix.IFLA_CARRIER_UP_COUNT:
			ok = getUint32(&l.CarrierUp, value)
			hasUp = true
		case unix.IFLA_CARRIER_DOWN_COUNT:
			ok = getUint32(&l.CarrierDown, value)
			hasDown = true
		}
		if !ok {
			return false
		}
	}
	if l.HasCarrierCounts = hasUp && hasDown; !l.HasCarrierCounts {
		l.CarrierUp, l.CarrierDown = 0, 0 // one without the other tells nothing
	}
	return true
}

// decodeInfo sets l from struct ifinfomsg.
func (l *Link) decodeInfo(payload []byte) bool {
	if len(payload) < ifinfoLen {
		return false
	}
	*l = Link{
		Family: payload[0],
		Index:  int32(native.Uint32(payload[4:])),
		Flags:  native.Uint32(payload[8:]),
	}
	return l.Index > 0
}

// decodeHead sets index, flags and name from the beginning of a payload and
// reports whether the name was in it. The kernel writes it first
// (rtnl_fill_ifinfo, net/core/rtnetlink.c).
func (l *Link) decodeHead(payload []byte) bool {
	if !l.decodeInfo(payload) {
		return false
	}
	for attrs := payload[ifinfoLen:]; ; {
		typ, value, rest, ok := cutAttr(attrs)
		if !ok {
			return false
		}
		if typ == unix.IFLA_IFNAME {
			l.Name = untilNUL(value)
			return len(l.Name) > 0 && len(l.Name) <= maxNameLen
		}
		attrs = rest
	}
}

// decodeKind finds IFLA_INFO_KIND in the nested attributes of IFLA_LINKINFO.
// IFLA_INFO_SLAVE_KIND beside it is the kind of the master, not of the link.
func decodeKind(info []byte) (kind []byte, ok bool) {
	for len(info) >= attrHeaderLen {
		typ, value, rest, ok := cutAttr(info)
		if !ok {
			return nil, false
		}
		if typ == unix.IFLA_INFO_KIND {
			kind = untilNUL(value)
		}
		info = rest
	}
	return kind, true
}

// untilNUL returns value up to its first NUL, or all of it. The kernel
// terminates its strings, but a string attribute need not be.
func untilNUL(value []byte) []byte {
	if i := bytes.IndexByte(value, 0); i >= 0 {
		value = value[:i]
	}
	return value[:len(value):len(value)]
}

// getUint32 sets dst from an attribute of exactly 4 bytes.
func getUint32(dst *uint32, value []byte) bool {
	if len(value) != 4 {
		return false
	}
	*dst = native.Uint32(value)
	return true
}
