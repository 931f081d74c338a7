package peers

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jsimonetti/rtnetlink/v2"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// recordings are the bytes of real kernels from the tests of netlinkraw.
const recordings = "../../netlinkraw/testdata"

// recorded returns the datagrams of a file. They are lines of hex, each datagram ended by a line
// "--".
func recorded(tb testing.TB, name string) (datagrams [][]byte) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(recordings, name))
	if err != nil {
		tb.Fatal(err)
	}
	var d []byte
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "#"):
		case line == "--":
			datagrams, d = append(datagrams, d), nil
		default:
			part, err := hex.DecodeString(line)
			if err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			d = append(d, part...)
		}
	}
	if len(datagrams) == 0 {
		tb.Fatalf("%s: no datagram", name)
	}
	return datagrams
}

// link is what all decoders return of a link message and portsyncd uses.
type link struct {
	Index     int32
	Flags     uint32
	MTU       uint32
	Master    int32
	Name      string
	Kind      string
	Up, Down  uint32 // link-down and link-up counts
	HasCounts bool   // vishvananda/netlink does not return them
}

// ours decodes with netlinkraw.
func ours(b *netlinkraw.Batch) link {
	l := &b.Message().Link
	return link{l.Index, l.Flags, l.MTU, l.Master, string(l.Name), string(l.Kind),
		l.CarrierUp, l.CarrierDown, l.HasCarrierCounts}
}

// vishvananda decodes the part of the message after its header.
func vishvananda(payload []byte) (link, error) {
	l, err := netlink.LinkDeserialize(nil, payload)
	if err != nil {
		return link{}, err
	}
	a, kind := l.Attrs(), l.Type()
	if kind == "device" { // its kind of a link without one
		kind = ""
	}
	return link{Index: int32(a.Index), Flags: a.RawFlags, MTU: uint32(a.MTU), Master: int32(a.MasterIndex),
		Name: a.Name, Kind: kind}, nil
}

// jsimonetti decodes the part of the message after its header.
func jsimonetti(payload []byte) (link, error) {
	var m rtnetlink.LinkMessage
	if err := m.UnmarshalBinary(payload); err != nil {
		return link{}, err
	}
	l := link{Index: int32(m.Index), Flags: m.Flags, MTU: m.Attributes.MTU, Name: m.Attributes.Name}
	if m.Attributes.Master != nil {
		l.Master = int32(*m.Attributes.Master)
	}
	if m.Attributes.Info != nil {
		l.Kind = m.Attributes.Info.Kind
	}
	if up, down := m.Attributes.CarrierUpCount, m.Attributes.CarrierDownCount; up != nil && down != nil {
		l.Up, l.Down, l.HasCounts = *up, *down, true
	}
	return l, nil
}

// TestDecodersAgree checks that the three decoders return the same for each recorded link message.
func TestDecodersAgree(t *testing.T) {
	files, err := os.ReadDir(recordings)
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range files {
		if filepath.Ext(file.Name()) != ".hex" {
			continue
		}
		for _, datagram := range recorded(t, file.Name()) {
			messages, err := syscall.ParseNetlinkMessage(datagram)
			if err != nil {
				t.Fatalf("%s: %v", file.Name(), err)
			}
			for _, m := range messages {
				// Only netlinkraw decodes a bridge's messages about its members (AF_BRIDGE).
				if m.Header.Type != unix.RTM_NEWLINK || m.Data[0] != unix.AF_UNSPEC {
					continue
				}
				compare(t, file.Name(), oneMessage(datagram, m), m.Data)
				compared++
			}
		}
	}
	if compared < 10 {
		t.Errorf("only %d messages compared", compared)
	}
}

// oneMessage returns a message with its header from the datagram that contains it.
func oneMessage(datagram []byte, m syscall.NetlinkMessage) []byte {
	begin := bytes.Index(datagram, m.Data) - unix.NLMSG_HDRLEN
	return datagram[begin : begin+int(m.Header.Len)]
}

func compare(t *testing.T, file string, message, payload []byte) {
	t.Helper()
	var b netlinkraw.Batch
	b.Load(message)
	if !b.Next() {
		t.Fatalf("%s: netlinkraw found no message", file)
	}
	want := ours(&b)
	got, err := jsimonetti(payload)
	if err != nil || got != want {
		t.Errorf("%s: jsimonetti/rtnetlink read %+v (%v), netlinkraw %+v", file, got, err, want)
	}
	want.Up, want.Down, want.HasCounts = 0, 0, false
	got, err = vishvananda(payload)
	if err != nil || got != want {
		t.Errorf("%s: vishvananda/netlink read %+v (%v), netlinkraw %+v", file, got, err, want)
	}
}

// BenchmarkDecode decodes an RTM_NEWLINK of 1.5 KB, which the kernel sent for a new MTU. The peers
// do not have to decode the message's header.
func BenchmarkDecode(b *testing.B) {
	const mtu = 9100
	datagram := recorded(b, "mtu.hex")[0]
	payload := datagram[unix.NLMSG_HDRLEN:]
	run := func(name string, decode func() uint32) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(datagram)))
			b.ReportAllocs()
			for b.Loop() {
				if got := decode(); got != mtu {
					b.Fatalf("MTU %d, want %d", got, mtu)
				}
			}
		})
	}
	var batch netlinkraw.Batch
	datagrams := [][]byte{datagram}
	run("portsyncd", func() uint32 {
		batch.Load(datagrams...)
		batch.Next()
		return batch.Message().Link.MTU
	})
	run("vishvananda", func() uint32 {
		l, err := netlink.LinkDeserialize(nil, payload)
		if err != nil {
			b.Fatal(err)
		}
		return uint32(l.Attrs().MTU)
	})
	run("jsimonetti", func() uint32 {
		var m rtnetlink.LinkMessage
		if err := m.UnmarshalBinary(payload); err != nil {
			b.Fatal(err)
		}
		return m.Attributes.MTU
	})
}
