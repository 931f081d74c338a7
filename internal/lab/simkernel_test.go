package lab

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// linkSource is what Conn and SimKernel have in common.
type linkSource interface {
	Receive(*netlinkraw.Batch) error
	RequestLinkDump() (uint32, error)
}

// newSim returns a kernel that is closed should the test hang.
func newSim(t *testing.T) *SimKernel {
	k := NewSimKernel()
	timer := time.AfterFunc(10*time.Second, func() { k.Close() })
	t.Cleanup(func() { timer.Stop() })
	return k
}

// describe renders a message but for the index.
func describe(m *netlinkraw.Message) string {
	if m.Type == netlinkraw.DumpDone || m.Type == netlinkraw.Overrun {
		return m.Type.String()
	}
	l := &m.Link
	return fmt.Sprintf("%s %s kind=%s up=%t running=%t mtu=%d carrier=+%d-%d",
		m.Type, l.Name, l.Kind, l.Up(), l.Running(), l.MTU, l.CarrierUp, l.CarrierDown)
}

// follower keeps the last message of each link by index.
type follower struct {
	source linkSource
	batch  netlinkraw.Batch
	last   map[int32]string
}

// receive takes in one batch.
func (f *follower) receive() error {
	if err := f.source.Receive(&f.batch); err != nil {
		return err
	}
	for f.batch.Next() {
		if m := f.batch.Message(); m.Link.Index > 1 {
			f.last[m.Link.Index] = describe(m)
		}
	}
	return nil
}

// byName removes the indexes, which differ between two kernels.
func (f *follower) byName() map[string]bool {
	out := make(map[string]bool)
	for _, text := range f.last {
		out[text] = true
	}
	return out
}

// TestSimKernelIsLikeTheKernel makes the same changes to the kernel and to a SimKernel, and
// compares the resulting link messages.
func TestSimKernelIsLikeTheKernel(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sim, links := newSim(t), dialLinks(t)
	ofKernel := follower{source: conn, last: make(map[int32]string)}
	ofSim := follower{source: sim, last: make(map[int32]string)}

	type maker interface {
		LinkMaker
		Rename(name, to string) error
	}
	for _, step := range []struct {
		name string
		do   func(maker) error
	}{
		{"add", func(m maker) error { return m.AddVeth("Ethernet0", "p0") }},
		{"add another", func(m maker) error { return m.AddVeth("Ethernet4", "p4") }},
		{"up", func(m maker) error { return m.SetUp("Ethernet0", true) }},
		{"peer up", func(m maker) error { return m.SetUp("p0", true) }},
		{"mtu", func(m maker) error { return m.SetMTU("Ethernet0", 9100) }},
		{"peer down", func(m maker) error { return m.SetUp("p0", false) }},
		{"peer up again", func(m maker) error { return m.SetUp("p0", true) }},
		{"down", func(m maker) error { return m.SetUp("Ethernet0", false) }},
		{"rename", func(m maker) error { return m.Rename("Ethernet0", "Ethernet8") }},
		{"up under the other name", func(m maker) error { return m.SetUp("Ethernet8", true) }},
		{"delete while up", func(m maker) error { return m.Delete("Ethernet8") }},
		{"delete by the peer", func(m maker) error { return m.Delete("p4") }},
		{"the name again", func(m maker) error { return m.AddVeth("Ethernet0", "p0") }},
	} {
		if err := step.do(sim); err != nil {
			t.Fatalf("%s: simulated: %v", step.name, err)
		}
		if err := ofSim.receive(); err != nil {
			t.Fatal(err)
		}
		if err := step.do(links); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		// The kernel announces a carrier change with a delay.
		giveUp := time.AfterFunc(10*time.Second, func() { conn.Close() })
		for !maps.Equal(ofKernel.byName(), ofSim.byName()) {
			if err := ofKernel.receive(); err != nil {
				t.Fatalf("%s:\n   kernel %v\nsimulated %v", step.name, ofKernel.byName(), ofSim.byName())
			}
		}
		giveUp.Stop()
	}
}

// TestSimKernelErrors checks the errors of invalid changes.
func TestSimKernelErrors(t *testing.T) {
	k := newSim(t)
	if err := k.AddVeth("Ethernet0", "p0"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ err, want error }{
		{k.AddVeth("Ethernet0", "p1"), unix.EEXIST},
		{k.AddVeth("Ethernet4", "p0"), unix.EEXIST},
		{k.AddVeth("x", "x"), unix.EEXIST},
		{k.AddVeth("", "p1"), unix.EINVAL},
		{k.AddVeth("Ethernet123456789", "p1"), unix.ERANGE},
		{k.Delete("Ethernet9"), unix.ENODEV},
		{k.Delete("lo"), unix.EOPNOTSUPP},
		{k.SetUp("Ethernet9", true), unix.ENODEV},
		{k.SetMTU("Ethernet9", 1500), unix.ENODEV},
		{k.SetMTU("Ethernet0", 67), unix.EINVAL},
		{k.SetMTU("Ethernet0", 65536), unix.EINVAL},
		{k.Rename("Ethernet9", "x"), unix.ENODEV},
		{k.Rename("Ethernet0", "p0"), unix.EEXIST},
		{k.Rename("Ethernet0", "Ethernet123456789"), unix.EINVAL},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("got %v, want %v", test.err, test.want)
		}
	}
}

