package netlinkraw

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// decodeAll returns the messages of b, one per line.
func decodeAll(b *Batch) (lines []string) {
	for b.Next() {
		lines = append(lines, describe(b.Message()))
	}
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// TestRecordedMessages checks the decoding of datagrams recorded from a kernel.
func TestRecordedMessages(t *testing.T) {
	f := func(name string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			var b Batch
			b.Load(fixture(t, name)...)
			wantLines(t, decodeAll(&b), want...)
			if n := b.loadedStats.Malformed.Load() + b.loadedStats.Ignored.Load(); n != 0 {
				t.Errorf("%d messages left out", n)
			}
		})
	}
	f("veth_add",
		`newlink 2 "peer0" kind=veth mtu=1500 carrier=+0-1`,
		`newlink 3 "Ethernet0" kind=veth mtu=1500 carrier=+0-1`)
	f("veth_up",
		`newlink 3 "Ethernet0" kind=veth up mtu=1500 carrier=+0-1`,
		`newlink 2 "peer0" kind=veth up mtu=1500 carrier=+1-1`, // IFF_LOWER_UP alone is not IFF_RUNNING
		`newlink 2 "peer0" kind=veth up running mtu=1500 carrier=+1-1`,
		`newlink 3 "Ethernet0" kind=veth up running mtu=1500 carrier=+1-1`)
	f("mtu",
		`newlink 3 "Ethernet0" kind=veth up running mtu=9100 carrier=+1-1`)
	f("carrier_lost",
		`newlink 2 "peer0" kind=veth mtu=1500 carrier=+1-2`,
		`newlink 3 "Ethernet0" kind=veth up mtu=9100 carrier=+1-2`)
	f("rename",
		`newlink 3 "Ethernet0" kind=veth mtu=9100 carrier=+1-2`,
		`newlink 3 "Ethernet4" kind=veth mtu=9100 carrier=+1-2`)
	f("bridge_join",
		`newlink 3 "Ethernet4" kind=veth mtu=9100 master=4 carrier=+1-2`,
		`newlink 3 "Ethernet4" kind=veth mtu=9100 master=4 carrier=+1-2`,
		`newlink 4 "br0" kind=bridge mtu=1500 carrier=+0-0`,
		`newlink 3 "Ethernet4" family=7 mtu=9100 master=4`,
		`newlink 4 "br0" kind=bridge mtu=1500 carrier=+0-1`,
		`newlink 4 "br0" kind=bridge mtu=9100 carrier=+0-1`)
	f("bridge_leave",
		`newlink 3 "Ethernet4" kind=veth mtu=9100 master=4 carrier=+1-2`,
		`newlink 3 "Ethernet4" family=7 mtu=9100 master=4`,
		`dellink 3 "Ethernet4" family=7 mtu=9100 master=4`,
		`newlink 3 "Ethernet4" kind=veth mtu=9100 carrier=+1-2`,
		`newlink 4 "br0" kind=bridge mtu=1500 carrier=+0-1`,
		`newlink 4 "br0" kind=bridge mtu=1500 carrier=+0-1`,
		`newlink 4 "br0" kind=bridge mtu=1500 carrier=+0-1`)
	f("bridge_member_delete",
		`newlink 3 "Ethernet4" family=7 mtu=9100 master=4`,
		`dellink 3 "Ethernet4" family=7 mtu=9100 master=4`,
		`newlink 4 "br0" kind=bridge mtu=1500 carrier=+0-1`,
		`newlink 4 "br0" kind=bridge mtu=1500 carrier=+0-1`,
		`newlink 4 "br0" kind=bridge mtu=1500 carrier=+0-1`,
		`dellink 3 "Ethernet4" kind=veth mtu=9100 carrier=+1-2`,
		`dellink 2 "peer0" kind=veth mtu=1500 carrier=+1-2`)
	f("dump",
		`newlink dump=5 1 "lo" mtu=65536 carrier=+0-0`,
		`newlink dump=5 2 "peer0" kind=veth mtu=1500 carrier=+1-2`,
		`newlink dump=5 3 "Ethernet4" kind=veth mtu=9100 master=4 carrier=+1-2`,
		`newlink dump=5 4 "br0" kind=bridge mtu=9100 carrier=+0-1`,
		`dumpdone dump=5`)
	f("refused_dump",
		`dumpdone dump=7 errno=22`) // NLMSG_DONE with an errno and a text, not NLMSG_ERROR
	f("refused_mtu",
		`dumpdone dump=9 errno=22`)
}

