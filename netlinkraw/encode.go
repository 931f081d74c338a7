package netlinkraw

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// AppendHeader appends a struct nlmsghdr to b and returns the extended slice. Its length is set by
// [FinishMessage].
func AppendHeader(b []byte, msgType, flags uint16, seq, pid uint32) []byte {
	b = native.AppendUint32(b, 0)
	b = native.AppendUint16(b, msgType)
	b = native.AppendUint16(b, flags)
	b = native.AppendUint32(b, seq)
	return native.AppendUint32(b, pid)
}

// FinishMessage sets the length of the message that starts at b[start] and extends to the end of b.
// The Append functions pad to 4 bytes, so another message can be appended.
func FinishMessage(b []byte, start int) {
	native.PutUint32(b[start:], uint32(len(b)-start))
}

// AppendIfinfomsg appends a struct ifinfomsg. change is the mask of flags that a request modifies.
func AppendIfinfomsg(b []byte, family uint8, index int32, flags, change uint32) []byte {
	b = append(b, family, 0, 0, 0) // ifi_type is 0 in requests
	b = native.AppendUint32(b, uint32(index))
	b = native.AppendUint32(b, flags)
	return native.AppendUint32(b, change)
}

// AppendAttr appends an attribute with the given value and pads it to 4 bytes. The attribute,
// including its 4-byte header, must be shorter than 64 KiB.
func AppendAttr(b []byte, attrType uint16, value []byte) []byte {
	b, start := BeginNested(b, attrType)
	b = append(b, value...)
	return EndNested(b, start)
}

// AppendAttrString appends an attribute that holds value as a NUL-terminated string.
func AppendAttrString[S string | []byte](b []byte, attrType uint16, value S) []byte {
	b, start := BeginNested(b, attrType)
	b = append(b, value...)
	b = append(b, 0)
	return EndNested(b, start)
}

// AppendAttrUint32 appends an attribute that holds a 32-bit integer.
func AppendAttrUint32(b []byte, attrType uint16, value uint32) []byte {
	b, start := BeginNested(b, attrType)
	b = native.AppendUint32(b, value)
	return EndNested(b, start)
}

// BeginNested appends the header of a nested attribute and returns its offset, which must be passed
// to [EndNested] after the value has been appended. rtnetlink does not require NLA_F_NESTED in
// attrType.
func BeginNested(b []byte, attrType uint16) ([]byte, int) {
	start := len(b)
	b = native.AppendUint16(b, 0)
	return native.AppendUint16(b, attrType), start
}

// EndNested sets the length of the attribute that starts at b[start] and appends padding.
func EndNested(b []byte, start int) []byte {
	native.PutUint16(b[start:], uint16(len(b)-start))
	for i := len(b) - start; i%alignTo != 0; i++ {
		b = append(b, 0)
	}
	return b
}

// AppendLinkMessage appends an RTM_NEWLINK or RTM_DELLINK message for l, as the kernel would send
// it. It omits attributes that l does not have.
func AppendLinkMessage(b []byte, msgType, flags uint16, seq, pid uint32, l *Link) []byte {
	start := len(b)
	b = AppendHeader(b, msgType, flags, seq, pid)
	b = AppendIfinfomsg(b, l.Family, l.Index, l.Flags, 0)
	if len(l.Name) > 0 {
		b = AppendAttrString(b, unix.IFLA_IFNAME, l.Name)
	}
	if len(l.Address) > 0 {
		b = AppendAttr(b, unix.IFLA_ADDRESS, l.Address)
	}
	if l.HasMTU {
		b = AppendAttrUint32(b, unix.IFLA_MTU, l.MTU)
	}
	if l.Master != 0 {
		b = AppendAttrUint32(b, unix.IFLA_MASTER, uint32(l.Master))
	}
	if l.HasCarrierCounts {
		b = AppendAttrUint32(b, unix.IFLA_CARRIER_UP_COUNT, l.CarrierUp)
		b = AppendAttrUint32(b, unix.IFLA_CARRIER_DOWN_COUNT, l.CarrierDown)
	}
	if len(l.Kind) > 0 {
		var info int
		b, info = BeginNested(b, unix.IFLA_LINKINFO)
		b = AppendAttrString(b, unix.IFLA_INFO_KIND, l.Kind)
		b = EndNested(b, info)
	}
	FinishMessage(b, start)
	return b
}

// AppendDone appends the message that ends a dump (NLMSG_DONE). flags must contain NLM_F_MULTI, and
// also NLM_F_DUMP_INTR if the dump was interrupted. errno is 0 for success.
func AppendDone(b []byte, seq, pid uint32, flags uint16, errno syscall.Errno) []byte {
	start := len(b)
	b = AppendHeader(b, unix.NLMSG_DONE, flags, seq, pid)
	b = native.AppendUint32(b, uint32(-int32(errno)))
	FinishMessage(b, start)
	return b
}
