package netlinkraw

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDialRefusesNegativeBuffer checks the error for a negative size of the receive buffer.
func TestDialRefusesNegativeBuffer(t *testing.T) {
	if _, err := Dial(Config{ReceiveBuffer: -1}); err == nil {
		t.Error("no error")
	}
}

// TestReceiveBuffer checks that the kernel applies the size of the receive buffer.
func TestReceiveBuffer(t *testing.T) {
	small := dialTest(t, Config{ReceiveBuffer: 8 << 10}, 1, slotSize)
	if got := small.ReceiveBuffer(); got != 16<<10 { // the kernel doubles
		t.Errorf("8 KiB asked for: granted %d, want 16384", got)
	}
	// How much is granted of 16 MiB depends on the user, but not that it is more.
	if got := dialTest(t, Config{}, 1, slotSize).ReceiveBuffer(); got <= 16<<10 {
		t.Errorf("16 MiB asked for: granted %d", got)
	}
}

// TestDump checks that a dump has the loopback link and ends with a DumpDone.
func TestDump(t *testing.T) {
	c := dialTest(t, Config{}, slotCount, slotSize)
	for want := uint32(1); want <= 2; want++ {
		seq, err := c.RequestLinkDump()
		if err != nil || seq != want {
			t.Fatalf("request: seq %d, %v; want %d", seq, err, want)
		}
		var loopback bool
		c.until(func(m *Message) bool {
			if m.Type == NewLink && m.Dump && m.Link.Index == 1 {
				loopback = string(m.Link.Name) == "lo" && m.Link.HasMTU && m.Link.HasCarrierCounts
			}
			return m.Type == DumpDone && m.Seq == seq && m.Errno == 0
		})
		if !loopback {
			t.Error("no lo in the dump")
		}
	}
	s := c.Stats()
	if s.Datagrams.Load() < 2 || s.Messages.Load() < 4 || s.Malformed.Load()+s.Forged.Load()+s.ForeignSeq.Load()+s.Overruns.Load() != 0 {
		t.Errorf("counters: %+v", s)
	}
}

// TestDumpSkipsStatistics checks that a dump request omits the IPv6 statistics.
func TestDumpSkipsStatistics(t *testing.T) {
	plain := AppendHeader(nil, unix.RTM_GETLINK, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, 1, 0)
	plain = AppendIfinfomsg(plain, unix.AF_UNSPEC, 0, 0, 0)
	FinishMessage(plain, 0)

	full, ours := dumpSize(t, plain), dumpSize(t, appendDumpRequest(nil, 1))
	t.Logf("%d bytes, in full %d", ours, full)
	if ours >= full {
		if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
			t.Skip("no IPv6, hence no statistics of it")
		}
		t.Errorf("a dump has %d bytes, one without the filter %d", ours, full)
	}
}

// dumpSize returns the bytes of the answer to a dump request with seq 1.
func dumpSize(t *testing.T, request []byte) (size int) {
	c := dialTest(t, Config{}, slotCount, slotSize)
	c.dumps.issue()
	if _, err := c.file.Write(request); err != nil {
		t.Fatal(err)
	}
	for {
		if err := c.Receive(&c.b); err != nil {
			t.Fatal(err)
		}
		for _, datagram := range c.b.datagrams {
			size += len(datagram)
		}
		for c.b.Next() {
			switch m := c.b.Message(); {
			case m.Errno != 0:
				t.Fatal(m.Errno)
			case m.Type == DumpDone:
				return size
			}
		}
	}
}

