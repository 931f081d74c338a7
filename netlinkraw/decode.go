package netlinkraw

import (
	"bytes"
	"syscall"

	"golang.org/x/sys/unix"
)

// result is the result of decoding one message.
type result uint8

const (
	decoded   result = iota
	ignored          // unused message type or content
	foreign          // reply to another socket's request
	malformed        // invalid length or content
)

// decode decodes a message with header h and the given payload into m. m is valid only if the
// result is decoded.
func (m *Message) decode(h header, payload []byte, dumps *dumpTracker) result {
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
		return decoded

	case unix.NLMSG_DONE:
		ours, known := dumps.part(h)
		if !known || !ours {
			return foreign
		}
		m.Type, m.Dump, m.Interrupted, m.Incomplete = DumpDone, true, dumps.interrupted, dumps.lossy(h.seq)
		dumps.interrupted, dumps.ended = false, h.seq
		// The payload is an int: 0 or a negative errno. Older kernels omit it for some dumps.
		if len(payload) >= 4 {
			m.Errno = errnoOf(payload)
		}
		return decoded

	case unix.NLMSG_ERROR:
		if len(payload) < errorLen {
			return malformed
		}
		if h.seq == 0 {
			return ignored // RequestLink for a link that does not exist
		}
		if !dumps.owns(h) {
			return foreign
		}
		m.Type, m.Dump, m.Errno = DumpDone, true, errnoOf(payload)
		if m.Errno == 0 {
			return ignored // an acknowledgement, not the end of a dump
		}
		return decoded

	case unix.NLMSG_OVERRUN:
		m.Type = Overrun
		return decoded
	}
	return ignored // NLMSG_NOOP and unknown types
}

// findCut finds the message that is truncated at the end of data. It returns the offset of the
// message and the offset of its end in the original datagram. ok reports whether the message is an
// RTM_NEWLINK with a complete index and name.
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

// decodeCut decodes a truncated RTM_NEWLINK into m.
func (m *Message) decodeCut(data []byte, dumps *dumpTracker) result {
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
	return decoded
}

// errnoOf returns the errno at the start of an NLMSG_ERROR or NLMSG_DONE payload, where it is
// stored as a negative number.
func errnoOf(payload []byte) syscall.Errno {
	e := int64(int32(native.Uint32(payload)))
	return syscall.Errno(max(e, -e))
}

// decode decodes the payload of an RTM_NEWLINK or RTM_DELLINK into l and reports whether it is well-formed.
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
		l.CarrierUp, l.CarrierDown = 0, 0 // ignore one count without the other
	}
	return true
}

// decodeInfo decodes struct ifinfomsg into l.
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

// decodeHead decodes the index, flags and name at the start of a payload. It reports whether the
// name is complete. The kernel writes the name first (rtnl_fill_ifinfo, net/core/rtnetlink.c).
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

// decodeKind returns IFLA_INFO_KIND from the attributes nested in IFLA_LINKINFO. It ignores
// IFLA_INFO_SLAVE_KIND, which is the kind of the link's master.
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

// untilNUL returns value up to its first NUL byte, or all of value if there is none.
func untilNUL(value []byte) []byte {
	if i := bytes.IndexByte(value, 0); i >= 0 {
		value = value[:i]
	}
	return value[:len(value):len(value)]
}

// getUint32 decodes value, which must have exactly 4 bytes, into dst.
func getUint32(dst *uint32, value []byte) bool {
	if len(value) != 4 {
		return false
	}
	*dst = native.Uint32(value)
	return true
}
