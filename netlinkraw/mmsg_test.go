package netlinkraw

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMmsghdrLayout compares the offsets in mmsg.go with the structs of x/sys/unix for this
// architecture.
func TestMmsghdrLayout(t *testing.T) {
	msghdr, iovec, name := reflect.TypeFor[unix.Msghdr](), reflect.TypeFor[unix.Iovec](), reflect.TypeFor[unix.RawSockaddrNetlink]()
	f := func(typ reflect.Type, field string, want uintptr) {
		t.Helper()
		got, ok := typ.FieldByName(field)
		if !ok || got.Offset != want {
			t.Errorf("%v.%s: at %d in the kernel, %d here", typ, field, got.Offset, want)
		}
	}
	f(msghdr, "Name", offName)
	f(msghdr, "Namelen", offNamelen)
	f(msghdr, "Iov", offIov)
	f(msghdr, "Iovlen", offIovlen)
	f(msghdr, "Flags", offFlags)
	f(iovec, "Base", 0)
	f(iovec, "Len", wordSize)
	f(name, "Pid", offPid)
	if n := msghdr.Size(); n != offLen || iovec.Size() != iovecLen || name.Size() != nameLen {
		t.Errorf("sizes: msghdr %d, iovec %d, sockaddr_nl %d; want %d, %d, %d", n, iovec.Size(), name.Size(), offLen, iovecLen, nameLen)
	}
}

// TestSlots checks that datagrams arrive unchanged with their sender, and that a truncated one does
// not affect others.
func TestSlots(t *testing.T) {
	for _, raw := range []bool{false, true} {
		t.Run(fmt.Sprintf("raw=%t", raw), func(t *testing.T) { testSlots(t, raw) })
	}
}

func testSlots(t *testing.T, raw bool) {
	const n, size = 4, 64
	open := func() (int, uint32) {
		// NETLINK_USERSOCK lets any user talk to himself.
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_USERSOCK)
		if err != nil {
			t.Skipf("no NETLINK_USERSOCK: %v", err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			t.Fatal(err)
		}
		addr, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		return fd, addr.(*unix.SockaddrNetlink).Pid
	}
	rx, rxPort := open()
	tx, txPort := open()
	s, err := newSlots(n, size)
	if err != nil {
		t.Fatal(err)
	}
	defer s.free()

	if got, errno := s.receive(uintptr(rx), raw); got != 0 || errno != unix.EAGAIN {
		t.Fatalf("empty queue: %d, %v; want 0, EAGAIN", got, errno)
	}
	// Rounds of different sizes: headers are used again after short and long names.
	for round, lengths := range [][]int{{1, size - 1, size, size + 1}, {3}, {size + 1, 2, 10 * size, 4, 5, 6}} {
		var sent [][]byte
		for i, length := range lengths {
			data := bytes.Repeat([]byte{byte(16*round + i + 1)}, length)
			sent = append(sent, data)
			if err := unix.Sendto(tx, data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: rxPort}); err != nil {
				t.Fatal(err)
			}
		}
		for len(sent) > 0 {
			got, errno := s.receive(uintptr(rx), raw)
			if errno != 0 || got != min(n, len(sent)) {
				t.Fatalf("round %d: received %d, %v; want %d", round, got, errno, min(n, len(sent)))
			}
			for i := range got {
				data, sender, whole := s.datagram(i)
				want := sent[i][:min(size, len(sent[i]))]
				if !bytes.Equal(data, want) || sender != txPort || whole != len(sent[i]) {
					t.Errorf("round %d, slot %d: %x from %d of %d bytes; want %x from %d of %d", round, i, data, sender, whole, want, txPort, len(sent[i]))
				}
				if cap(data) > size {
					t.Errorf("slot %d reaches into the next one", i)
				}
			}
			sent = sent[got:]
		}
	}
}

// TestSlotsFor checks that slots grow in powers of 2 and within the memory limit.
func TestSlotsFor(t *testing.T) {
	for _, c := range []struct{ n, size, need, count, grown int }{
		{32, slotSize, 1, 32, slotSize},
		{32, slotSize, slotSize, 32, slotSize},
		{32, slotSize, slotSize + 1, 32, 2 * slotSize},
		{32, slotSize, 1 << 20, slotMemory >> 20, 1 << 20},
		{32, slotSize, slotLimit, 1, slotLimit},
		{32, slotSize, 2 * slotMemory, 1, 2 * slotMemory},
		{2, slotSize, 1, 2, slotSize},
	} {
		if count, grown := slotsFor(c.n, c.size, c.need); count != c.count || grown != c.grown {
			t.Errorf("slotsFor(%d, %d, %d) = %d, %d; want %d, %d", c.n, c.size, c.need, count, grown, c.count, c.grown)
		}
	}
}

// TestSlotsLayout checks that the parts of the memory do not overlap and that data begins at a page
// boundary.
func TestSlotsLayout(t *testing.T) {
	page := unix.Getpagesize()
	for _, n := range []int{1, 2, slotCount, page / nameStep, 3 * page / nameStep} {
		const size = 64
		s, err := newSlots(n, size)
		if err != nil {
			t.Fatal(err)
		}
		end := s.names + n*nameStep
		if s.names != n*(mmsghdrLen+iovecLen) || s.data < end || s.data >= end+page || s.data%page != 0 || len(s.mem) != s.data+n*size {
			t.Errorf("%d slots: addresses at %d to %d, datagrams at %d, %d bytes in all", n, s.names, end, s.data, len(s.mem))
		}
		s.free()
	}
}
