package netlinkraw

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// This file defines the wire format. It quotes the definitions in
// include/uapi/linux/{netlink,rtnetlink,if_link,if}.h. Integers are in the host's byte order.

// native is the byte order of netlink messages.
var native = binary.NativeEndian

const (
	// #define NLMSG_ALIGNTO	4U
	// #define NLA_ALIGNTO		4
	alignTo = 4

	// struct nlmsghdr {
	//	__u32 nlmsg_len;	/* length including header */
	//	__u16 nlmsg_type;
	//	__u16 nlmsg_flags;
	//	__u32 nlmsg_seq;
	//	__u32 nlmsg_pid;	/* port id of the process the message belongs to */
	// };
	headerLen = unix.SizeofNlMsghdr

	// struct ifinfomsg {
	//	unsigned char	ifi_family;
	//	unsigned char	__ifi_pad;
	//	unsigned short	ifi_type;	/* ARPHRD_* */
	//	int		ifi_index;
	//	unsigned	ifi_flags;	/* IFF_* */
	//	unsigned	ifi_change;	/* IFF_* change mask */
	// };
	ifinfoLen = unix.SizeofIfInfomsg

	// struct nlattr {
	//	__u16 nla_len;	/* length including this header, without padding */
	//	__u16 nla_type;
	// };
	attrHeaderLen = unix.SizeofNlAttr

	// struct nlmsgerr {
	//	int error;		/* negative errno, or 0 for an acknowledgement */
	//	struct nlmsghdr msg;	/* the request; with its payload unless NLM_F_CAPPED */
	// };
	errorLen = 4 + headerLen

	// #define NLA_F_NESTED		(1 << 15)
	// #define NLA_F_NET_BYTEORDER	(1 << 14)
	// #define NLA_TYPE_MASK		~(NLA_F_NESTED | NLA_F_NET_BYTEORDER)
	attrTypeMask = ^uint16(unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)

	// #define IFNAMSIZ 16, including the terminating NUL
	maxNameLen = unix.IFNAMSIZ - 1

	// #define RTEXT_FILTER_SKIP_STATS (1 << 3)
	// Omits the IPv6 counters (IFLA_INET6_STATS), 370 bytes per link that the kernel sums over all
	// CPUs, but not IFLA_STATS64.
	rtextFilterSkipStats = 1 << 3

	// NLMSGERR_ATTR_MSG: text of an extended acknowledgement
	errAttrMsg = 1
)

// header is a struct nlmsghdr without the length field.
type header struct {
	typ, flags uint16
	seq, port  uint32
}

// align rounds n up to a multiple of 4, like NLMSG_ALIGN and NLA_ALIGN.
func align(n int) int { return (n + alignTo - 1) &^ (alignTo - 1) }

// cutMessage splits data after its first message. It returns the header and payload of that message
// and the rest of data. ok is false if data does not begin with a complete message.
func cutMessage(data []byte) (h header, payload, rest []byte, ok bool) {
	if len(data) < headerLen {
		return header{}, nil, nil, false
	}
	n := native.Uint32(data)
	if n < headerLen || uint64(n) > uint64(len(data)) {
		return header{}, nil, nil, false
	}
	h = header{
		typ:   native.Uint16(data[4:]),
		flags: native.Uint16(data[6:]),
		seq:   native.Uint32(data[8:]),
		port:  native.Uint32(data[12:]),
	}
	end := min(align(int(n)), len(data)) // the last message may have no padding
	return h, data[headerLen:n], data[end:], true
}

// cutAttr splits data after its first attribute. It returns the type of that attribute without
// flags, its value, and the rest of data. ok is false if data does not begin with a complete
// attribute.
func cutAttr(data []byte) (typ uint16, value, rest []byte, ok bool) {
	if len(data) < attrHeaderLen {
		return 0, nil, nil, false
	}
	n := int(native.Uint16(data))
	if n < attrHeaderLen || n > len(data) {
		return 0, nil, nil, false
	}
	end := min(align(n), len(data)) // the last attribute may have no padding
	return native.Uint16(data[2:]) & attrTypeMask, data[attrHeaderLen:n], data[end:], true
}