// receiveAll takes what is queued and returns a line for each message.
func receiveAll(t *testing.T, k *SimKernel) []string {
	t.Helper()
	var out []string
	var b netlinkraw.Batch
	for len(out) < 10000 {
		k.mu.Lock()
		empty := len(k.queue) == 0 && !k.lost
		k.mu.Unlock()
		if empty {
			return out
		}
		if err := k.Receive(&b); err != nil {
			t.Fatal(err)
		}
		for b.Next() {
			out = append(out, describe(b.Message()))
		}
	}
	t.Fatal("no end of messages")
	return nil
}

// TestSimKernelDump checks complete and interrupted dumps.
func TestSimKernelDump(t *testing.T) {
	k := newSim(t)
	const ports = 300 // more than one datagram holds
	for i := range ports {
		if err := k.AddVeth(PortName(i), PeerName(PortName(i))); err != nil {
			t.Fatal(err)
		}
	}
	receiveAll(t, k)
	k.InterruptDumps(1)
	for attempt, interrupted := range []bool{true, false} {
		seq, err := k.RequestLinkDump()
		if err != nil {
			t.Fatal(err)
		}
		var b netlinkraw.Batch
		seen := make(map[string]bool)
		var done *netlinkraw.Message
		for done == nil {
			if err := k.Receive(&b); err != nil {
				t.Fatal(err)
			}
			for b.Next() {
				m := *b.Message()
				if !m.Dump || m.Seq != seq || done != nil {
					t.Fatalf("attempt %d: message %+v in dump %d", attempt, m, seq)
				}
				if m.Type == netlinkraw.DumpDone {
					done = &m
				} else {
					seen[string(m.Link.Name)] = true
				}
			}
		}
		if len(seen) != 2*ports+1 || !seen["lo"] || done.Errno != 0 || done.Interrupted != interrupted {
			t.Errorf("attempt %d: %d links, errno %v, interrupted %t", attempt, len(seen), done.Errno, done.Interrupted)
		}
	}
}

// TestSimKernelOverrun checks that lost messages are followed by an overrun.
func TestSimKernelOverrun(t *testing.T) {
	k := newSim(t)
	k.QueueLimit = 3
	for i := range 4 {
		if err := k.AddVeth(PortName(i), PeerName(PortName(i))); err != nil {
			t.Fatal(err)
		}
	}
	got := receiveAll(t, k)
	if len(got) != 4 || !strings.HasPrefix(got[2], "newlink p4 ") || got[3] != "overrun" {
		t.Errorf("got %q, want the first three messages and Overrun", got)
	}
	if err := k.SetUp("p0", true); err != nil {
		t.Fatal(err)
	}
	if got := receiveAll(t, k); len(got) != 1 {
		t.Errorf("after the overrun: %q", got)
	}
}

// TestSimKernelClose checks that Close ends Receive.
func TestSimKernelClose(t *testing.T) {
	k := NewSimKernel()
	ended := make(chan error)
	go func() {
		var b netlinkraw.Batch
		ended <- k.Receive(&b)
	}()
	k.Close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("blocked Receive: %v", err)
	}
	var b netlinkraw.Batch
	for range 2 {
		if err := k.Receive(&b); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Receive: %v", err)
		}
	}
	if _, err := k.RequestLinkDump(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("RequestLinkDump: %v", err)
	}
	if err := k.AddVeth("Ethernet0", "p0"); err != nil {
		t.Error(err)
	}
}

// TestSimKernelRequestLink checks that RequestLink queues a message for an existing link only.
func TestSimKernelRequestLink(t *testing.T) {
	k := newSim(t)
	if err := k.AddVeth("Ethernet0", "p0"); err != nil {
		t.Fatal(err)
	}
	requests := receiveAll(t, k)[1]
	for index, want := range map[int32][]string{3: {requests}, 99: nil} {
		if err := k.RequestLink(index); err != nil {
			t.Fatal(err)
		}
		if got := receiveAll(t, k); !slices.Equal(got, want) {
			t.Errorf("link %d: got %q, want %q", index, got, want)
		}
	}
}
