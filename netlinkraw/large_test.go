package netlinkraw

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// addAltNames adds alternative names of 127 bytes to a link, like "ip link property add dev ... altname
// ...".
func (l *links) addAltNames(index int32, count int) {
	l.t.Helper()
	for i := range count {
		b := AppendHeader(nil, unix.RTM_NEWLINKPROP, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_APPEND, 0, 0)
		b = AppendIfinfomsg(b, unix.AF_UNSPEC, index, 0, 0)
		b, list := BeginNested(b, unix.IFLA_PROP_LIST|unix.NLA_F_NESTED)
		b = AppendAttrString(b, unix.IFLA_ALT_IFNAME, fmt.Sprintf("%s%04d", strings.Repeat("x", 123), i))
		b = EndNested(b, list)
		FinishMessage(b, 0)
		if err := l.r.Do(b); err != nil {
			l.t.Fatalf("alternative name %d: %v", i, err)
		}
	}
}

// largeLink creates Ethernet0 with messages of about 70 KiB.
func largeLink(t *testing.T) (l *links, port int32) {
	l = newLinks(t)
	l.addVeth("Ethernet0", "peer0")
	port = l.index("Ethernet0")
	l.addAltNames(port, 480)
	return l, port
}

// TestLargeMessages checks that a message larger than its slot causes one Overrun, and that the
// dump after it is complete.
func TestLargeMessages(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	l, port := largeLink(t)
	c := dialTest(t, Config{}, slotCount, slotSize)
	l.setMTU(port, 2000)
	c.until(func(m *Message) bool {
		if m.Type == NewLink && m.Link.Index == port {
			t.Errorf("read in spite of its size: %s", describe(m))
		}
		return m.Type == Overrun
	})
	for want := uint32(2001); want < 2004; want++ {
		l.setMTU(port, want)
		c.until(func(m *Message) bool { return m.Type == NewLink && m.Link.Index == port && m.Link.MTU == want })
		seq, err := c.RequestLinkDump()
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		c.until(func(m *Message) bool {
			switch {
			case m.Type == NewLink && m.Link.MTU == want, m.Type == NewLink && m.Link.Index != port:
				found++
			case m.Type != DumpDone || m.Interrupted || m.Incomplete:
				t.Errorf("after the slots have grown: %s", describe(m))
			}
			return m.Type == DumpDone && m.Seq == seq
		})
		if found != 3 {
			t.Errorf("%d links in the dump, want 3", found)
		}
	}
	c.wantQuiet()
	if n := c.Stats().Truncated.Load(); n != 1 {
		t.Errorf("%d datagrams did not fit, want 1", n)
	}
	if size := len(c.slots.mem); size > slotMemory+1<<16 {
		t.Errorf("slots of %d bytes, want at most %d", size, slotMemory)
	}
	if n := testing.AllocsPerRun(10, func() { c.slots.receive(^uintptr(0), false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDumpWithLossIsIncomplete checks that the DumpDone of a dump with a lost part has Incomplete
// set, although it precedes the Overrun.
func TestDumpWithLossIsIncomplete(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	_, port := largeLink(t)
	c := dialTest(t, Config{}, slotCount, slotSize)
	for round, incomplete := range []bool{true, false} {
		if _, err := c.RequestLinkDump(); err != nil {
			t.Fatal(err)
		}
		var found bool
		c.until(func(m *Message) bool {
			found = found || m.Type == NewLink && m.Link.Index == port
			if m.Type == DumpDone && m.Incomplete != incomplete {
				t.Errorf("dump %d: Incomplete is %t", round+1, m.Incomplete)
			}
			return m.Type == DumpDone
		})
		if found == incomplete {
			t.Errorf("dump %d: Ethernet0 found: %t", round+1, found)
		}
		if incomplete {
			c.until(func(m *Message) bool { return m.Type == Overrun })
		}
	}
	c.wantQuiet()

	found := false
	if err := ListLinks(func(link *Link) { found = found || link.Index == port && link.HasMTU }); err != nil || !found {
		t.Errorf("ListLinks: %v, Ethernet0 found: %t", err, found)
	}
}

// TestLargerThanAnySlot checks that a message larger than the largest slot is returned with the name of
// its link, and does not count as lost.
func TestLargerThanAnySlot(t *testing.T) {
	if !insideNamespace(t) {
		return
	}
	l, port := largeLink(t)
	c := dialTest(t, Config{}, slotCount, slotSize)
	c.limit = slotSize
	want := func(m *Message, dump bool) {
		t.Helper()
		if m.Type != Unreadable || m.Dump != dump || m.Link.Index != port || string(m.Link.Name) != "Ethernet0" || m.Link.HasMTU {
			t.Errorf("dump %t: got %s, want Unreadable of Ethernet0", dump, describe(m))
		}
	}
	l.setMTU(port, 2000)
	c.until(func(m *Message) bool { want(m, false); return true })

	if _, err := c.RequestLinkDump(); err != nil {
		t.Fatal(err)
	}
	var others int
	c.until(func(m *Message) bool {
		switch {
		case m.Type == NewLink:
			others++
		case m.Type == DumpDone:
			if m.Incomplete {
				t.Error("the dump counts as incomplete although no other link was lost")
			}
		default:
			want(m, true)
		}
		return m.Type == DumpDone
	})
	c.wantQuiet()
	if n := len(c.slots.mem); others != 2 || n > 2<<20 {
		t.Errorf("%d other links, %d bytes of slots", others, n)
	}
}

// TestFindCut checks which truncated messages can be identified, and what counts as lost after
// them.
func TestFindCut(t *testing.T) {
	first := AppendLinkMessage(nil, unix.RTM_NEWLINK, 0, 0, 0, &Link{Index: 1, Name: []byte("lo")})
	link := AppendLinkMessage(nil, unix.RTM_NEWLINK, 0, 0, 0, &Link{Index: 5, Name: []byte("Ethernet0"), Kind: []byte("veth")})
	gone := AppendLinkMessage(nil, unix.RTM_DELLINK, 0, 0, 0, &Link{Index: 5, Name: []byte("Ethernet0"), Kind: []byte("veth")})
	named := func(name string) []byte { // with room for a message at the cut
		attrs := append(AppendAttrString(nil, unix.IFLA_IFNAME, name), make([]byte, 100)...)
		return withAttrs(attrs)
	}
	longest := strings.Repeat("x", maxNameLen)
	head := headerLen + ifinfoLen + attrHeaderLen + len("Ethernet0\x00")
	for _, tt := range []struct {
		name    string
		data    []byte
		ok      bool
		at, end int
	}{
		{"alone", link[:len(link)-1], true, 0, len(link)},
		{"behind another", append(first, link[:head]...), true, len(first), len(first) + len(link)},
		{"without its name", link[:head-1], false, 0, len(link)},
		{"without its index", link[:headerLen+4], false, 0, len(link)},
		{"after its header", link[:headerLen], false, 0, len(link)},
		{"within its header", link[:headerLen-1], false, 0, 0},
		{"with an empty name", named("")[:head], false, 0, len(named(""))},
		{"with the longest name", named(longest)[:100], true, 0, len(named(longest))},
		{"with a longer name", named(longest + "x")[:100], false, 0, len(named(longest + "x"))},
		{"a deletion", gone[:head], false, 0, len(gone)},
	} {
		if at, end, ok := findCut(tt.data); at != tt.at || end != tt.end || ok != tt.ok {
			t.Errorf("%s: %d, %d, %t; want %d, %d, %t", tt.name, at, end, ok, tt.at, tt.end, tt.ok)
		}
	}
}
