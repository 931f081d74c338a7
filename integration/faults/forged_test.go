package faults

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// TestForgedSender sends link messages to the daemon's socket from another process, as any process
// with CAP_NET_ADMIN can. The daemon must ignore and count them (docs/PROTOCOL.md section 12).
func TestForgedSender(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(2)
	victim := switchtest.PortName(0)
	index := sw.LinkIndex(victim)
	forged := func(typ uint16, mtu uint32) []byte {
		return netlinkraw.AppendLinkMessage(nil, typ, 0, 0, 0, &netlinkraw.Link{
			Index: index, Name: []byte(victim), Flags: unix.IFF_UP, MTU: mtu, HasMTU: true})
	}
	seen, err := switchtest.Monitor(sw.Databases["STATE_DB"].TCPAddress())
	sw.NoError("monitor", err)

	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	sw.NoError("open a socket", err)
	defer unix.Close(fd)
	port := sw.NetlinkSocket().Port
	for _, to := range []*unix.SockaddrNetlink{
		{Family: unix.AF_NETLINK, Pid: port},
		{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)},
	} {
		for _, message := range [][]byte{
			forged(unix.RTM_NEWLINK, 9999),
			forged(unix.RTM_DELLINK, 9999),
			netlinkraw.AppendDone(nil, 1, port, unix.NLM_F_MULTI, 0),
			netlinkraw.AppendDone(nil, 2, port, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, 0),
			[]byte(strings.Repeat("\xff", 64)),
		} {
			if err := unix.Sendto(fd, message, 0, to); err != nil {
				t.Fatalf("send to %+v: %v", to, err)
			}
		}
	}
	// When this change is in STATE_DB, the daemon has processed all messages before it.
	sw.IPLink("link set " + switchtest.PortName(1) + " mtu 1400")
	sw.AwaitRecovery("forged messages")

	switchtest.NewClient(t, switchtest.HTTPAddress).AwaitValue("portsyncd_netlink_forged_total", 10)
	commands, _ := seen.From(0)
	for _, cmd := range commands {
		if text := strings.Join(cmd.Args, " "); cmd.Source == "lua" && (strings.Contains(text, "9999") ||
			strings.HasPrefix(strings.ToUpper(text), "DEL ")) {
			t.Errorf("a forged message led to %q", text)
		}
	}
	sw.CheckAfterFault(d)
}
