package switchtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/netlinkraw"
)

// PortName returns the name of the n-th port. SONiC numbers ports by their first of four lanes.
func PortName(n int) string { return "Ethernet" + strconv.Itoa(4*n) }

// PeerName returns the name of the veth interface that is the peer of a port's interface.
func PeerName(port string) string { return "peer" + strings.TrimPrefix(port, "Ethernet") }

// IsPortName reports whether the daemon watches interfaces with this name.
func IsPortName(name string) bool {
	return strings.HasPrefix(name, "Ethernet") || strings.HasPrefix(name, "PortChannel")
}

// Bridge is a bridge that ports can be members of. SpareLink is an interface that is not a port.
const (
	Bridge    = "br0"
	SpareLink = "spare"
)

// AddPort creates a port's interface and its peer, and brings both up.
func (sw *Switch) AddPort(name string) {
	sw.T.Helper()
	sw.NoError("add a port", sw.Links.AddVeth(name, PeerName(name)))
	sw.SetUp(name)
}

// SetUp brings up a port's interface and its peer.
func (sw *Switch) SetUp(name string) {
	sw.T.Helper()
	sw.NoError("set a port up", sw.Links.SetUp(PeerName(name), true))
	sw.NoError("set a port up", sw.Links.SetUp(name, true))
}

// ClearLinks deletes all interfaces but lo.
func (sw *Switch) ClearLinks() {
	sw.T.Helper()
	var names []string
	sw.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if string(l.Name) != "lo" {
			names = append(names, string(l.Name))
		}
	}))
	for _, name := range names {
		sw.Links.Delete(name) // deletes both ends of a pair
	}
}

// LinkIndex returns the index of an interface, which must exist.
func (sw *Switch) LinkIndex(name string) int32 {
	sw.T.Helper()
	var index int32
	sw.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if string(l.Name) == name {
			index = l.Index
		}
	}))
	if index == 0 {
		sw.T.Fatalf("no interface %q", name)
	}
	return index
}

// AwaitRunning waits until the kernel has set or cleared IFF_RUNNING of the named interface. After
// a carrier change, this takes up to a second (net/core/link_watch.c).
func (sw *Switch) AwaitRunning(name string, running bool) {
	sw.T.Helper()
	Eventually(sw.T, Timeout, func() string {
		is := false
		sw.NoError("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
			is = is || string(l.Name) == name && l.Flags&unix.IFF_RUNNING != 0
		}))
		if is != running {
			return fmt.Sprintf("%s runs: %v, want %v", name, is, running)
		}
		return ""
	})
}

// LinkState is an interface as a recorded scenario describes it.
type LinkState struct {
	Admin  string `json:"admin"`
	MTU    int    `json:"mtu"`
	Master string `json:"master"`
}

// LinkStates returns the state of all front-panel ports and port channels in the kernel, by name.
func LinkStates(t T) map[string]LinkState {
	t.Helper()
	names, table := make(map[int32]string), make(map[string]LinkState)
	masters := make(map[string]int32)
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		name := string(l.Name)
		names[l.Index] = name
		if strings.HasPrefix(name, "Ethernet") || strings.HasPrefix(name, "PortChannel") {
			table[name] = LinkState{Admin: UpOrDown(l.Flags&unix.IFF_UP != 0), MTU: int(l.MTU)}
			masters[name] = l.Master
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, facts := range table {
		facts.Master = names[masters[name]]
		table[name] = facts
	}
	return table
}

// UpOrDown returns "up" or "down".
func UpOrDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

// UpToInt returns 1 for "up", else 0.
func UpToInt(state string) int {
	if state == "up" {
		return 1
	}
	return 0
}

// BoolToInt returns 1 for true, 0 for false.
func BoolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// WatchLinksDown records the name of a port each time the kernel reports it down or deleted.
func (sw *Switch) WatchLinksDown() *Record[string] {
	sw.T.Helper()
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	sw.NoError("open a netlink socket", err)
	sw.T.Cleanup(func() { conn.Close() })
	down := new(Record[string])
	go func() {
		var batch netlinkraw.Batch
		for conn.Receive(&batch) == nil {
			for batch.Next() {
				m := batch.Message()
				if m.Type != netlinkraw.NewLink && m.Type != netlinkraw.DelLink {
					continue
				}
				const working = unix.IFF_UP | unix.IFF_RUNNING
				if name := string(m.Link.Name); strings.HasPrefix(name, "Ethernet") &&
					(m.Type == netlinkraw.DelLink || m.Link.Flags&working != working) {
					down.Add(name)
				}
			}
		}
	}()
	return down
}

// DialLinks opens a netlink socket for changing links. A goroutine that changes links concurrently
// with the test needs a separate socket.
func DialLinks(t T) *lab.Links {
	t.Helper()
	links, err := lab.DialLinks()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { links.Close() })
	return links
}

// Churn changes the MTU of three ports, which ChangeLinks does not touch, until the returned
// function is called.
func (sw *Switch) Churn() (stop func()) { return sw.ChurnPorts(5, 3) }

// ChurnPorts continuously changes the MTU of a range of ports until the returned function is
// called.
func (sw *Switch) ChurnPorts(first, ports int) (stop func()) {
	links, quit, ended := DialLinks(sw.T), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
				links.SetMTU(PortName(first+i%ports), 1400+i%100)
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// NetlinkSocket is the daemon's netlink socket for link messages, as the kernel shows it.
type NetlinkSocket struct {
	Port    uint32 // port ID
	Dumping bool   // the kernel has not yet queued the last message of a dump
	Drops   int    // number of messages that the kernel dropped
}

// NetlinkSocket reads the state of the daemon's netlink socket from /proc/net/netlink.
func (sw *Switch) NetlinkSocket() NetlinkSocket {
	sw.T.Helper()
	text, err := os.ReadFile("/proc/self/net/netlink")
	sw.NoError("find the daemon's netlink socket", err)
	for _, line := range strings.Split(string(text), "\n")[1:] {
		// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		// Source: netlink_native_seq_show in net/netlink/af_netlink.c.
		f := strings.Fields(line)
		if len(f) < 10 || f[1] != strconv.Itoa(unix.NETLINK_ROUTE) {
			continue
		}
		if groups, err := strconv.ParseUint(f[3], 16, 32); err == nil && groups&1 != 0 {
			port, _ := strconv.ParseUint(f[2], 10, 32)
			drops, _ := strconv.Atoi(f[8])
			return NetlinkSocket{Port: uint32(port), Dumping: f[6] != "0", Drops: drops}
		}
	}
	sw.T.Fatal("no socket in RTNLGRP_LINK")
	return NetlinkSocket{}
}

// Overrun changes links until the kernel drops messages for the daemon. The daemon must be stopped
// by SIGSTOP.
func (sw *Switch) Overrun(ports int) {
	sw.T.Helper()
	before := sw.NetlinkSocket().Drops
	begin := time.Now()
	changes := 0
	for mtu := 1500; ; mtu++ {
		for n := range ports {
			sw.NoError("change the MTU", sw.Links.SetMTU(PortName(n), 1400+mtu%100))
			changes++
		}
		if sw.NetlinkSocket().Drops > before {
			sw.T.Logf("overrun after %d changes in %v", changes, time.Since(begin).Round(time.Millisecond))
			return
		}
		if changes > 1_000_000 {
			sw.T.Fatalf("no overrun after %d changes", changes)
		}
	}
}