// testLink is a link with all fields set.
var testLink = Link{
	Index: 7, Flags: unix.IFF_UP | unix.IFF_RUNNING, MTU: 9100, Master: 4,
	Name: []byte("Ethernet0"), Kind: []byte("veth"),
	CarrierUp: 3, CarrierDown: 2, HasMTU: true, HasCarrierCounts: true,
}

const testLinkLine = `newlink 7 "Ethernet0" kind=veth up running mtu=9100 master=4 carrier=+3-2`

// newLinkMessage returns a live RTM_NEWLINK for testLink.
func newLinkMessage() []byte {
	return AppendLinkMessage(nil, unix.RTM_NEWLINK, 0, 0, 0, &testLink)
}

// withAttrs returns a RTM_NEWLINK with index 7 and the given attribute bytes.
func withAttrs(attrs []byte) []byte {
	b := AppendHeader(nil, unix.RTM_NEWLINK, 0, 0, 0)
	b = AppendIfinfomsg(b, unix.AF_UNSPEC, 7, 0, 0)
	b = append(b, attrs...)
	FinishMessage(b, 0)
	return b
}

// patched returns a copy of b with a 32-bit number at offset at.
func patched(b []byte, at int, v uint32) []byte {
	b = slices.Clone(b)
	native.PutUint32(b[at:], v)
	return b
}

