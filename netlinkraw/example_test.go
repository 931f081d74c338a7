package netlinkraw_test

import (
	"fmt"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// A simulated kernel: messages are built, and read as if they had been
// received. A Conn fills a Batch with Receive instead of Load.
func ExampleBatch_Load() {
	port := netlinkraw.Link{Index: 7, Name: []byte("Ethernet0"), MTU: 9100, HasMTU: true, Flags: unix.IFF_UP}
	datagram := netlinkraw.AppendLinkMessage(nil, unix.RTM_NEWLINK, unix.NLM_F_MULTI, 1, 0, &port)
	end := netlinkraw.AppendDone(nil, 1, 0, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, 0)

	var b netlinkraw.Batch
	b.Load(datagram, end)
	for b.Next() {
		switch m := b.Message(); m.Type {
		case netlinkraw.NewLink, netlinkraw.DelLink:
			l := &m.Link
			fmt.Printf("%v %d %s up=%t running=%t mtu=%d\n", m.Type, l.Index, l.Name, l.Up(), l.Running(), l.MTU)
		case netlinkraw.DumpDone:
			fmt.Printf("%v: dump again: %t\n", m.Type, m.Interrupted || m.Errno != 0)
		case netlinkraw.Overrun:
			fmt.Println("messages were lost: dump again")
		}
	}
	// Output:
	// newlink 7 Ethernet0 up=true running=false mtu=9100
	// dumpdone: dump again: true
}
