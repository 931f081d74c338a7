package netlinkraw

import (
	"fmt"
	"math/bits"
	"reflect"
	"syscall"

	"golang.org/x/sys/unix"
)

// This file receives many datagrams with one system call, without allocations and without package
// unsafe.
//
// recvmmsg(2) takes an array of struct mmsghdr, each with pointers to an address and to an iovec with
// a pointer to a buffer. Usual implementations use Go structs and unsafe pointers (x/sys/unix has no
// wrapper, and its Recvmsg allocates a sockaddr per datagram). Here all structures are in one
// anonymous memory mapping. It is not part of the Go heap, so it does not move, and the garbage
// collector ignores it. Addresses in it are plain numbers, which are written to the headers. Go code
// accesses it through a slice with bounds checks. The kernel never gets a Go pointer.
//
//	offset 0         n x struct mmsghdr
//	iovecs           n x struct iovec
//	names            n x struct sockaddr_nl, 16 bytes apart
//	data, aligned    n x size bytes
//
// Pages that were never written do not use memory.

const (
	// wordSize is the size in bytes of a pointer and of size_t in system calls.
	wordSize = bits.UintSize / 8

	// include/linux/socket.h, struct user_msghdr and struct mmsghdr, whose
	// members all begin at a multiple of a word:
	//
	//	void *		msg_name;
	//	int		msg_namelen;
	//	struct iovec *	msg_iov;
	//	size_t		msg_iovlen;
	//	void *		msg_control;
	//	size_t		msg_controllen;
	//	unsigned int	msg_flags;
	//	unsigned int	msg_len;	(of mmsghdr)
	offName    = 0 * wordSize
	offNamelen = 1 * wordSize
	offIov     = 2 * wordSize
	offIovlen  = 3 * wordSize
	offFlags   = 6 * wordSize
	offLen     = 7 * wordSize
	mmsghdrLen = 8 * wordSize

	// struct iovec { void *iov_base; size_t iov_len; };
	iovecLen = 2 * wordSize

	// struct sockaddr_nl {
	//	__kernel_sa_family_t	nl_family;	/* AF_NETLINK */
	//	unsigned short		nl_pad;
	//	__u32			nl_pid;		/* port id, 0 for the kernel */
	//	__u32			nl_groups;
	// };
	offPid   = 4
	nameLen  = unix.SizeofSockaddrNetlink
	nameStep = 16
)

const (
	// slotCount is the maximum number of datagrams per system call.
	slotCount = 32

	// slotSize is the initial size of a slot in bytes. Live link messages have 1 to 3 KiB. The
	// kernel limits the datagrams of a dump to the size of the reader's buffer, at most 32 KiB
	// (netlink_recvmsg and netlink_dump in net/netlink/af_netlink.c). The message of a link with
	// many alternative names (IFLA_PROP_LIST) can reach 70 KiB. Slots grow after a datagram was
	// truncated.
	slotSize = 16 << 10

	// slotLimit is the maximum size of a slot in bytes. Linux allocates messages with kmalloc,
	// whose limit KMALLOC_MAX_SIZE is 4 MiB with 4 KiB pages.
	slotLimit = 4 << 20

	// slotMemory is the maximum total size of a Conn's slots in bytes. Larger slots are fewer.
	slotMemory = 4 << 20
)

// slotsFor returns the number of slots, at most n, and the slot size that are needed to receive
// datagrams of need bytes. size is the current slot size.
func slotsFor(n, size, need int) (count, grown int) {
	for size < need {
		size *= 2
	}
	return max(1, min(n, slotMemory/size)), size
}

// slots is the memory for received datagrams.
type slots struct {
	mem         []byte
	base        uintptr // address of mem[0]
	n, size     int
	names, data int // offsets
	used        int // number of headers that the last receive wrote
}

// newSlots maps memory for n datagrams of up to size bytes.
func newSlots(n, size int) (*slots, error) {
	s := &slots{n: n, size: size}
	iovecs := n * mmsghdrLen
	s.names = iovecs + n*iovecLen
	page := unix.Getpagesize()
	s.data = (s.names + n*nameStep + page - 1) / page * page

	mem, err := unix.Mmap(-1, 0, s.data+n*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map read buffer: %w", err)
	}
	s.mem = mem
	s.base = reflect.ValueOf(mem).Pointer()

	for i := range n {
		hdr, iov := i*mmsghdrLen, iovecs+i*iovecLen
		s.putAddress(hdr+offName, s.names+i*nameStep)
		s.putAddress(hdr+offIov, iov)
		s.putWord(hdr+offIovlen, 1)
		s.putAddress(iov, s.data+i*size)
		s.putWord(iov+wordSize, uintptr(size))
	}
	s.used = n
	return s, nil
}

// putAddress stores the memory address of s.mem[to] as a pointer at s.mem[at:].
func (s *slots) putAddress(at, to int) { s.putWord(at, s.base+uintptr(to)) }

// putWord writes a word to mem[at:].
func (s *slots) putWord(at int, v uintptr) {
	if wordSize == 8 {
		native.PutUint64(s.mem[at:], uint64(v))
	} else {
		native.PutUint32(s.mem[at:], uint32(v))
	}
}

// receive reads up to n queued datagrams without waiting for datagrams and returns their number. It
// returns EAGAIN if the queue is empty. If an error occurs after the first datagram, the kernel returns
// it from the next call.
//
// During a dump, the call also generates the next part of the dump, for which it can wait for the rtnl
// lock. Otherwise it never blocks. If raw is set, receive hides the call from the Go scheduler, which
// the caller may do only if no dump is running. See the package documentation.
func (s *slots) receive(fd uintptr, raw bool) (int, syscall.Errno) {
	for i := range s.used { // the kernel overwrote the address length
		native.PutUint32(s.mem[i*mmsghdrLen+offNamelen:], nameLen)
	}
	s.used = 0
	call := unix.Syscall6
	if raw {
		call = unix.RawSyscall6
	}
	// With MSG_TRUNC, msg_len is the size before truncation.
	n, _, errno := call(unix.SYS_RECVMMSG, fd, s.base, uintptr(s.n), unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	s.used = int(n)
	return s.used, 0
}

// datagram returns the datagram in slot i, the port ID of its sender, and its size, which is larger
// than len(data) if the datagram was truncated. data is valid until the next receive.
func (s *slots) datagram(i int) (data []byte, sender uint32, size int) {
	hdr := s.mem[i*mmsghdrLen : (i+1)*mmsghdrLen]
	size = int(native.Uint32(hdr[offLen:]))
	if native.Uint32(hdr[offFlags:])&unix.MSG_TRUNC != 0 {
		size = max(size, s.size+1)
	}
	sender = native.Uint32(s.mem[s.names+i*nameStep+offPid:])
	start := s.data + i*s.size
	return s.mem[start : start+min(size, s.size) : start+s.size], sender, size
}

// free unmaps the memory. Slices returned by datagram must not be used afterwards; accessing them
// would crash the process.
func (s *slots) free() error {
	if s.mem == nil {
		return nil
	}
	mem := s.mem
	s.mem = nil
	return unix.Munmap(mem)
}