// TestDecodeHostile checks messages and attributes with wrong lengths, types and values.
func TestDecodeHostile(t *testing.T) {
	whole := newLinkMessage()
	name := AppendAttrString(nil, unix.IFLA_IFNAME, "Ethernet0")
	rawAttr := func(n int, typ uint16, value string) []byte {
		b := native.AppendUint16(nil, uint16(n))
		return append(native.AppendUint16(b, typ), value...)
	}
	for _, tt := range []struct {
		name      string
		datagram  []byte
		want      []string
		malformed uint64
		ignored   uint64
	}{
		{name: "empty datagram"},
		{name: "short header", datagram: whole[:15], malformed: 1},
		{name: "length 0", datagram: patched(whole, 0, 0), malformed: 1},
		{name: "length below header", datagram: patched(whole, 0, 15), malformed: 1},
		{name: "length beyond datagram", datagram: patched(whole, 0, uint32(len(whole)+1)), malformed: 1},
		{name: "length of 4 GiB", datagram: patched(whole, 0, 1<<32-1), malformed: 1},
		{name: "header only", datagram: patched(whole[:16], 0, 16), malformed: 1},
		{name: "ifinfomsg cut short", datagram: patched(whole[:31], 0, 31), malformed: 1},
		{name: "index 0", datagram: patched(whole, 20, 0), malformed: 1},
		{name: "index negative", datagram: patched(whole, 20, 1<<31), malformed: 1},
		{
			name:     "bad message does not hide the next",
			datagram: slices.Concat(patched(whole, 20, 0), whole), malformed: 1,
			want: []string{testLinkLine},
		},
		{
			name:     "bad header hides the rest only",
			datagram: slices.Concat(whole, patched(whole, 0, 3), whole), malformed: 1,
			want: []string{testLinkLine},
		},
		{
			name:     "bytes after the last message",
			datagram: slices.Concat(whole, []byte{1, 2, 3}), malformed: 1,
			want: []string{testLinkLine},
		},
		{
			name:     "last message unpadded",
			datagram: withAttrs(rawAttr(4+5, unix.IFLA_IFNAME, "Ether")),
			want:     []string{`newlink 7 "Ether"`},
		},
		{name: "no name", datagram: withAttrs(nil), want: []string{`newlink 7 ""`}},
		{name: "empty name", datagram: withAttrs(rawAttr(4, unix.IFLA_IFNAME, "")), want: []string{`newlink 7 ""`}},
		{name: "name of NUL", datagram: withAttrs(AppendAttrString(nil, unix.IFLA_IFNAME, "")), want: []string{`newlink 7 ""`}},
		{
			name:     "name without NUL",
			datagram: withAttrs(AppendAttr(nil, unix.IFLA_IFNAME, []byte("Ethernet0"))),
			want:     []string{`newlink 7 "Ethernet0"`},
		},
		{
			name:     "name ends at the first NUL",
			datagram: withAttrs(AppendAttr(nil, unix.IFLA_IFNAME, []byte("Ethernet0\x00Ethernet4"))),
			want:     []string{`newlink 7 "Ethernet0"`},
		},
		{
			name:     "name of 15 bytes",
			datagram: withAttrs(AppendAttrString(nil, unix.IFLA_IFNAME, "PortChannel1234")),
			want:     []string{`newlink 7 "PortChannel1234"`},
		},
		{name: "name of 16 bytes", datagram: withAttrs(AppendAttrString(nil, unix.IFLA_IFNAME, "PortChannel12345")), malformed: 1},
		{name: "attribute length 0", datagram: withAttrs(rawAttr(0, unix.IFLA_IFNAME, "Eth0")), malformed: 1},
		{name: "attribute length 3", datagram: withAttrs(rawAttr(3, unix.IFLA_IFNAME, "Eth0")), malformed: 1},
		{name: "attribute beyond message", datagram: withAttrs(rawAttr(9, unix.IFLA_IFNAME, "Eth0")), malformed: 1},
		{name: "attribute of 64 KiB", datagram: withAttrs(rawAttr(0xffff, unix.IFLA_IFNAME, "Eth0")), malformed: 1},
		{
			name:     "attribute beyond message but inside datagram",
			datagram: slices.Concat(withAttrs(rawAttr(36, unix.IFLA_IFNAME, "Eth0")), whole), malformed: 1,
			want: []string{testLinkLine},
		},
		{
			name:     "bytes after the last attribute",
			datagram: withAttrs(append(slices.Clone(name), 1, 2, 3)),
			want:     []string{`newlink 7 "Ethernet0"`},
		},
		{
			name:     "flag bits in the type",
			datagram: withAttrs(AppendAttrUint32(nil, unix.IFLA_MTU|unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER, 1500)),
			want:     []string{`newlink 7 "" mtu=1500`},
		},
		{name: "mtu of 2 bytes", datagram: withAttrs(AppendAttr(nil, unix.IFLA_MTU, []byte{1, 2})), malformed: 1},
		{name: "mtu of 8 bytes", datagram: withAttrs(AppendAttr(nil, unix.IFLA_MTU, make([]byte, 8))), malformed: 1},
		{name: "master of 3 bytes", datagram: withAttrs(AppendAttr(nil, unix.IFLA_MASTER, []byte{1, 2, 3})), malformed: 1},
		{name: "up count of 0 bytes", datagram: withAttrs(AppendAttr(nil, unix.IFLA_CARRIER_UP_COUNT, nil)), malformed: 1},
		{name: "down count of 5 bytes", datagram: withAttrs(AppendAttr(nil, unix.IFLA_CARRIER_DOWN_COUNT, make([]byte, 5))), malformed: 1},
		{
			name:     "one carrier count is none",
			datagram: withAttrs(AppendAttrUint32(nil, unix.IFLA_CARRIER_UP_COUNT, 3)),
			want:     []string{`newlink 7 ""`},
		},
		{
			name:     "link info without kind",
			datagram: withAttrs(AppendAttr(nil, unix.IFLA_LINKINFO, nil)),
			want:     []string{`newlink 7 ""`},
		},
		{
			name:     "kind of the master is not the kind",
			datagram: withAttrs(AppendAttr(nil, unix.IFLA_LINKINFO, AppendAttrString(nil, unix.IFLA_INFO_SLAVE_KIND, "team"))),
			want:     []string{`newlink 7 ""`},
		},
		{
			name:     "kind beyond link info",
			datagram: withAttrs(AppendAttr(nil, unix.IFLA_LINKINFO, rawAttr(9, unix.IFLA_INFO_KIND, "team"))), malformed: 1,
		},
		{
			name:     "no attribute in link info",
			datagram: withAttrs(AppendAttr(nil, unix.IFLA_LINKINFO, rawAttr(3, unix.IFLA_INFO_KIND, ""))), malformed: 1,
		},
		{
			name:     "unknown attributes",
			datagram: withAttrs(append(AppendAttr(nil, 0x3fff, []byte("?")), name...)),
			want:     []string{`newlink 7 "Ethernet0"`},
		},
		{
			name: "other types are skipped",
			datagram: slices.Concat(patchedType(whole, unix.NLMSG_NOOP), patchedType(whole, unix.RTM_NEWADDR),
				patchedType(whole, unix.RTM_GETLINK), patchedType(whole, 0xffff), whole),
			ignored: 4,
			want:    []string{testLinkLine},
		},
		{
			name:     "overrun message",
			datagram: slices.Concat(whole, patchedType(whole, unix.NLMSG_OVERRUN), whole),
			want:     []string{testLinkLine, "overrun", testLinkLine},
		},
		{name: "error without a request", datagram: patchedType(whole[:16+19], unix.NLMSG_ERROR), malformed: 1},
		{name: "acknowledgement", datagram: errorMessage(1, 0, 0), ignored: 1},
		{name: "refusal", datagram: errorMessage(1, 0, unix.EBUSY), want: []string{"dumpdone dump=1 errno=16"}},
		{
			name:     "done with errno",
			datagram: AppendDone(nil, 1, 0, unix.NLM_F_MULTI, unix.ENOMEM),
			want:     []string{"dumpdone dump=1 errno=12"},
		},
		{
			name:     "done without a number",
			datagram: patched(AppendDone(nil, 1, 0, unix.NLM_F_MULTI, 0)[:16], 0, 16),
			want:     []string{"dumpdone dump=1"},
		},
		{
			name:     "done with the most negative number",
			datagram: patched(AppendDone(nil, 1, 0, unix.NLM_F_MULTI, 0), 16, 1<<31),
			want:     []string{"dumpdone dump=1 errno=2147483648"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b Batch
			b.Load(tt.datagram)
			got := decodeAll(&b)
			wantLines(t, got, tt.want...)
			s := &b.loadedStats
			if s.Malformed.Load() != tt.malformed || s.Ignored.Load() != tt.ignored || s.Messages.Load() != uint64(len(tt.want)) {
				t.Errorf("malformed %d, ignored %d, messages %d; want %d, %d, %d", s.Malformed.Load(), s.Ignored.Load(),
					s.Messages.Load(), tt.malformed, tt.ignored, len(tt.want))
			}
			if m := b.Message(); m.Type != 0 {
				t.Errorf("after the end Message is %s", describe(m))
			}
		})
	}
}

