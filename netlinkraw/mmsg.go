package netlinkraw

import (
	"fmt"
	"math/bits"
	"reflect"
	"syscall"

	"golang.org/x/sys/unix"
)

// Receiving many datagrams with one system call, without an allocation and
// without package unsafe.
//
// recvmmsg(2) takes an array of struct mmsghdr, each of which points to a name,
// to an iovec, and through it to a buffer. In Go that is commonly built of Go
// structs and unsafe pointers (x/sys/unix has no wrapper, and its Recvmsg
// allocates a sockaddr per datagram). Here all of it lies in one anonymous
// memory mapping instead. It is no part of the Go heap, so it does not move
// and the collector does not look at it; its address is a plain number, which
// is written into the headers as such; and Go code reads and writes it through
// the slice, with every index checked. No Go pointer ever goes to the kernel.
//
//	offset 0         n x struct mmsghdr
//	iovecs           n x struct iovec
//	names            n x struct sockaddr_nl, 16 bytes apart
//	data, aligned    n x size bytes
//
// Pages of data that were never received into cost no memory.

const (
	// wordSize is the size of a pointer and of size_t in a system call.
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
	// slotCount is the largest number of datagrams that one system call returns.
	slotCount = 32

	// slotSize is the initial size of a slot. A live link message has 1 to 3 KiB,
	// and the kernel limits the parts of a dump to what the reader offers, at most
	// 32 KiB (netlink_recvmsg and netlink_dump in net/netlink/af_netlink.c). Neither
	// is an upper bound: one link with alternative names (IFLA_PROP_LIST) takes up to
	// 70 KiB, alone as in a dump, and slots grow when a datagram did not fit.
	slotSize = 32 << 10

	// slotLimit is the size up to which slots grow. Linux allocates a message with
	// kmalloc, whose limit KMALLOC_MAX_SIZE is 4 MiB with pages of 4 KiB.
	slotLimit = 4 << 20

	// slotMemory limits the slots of one Conn together: with larger slots there
	// are fewer.
	slotMemory = 4 << 20
)

// slotsFor returns how many slots, at most n, and of what size hold datagrams of
// need bytes; size is the present size.
func slotsFor(n, size, need int) (count, grown int) {
	for size < need {
		size *= 2
	}
	return max(1, min(n, slotMemory/size)), size
}

// slots is the memory that datagrams are received into.
type slots struct {
	mem         []byte
	base        uintptr // address of mem[0]
	n, size     int
	names, data int // offsets
	used        int // headers that the last receive has written to
}

// newSlots maps room for n datagrams of size bytes.
func newSlots(n, size int) (*slots, error) {
	s := &slots{n: n, size: size}
	iovecs := n * mmsghdrLen
	s.names = iovecs + n*iovecLen
	page := unix.Getpagesize()
	s.data = (s.names + n*nameStep + page - 1) / page * page

	mem, err := unix.Mmap(-1, 0, s.data+n*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map receive buffer: %w", err)
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

// putAddress writes the address of mem[to] to mem[at:].
func (s *slots) putAddress(at, to int) { s.putWord(at, s.base+uintptr(to)) }

// putWord writes a word to mem[at:].
func (s *slots) putWord(at int, v uintptr) {
	if wordSize == 8 {
		native.PutUint64(s.mem[at:], uint64(v))
	} else {
		native.PutUint32(s.mem[at:], uint32(v))
	}
}

// receive takes up to n queued datagrams from the socket without waiting. It
// returns how many, or the error with none: EAGAIN if there is none. An error
// that comes after some datagrams is kept by the kernel for the next call.
func (s *slots) receive(fd uintptr) (int, syscall.Errno) {
	for i := range s.used { // the kernel wrote the length of the name it found
		native.PutUint32(s.mem[i*mmsghdrLen+offNamelen:], nameLen)
	}
	s.used = 0
	// Not RawSyscall6: generating the next part of a dump waits for the
	// kernel's rtnl lock. MSG_TRUNC makes msg_len the size of the datagram, not of
	// what fitted.
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, s.base, uintptr(s.n), unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	s.used = int(n)
	return s.used, 0
}

// datagram returns what receive put into slot i: its bytes, valid until the
// next receive, the port id of its sender, and the size of the datagram, which is
// larger than len(data) if its end was cut off.
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

// free gives the memory back. Slices from datagram must not be used any more:
// reading through them would end the process.
func (s *slots) free() error {
	if s.mem == nil {
		return nil
	}
	mem := s.mem
	s.mem = nil
	return unix.Munmap(mem)
}