// TestCloseWakesReceive checks that Close ends a blocked Receive with os.ErrClosed.
func TestCloseWakesReceive(t *testing.T) {
	c, err := dial(Config{}, 0, slotCount, slotSize) // no group: nothing comes
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	entered, result := make(chan struct{}), make(chan error)
	poll := c.poll
	c.poll = func(fd uintptr) bool {
		once.Do(func() { close(entered) })
		return poll(fd)
	}
	go func() {
		var b Batch
		result <- c.Receive(&b)
	}()
	<-entered
	var b Batch
	if err := c.Receive(&b); err != ErrConcurrentUse {
		t.Errorf("second Receive: %v, want ErrConcurrentUse", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-result; err != os.ErrClosed {
		t.Errorf("Receive: %v, want os.ErrClosed", err)
	}
	if c.slots.mem != nil {
		t.Error("read buffer not freed")
	}
	if err := c.Receive(&b); err != os.ErrClosed {
		t.Errorf("Receive after Close: %v, want os.ErrClosed", err)
	}
	if err := c.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Close: %v, want os.ErrClosed", err)
	}
	if _, err := c.RequestLinkDump(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("RequestLinkDump after Close: %v, want os.ErrClosed", err)
	}
}

// TestCloseLeavesBatch checks that a batch can be read after Close, and that the next Receive frees
// the memory.
func TestCloseLeavesBatch(t *testing.T) {
	c := dialTest(t, Config{}, slotCount, slotSize)
	if _, err := c.RequestLinkDump(); err != nil {
		t.Fatal(err)
	}
	var b Batch
	if err := c.Receive(&b); err != nil {
		t.Fatal(err)
	}
	c.Close()
	n := 0
	for b.Next() {
		n += len(b.Message().Link.Name)
	}
	if n == 0 {
		t.Error("no link in the batch")
	}
	if err := c.Receive(&b); err != os.ErrClosed || c.slots.mem != nil || b.Next() {
		t.Errorf("Receive: %v, memory freed %t", err, c.slots.mem == nil)
	}
}

// TestCloseWithoutReceive checks that Close frees the memory if there was no Receive.
func TestCloseWithoutReceive(t *testing.T) {
	c := dialTest(t, Config{}, slotCount, slotSize)
	c.Close()
	if c.slots.mem != nil {
		t.Error("read buffer not freed")
	}
}

// TestReceiveDoesNotAllocate checks that receiving and decoding a dump does not allocate.
func TestReceiveDoesNotAllocate(t *testing.T) {
	c := dialTest(t, Config{}, slotCount, slotSize)
	var b Batch
	dump := func() {
		// RequestLinkDump itself allocates, once a resync.
		if _, err := c.file.Write(request(c.dumps.issue())); err != nil {
			t.Fatal(err)
		}
		for {
			if err := c.Receive(&b); err != nil {
				t.Fatal(err)
			}
			for b.Next() {
				if b.Message().Type == DumpDone {
					return
				}
			}
		}
	}
	if n := testing.AllocsPerRun(100, dump); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// request returns a dump request in memory that is used again.
func request(seq uint32) []byte {
	requestBuf = appendDumpRequest(requestBuf[:0], seq)
	return requestBuf
}

var requestBuf []byte

// TestLiveChanges checks the messages for links that are created, changed and deleted.
func TestLiveChanges(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	l := newLinks(t)
	conn, err := Dial(Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := newTestConn(t, conn)
	l.addVeth("Ethernet0", "peer0")
	port, peer := l.index("Ethernet0"), l.index("peer0")
	l.setUp(port)
	l.setUp(peer)
	c.until(func(m *Message) bool {
		return m.Type == NewLink && !m.Dump && m.Link.Index == port && m.Link.Running()
	})
	l.setMTU(port, 9100)
	c.until(func(m *Message) bool {
		return m.Type == NewLink && string(m.Link.Name) == "Ethernet0" && m.Link.MTU == 9100 && string(m.Link.Kind) == "veth"
	})
	if failed := SetLinksDown([]int32{port, 1 << 30, peer}); failed != nil { // one of them vanished
		t.Errorf("set down: %v", failed)
	}
	c.until(func(m *Message) bool { return m.Link.Index == peer && !m.Link.Up() })
	if err := ListLinks(func(link *Link) {
		if link.Index == port && link.Up() {
			t.Error("Ethernet0 is still up")
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestRequestLink checks that RequestLink causes one live message, or none for a missing link.
func TestRequestLink(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	c := dialTest(t, Config{}, slotCount, slotSize)
	for _, index := range []int32{1, 1 << 30} {
		if err := c.RequestLink(index); err != nil {
			t.Fatal(err)
		}
	}
	c.until(func(m *Message) bool {
		if m.Type != NewLink || m.Dump || string(m.Link.Name) != "lo" {
			t.Errorf("answer: %s", describe(m))
		}
		return true
	})
	c.wantQuiet()
	if s := c.Stats(); s.ForeignSeq.Load() != 0 || s.Ignored.Load() != 1 {
		t.Errorf("%d foreign, %d ignored; want 0 and the error", s.ForeignSeq.Load(), s.Ignored.Load())
	}
}

// TestOverrun checks that queued messages precede one Overrun, and that a dump afterwards is
// complete.
func TestOverrun(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	l := newLinks(t)
	l.addVeth("Ethernet0", "peer0")
	port := l.index("Ethernet0")
	for _, tt := range []struct {
		name  string
		slots int
	}{
		{"many datagrams a call", slotCount},
		{"every batch is full", 1}, // so emptiness only shows with the next call
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dialTest(t, Config{ReceiveBuffer: 32 << 10}, tt.slots, slotSize)
			const changes = 300
			for i := range uint32(changes) {
				l.setMTU(port, 2000+i)
			}
			queued, lastMTU := 0, uint32(0)
			c.until(func(m *Message) bool {
				if m.Type == NewLink {
					queued, lastMTU = queued+1, m.Link.MTU
				}
				return m.Type == Overrun
			})
			t.Logf("%d of %d changes in a buffer of %d bytes", queued, changes, c.ReceiveBuffer())
			if queued == 0 || queued >= changes || lastMTU != 2000+uint32(queued)-1 {
				t.Errorf("%d messages before the Overrun, the last with MTU %d", queued, lastMTU)
			}
			seq, err := c.RequestLinkDump()
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]uint32{}
			c.until(func(m *Message) bool {
				switch {
				case !m.Dump || m.Interrupted || m.Errno != 0:
					t.Errorf("after the Overrun: %s", describe(m))
				case m.Type == NewLink && m.Dump:
					seen[string(m.Link.Name)] = m.Link.MTU
				}
				return m.Type == DumpDone && m.Seq == seq
			})
			if len(seen) != 3 || seen["Ethernet0"] != 2000+changes-1 {
				t.Errorf("dump: %v, want lo, peer0, and Ethernet0 with MTU %d", seen, 2000+changes-1)
			}
			if n := c.Stats().Overruns.Load(); n != 1 {
				t.Errorf("%d overruns counted, want 1", n)
			}
			c.wantQuiet()
		})
	}
}

// TestOverrunOnce checks that several losses before the queue is empty cause one Overrun.
func TestOverrunOnce(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	l := newLinks(t)
	l.addVeth("Ethernet0", "peer0")
	port := l.index("Ethernet0")
	// Too small for a link message, and a queue too small for the changes.
	c := dialTest(t, Config{ReceiveBuffer: 16 << 10}, 2, 128)
	for i := range uint32(100) {
		l.setMTU(port, 2000+i)
	}
	overruns := 0
	c.until(func(m *Message) bool {
		if m.Type == Overrun {
			overruns++
		}
		return m.Type == Overrun
	})
	if s := c.Stats(); overruns != 1 || s.Truncated.Load() < 2 || s.Overruns.Load() != 1 {
		t.Errorf("%d Overrun messages, %d truncated, %d overruns", overruns, s.Truncated.Load(), s.Overruns.Load())
	}
	// The next loss causes another Overrun.
	for i := range uint32(100) {
		l.setMTU(port, 2000+i)
	}
	c.until(func(m *Message) bool { return m.Type == Overrun })
}

// TestInterruptedDump checks that creating a link during a dump sets Interrupted.
func TestInterruptedDump(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	l := newLinks(t)
	const pairs = 16
	for i := range pairs {
		l.addVeth(fmt.Sprint("Ethernet", i), fmt.Sprint("peer", i))
	}
	// Parts of 8 KiB, about 7 links, one at a time. The kernel makes each when
	// the one before it is taken.
	c := dialTest(t, Config{}, 1, 8<<10)
	seq, err := c.RequestLinkDump()
	if err != nil {
		t.Fatal(err)
	}
	c.until(func(m *Message) bool { return m.Dump })
	// The kernel refuses a second dump, and finishes the first.
	second, err := c.RequestLinkDump()
	if err != nil {
		t.Fatal(err)
	}
	l.addVeth("late0", "late1")

	var refused bool
	c.until(func(m *Message) bool {
		refused = refused || m.Type == DumpDone && m.Seq == second && m.Errno == unix.EBUSY
		if m.Type == DumpDone && m.Seq == seq && !m.Interrupted {
			t.Error("the dump does not say that it was interrupted")
		}
		return m.Type == DumpDone && m.Seq == seq
	})
	if !refused {
		t.Error("no answer to the second request")
	}
	// Nor does dump take one for complete that was interrupted.
	poll, calls := c.poll, 0
	c.poll = func(fd uintptr) bool {
		if calls++; calls == 2 {
			l.addVeth("later0", "later1")
		}
		return poll(fd)
	}
	if links, complete, err := c.dump(); err != nil || complete {
		t.Errorf("interrupted dump: %d links, complete %t, %v", len(links), complete, err)
	}
	// The one after is whole.
	if links, complete, err := c.dump(); err != nil || !complete || len(links) != 1+2*(pairs+2) {
		t.Errorf("next dump: %d links, complete %t, %v; want %d", len(links), complete, err, 1+2*(pairs+2))
	}
}

// TestForgedSender checks that datagrams from another process are dropped and counted.
func TestForgedSender(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	c := dialTest(t, Config{}, slotCount, slotSize)
	forger, _, err := openSocket(0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(forger)
	forged := AppendLinkMessage(nil, unix.RTM_DELLINK, 0, 0, 0, &Link{Index: 1, Name: []byte("lo")})
	for _, to := range []*unix.SockaddrNetlink{
		{Family: unix.AF_NETLINK, Pid: c.dumps.port},
		{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK, Pid: c.dumps.port}, // and the group
		{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK},
	} {
		if err := unix.Sendto(forger, forged, 0, to); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("send to %+v: %v", to, err)
		}
	}
	if _, err := c.RequestLinkDump(); err != nil {
		t.Fatal(err)
	}
	c.until(func(m *Message) bool {
		if m.Type == DelLink {
			t.Errorf("believed: %s", describe(m))
		}
		return m.Type == DumpDone
	})
	t.Logf("%d forged", c.Stats().Forged.Load())
	if n := c.Stats().Forged.Load(); n < 2 {
		t.Errorf("%d forged datagrams counted, want one to our port and one to the group at least", n)
	}
}