// patchedType returns a copy of a message with another type and its length set.
func patchedType(b []byte, typ uint16) []byte {
	b = slices.Clone(b)
	native.PutUint16(b[4:], typ)
	FinishMessage(b, 0)
	return b
}

// errorMessage returns an NLMSG_ERROR for request seq of this port.
func errorMessage(seq, port uint32, errno syscall.Errno) []byte {
	b := AppendHeader(nil, unix.NLMSG_ERROR, unix.NLM_F_CAPPED, seq, port)
	b = native.AppendUint32(b, uint32(-int32(errno)))
	b = append(b, appendDumpRequest(nil, seq)[:headerLen]...)
	FinishMessage(b, 0)
	return b
}

// TestLoadAgain checks that Load discards the rest of the previous datagrams.
func TestLoadAgain(t *testing.T) {
	var b Batch
	d := newLinkMessage()
	b.Load(slices.Concat(d, d), d)
	b.Next()
	b.Load(d) // discards the unread messages
	wantLines(t, decodeAll(&b), testLinkLine)
	b.Load()
	wantLines(t, decodeAll(&b))
}

// TestEncodeMatchesKernel checks that encoding a decoded message of the kernel has the same
// meaning.
func TestEncodeMatchesKernel(t *testing.T) {
	// What the encoder makes of a recorded link must decode to the same link.
	for _, name := range []string{"veth_up", "bridge_join", "bridge_member_delete", "dump"} {
		var b Batch
		b.Load(fixture(t, name)...)
		for b.Next() {
			if m := b.Message(); m.Type == NewLink || m.Type == DelLink {
				wantRoundTrip(t, m)
			}
		}
	}
	wantRoundTrip(t, &Message{Type: NewLink, Link: testLink})
}

// wantRoundTrip encodes the link message m and decodes it again.
func wantRoundTrip(t *testing.T, m *Message) {
	t.Helper()
	msgType, flags := uint16(unix.RTM_NEWLINK), uint16(0)
	if m.Type == DelLink {
		msgType = unix.RTM_DELLINK
	}
	if m.Dump {
		flags = unix.NLM_F_MULTI
	}
	encoded := AppendLinkMessage(nil, msgType, flags, m.Seq, 0, &m.Link)
	var b Batch
	b.Load(encoded)
	if !b.Next() {
		t.Fatalf("%s: its encoding %x does not decode", describe(m), encoded)
	}
	if got := b.Message(); !equalMessages(got, m) {
		t.Fatalf("encoded and decoded: %+v, want %+v", got, m)
	}
	if b.Next() {
		t.Fatalf("%s: a second message in its encoding", describe(m))
	}
}

// equalMessages compares messages. An empty name equals a nil name.
func equalMessages(a, b *Message) bool {
	x, y := *a, *b
	for _, s := range []*[]byte{&x.Link.Name, &x.Link.Kind, &y.Link.Name, &y.Link.Kind} {
		if len(*s) == 0 {
			*s = nil
		}
	}
	return reflect.DeepEqual(x, y)
}

// TestAppend checks that messages and attributes can be appended to others, and that missing
// attributes are omitted.
func TestAppend(t *testing.T) {
	none := AppendLinkMessage(nil, unix.RTM_NEWLINK, 0, 0, 0, &Link{Index: 1})
	if len(none) != headerLen+ifinfoLen {
		t.Errorf("a link without attributes takes %d bytes, want %d", len(none), headerLen+ifinfoLen)
	}
	var b Batch
	b.Load(AppendDone(AppendLinkMessage(none, unix.RTM_NEWLINK, 0, 0, 0, &testLink), 1, 0, unix.NLM_F_MULTI, unix.EBUSY))
	wantLines(t, decodeAll(&b), `newlink 1 ""`, testLinkLine, "dumpdone dump=1 errno=16")

	done := AppendDone(nil, 1, 0, unix.NLM_F_MULTI, unix.EBUSY)
	if n := int32(native.Uint32(done[headerLen:])); n != -int32(unix.EBUSY) {
		t.Errorf("the error number is %d, want it negated", n)
	}
	// An attribute is padded from its own beginning.
	if got, want := AppendAttr([]byte{1}, 2, []byte{3}), append([]byte{1}, AppendAttr(nil, 2, []byte{3})...); !bytes.Equal(got, want) {
		t.Errorf("behind another byte: % x, want % x", got, want)
	}
}

// TestMessageTypeString checks the names of known and unknown types.
func TestMessageTypeString(t *testing.T) {
	for typ, want := range map[MessageType]string{NewLink: "newlink", DelLink: "dellink", DumpDone: "dumpdone", Overrun: "overrun", 9: "MessageType(9)"} {
		if got := typ.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestDecodeDoesNotAllocate checks that decoding a batch does not allocate.
func TestDecodeDoesNotAllocate(t *testing.T) {
	datagrams := slices.Concat(fixture(t, "bridge_member_delete"), fixture(t, "dump"))
	var b Batch
	if n := testing.AllocsPerRun(100, func() {
		b.Load(datagrams...)
		for b.Next() {
			if b.Message().Type == Overrun {
				t.Fatal("overrun")
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
