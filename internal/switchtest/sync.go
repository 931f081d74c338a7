package switchtest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/netlinkraw"
)

// InStepWithin is the promise: so soon after a fault's end STATE_DB equals the
// kernel. The race detector makes everything several times slower.
const SyncTimeout = time.Second * RaceFactor

// PortName is the name of the n-th port, as SONiC numbers those of four lanes.
func PortName(n int) string { return "Ethernet" + strconv.Itoa(4*n) }

// PeerName is the other end of its cable.
func PeerName(port string) string { return "peer" + strings.TrimPrefix(port, "Ethernet") }

// Configure writes CONFIG_DB's rows for some ports.
func (sw *Switch) ConfigurePorts(ports int) {
	sw.T.Helper()
	for n := range ports {
		sw.Do("CONFIG_DB", "HSET", "PORT|"+PortName(n), "lanes", strconv.Itoa(n), "alias", "etp"+strconv.Itoa(n),
			"speed", "100000", "mtu", "9100", "admin_status", "up")
	}
}

// AddPort makes a port's interface and sets both ends of the cable up.
func (sw *Switch) AddPort(name string) {
	sw.T.Helper()
	sw.NoError("add a port", sw.Links.AddVeth(name, PeerName(name)))
	sw.SetUp(name)
}

func (sw *Switch) SetUp(name string) {
	sw.T.Helper()
	sw.NoError("set a port up", sw.Links.SetUp(PeerName(name), true))
	sw.NoError("set a port up", sw.Links.SetUp(name, true))
}

// BringUp starts the daemon on a configuration of some ports and plays
// orchagent until all is up and reported, PortInitDone included.
func (sw *Switch) BringUp(ports int) *Daemon {
	sw.T.Helper()
	sw.ConfigurePorts(ports)
	d := sw.StartReady()
	sw.PopPortTable()
	for n := range ports {
		sw.AddPort(PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(Timeout)
	return d
}

// AwaitInitDone waits until PortInitDone is handed over, and pops it.
func (sw *Switch) AwaitInitDone() {
	sw.T.Helper()
	Eventually(sw.T, Timeout, func() string {
		sw.PopPortTable()
		if !sw.Exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "no PortInitDone"
		}
		return ""
	})
}

// AwaitInStep waits until STATE_DB says what the kernel says, makes sure that it
// stays so, and returns how long it took. The kernel may change a link by itself
// meanwhile, since it takes up to a second to act on a carrier; then the limit
// counts from there.
func (sw *Switch) AwaitInSync(limit time.Duration) (longest time.Duration) {
	sw.T.Helper()
	const stays = 150 * time.Millisecond
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	watch, kernel := StartStopwatch(), ""
	var since time.Time // it has been in step, if not zero
	for {
		links, problem := sw.OutOfSync()
		now := time.Now()
		if links != kernel {
			if kernel != "" {
				watch = StartStopwatch()
			}
			kernel = links
		}
		switch {
		case problem != "" && watch.Left(limit) <= 0:
			sw.T.Fatalf("not within %v: %s", limit, problem)
		case problem != "":
			since = time.Time{}
		case since.IsZero():
			since, longest = now, max(longest, now.Sub(watch.Begin))
		case now.Sub(since) > stays:
			return longest
		}
		<-tick.C
	}
}

// Recovered is AwaitInStep within the promised second, and shown.
func (sw *Switch) AwaitRecovery(from string) {
	sw.T.Helper()
	sw.T.Logf("%s: in step after %v", from, sw.AwaitInSync(SyncTimeout).Round(time.Millisecond))
	sw.AwaitReportedPorts()
}

// OutOfStep compares STATE_DB with a fresh dump of the kernel's links, which it
// returns, and says what differs, "" if nothing: each port that APPL_DB has must
// have its row, and each row that the daemon wrote its interface. Interfaces in
// old are none of its business.
func (sw *Switch) OutOfSync() (links, problem string) {
	sw.T.Helper()
	want := make(map[string]map[string]string)
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if strings.HasPrefix(string(l.Name), "Ethernet") && !sw.IgnoredLinks[l.Index] {
			want[string(l.Name)] = map[string]string{
				"state":              "ok",
				"admin_status":       UpOrDown(l.Flags&unix.IFF_UP != 0),
				"netdev_oper_status": UpOrDown(l.Flags&unix.IFF_RUNNING != 0),
				"mtu":                strconv.Itoa(int(l.MTU)),
			}
		}
	})
	sw.NoError("list the links", err)
	keys, err := sw.Conn("STATE_DB").Keys("PORT_TABLE|*")
	sw.NoError("list the rows", err)
	rows, err := sw.Conn("STATE_DB").HGetAllMany(keys)
	sw.NoError("read the rows", err)
	var wrong []string
	have := make(map[string]map[string]string)
	for _, row := range rows {
		name := strings.TrimPrefix(row.Key, "PORT_TABLE|")
		have[name] = make(map[string]string)
		for _, f := range row.Fields {
			have[name][f.Field] = f.Value
		}
		if _, ours := have[name]["netdev_oper_status"]; ours && want[name] == nil {
			wrong = append(wrong, name+" is gone and has a row")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		for field, value := range want[name] {
			if got := have[name][field]; got != value && sw.Exists("APPL_DB", "PORT_TABLE:"+name) {
				wrong = append(wrong, fmt.Sprintf("%s of %s is %q, the kernel says %q", field, name, got, value))
			}
		}
	}
	return fmt.Sprint(want), strings.Join(wrong[:min(len(wrong), 6)], "; ")
}

// LinkIndex returns the index of an interface.
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

// AwaitRunning waits until the kernel says so of an interface: it follows the
// carrier when it finds the time (net/core/link_watch.c).
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

// NetlinkSocket is what the kernel tells of the daemon's socket in the group of
// link messages (/proc/net/netlink).
func (sw *Switch) NetlinkSocket() (port uint32, drops int) {
	sw.T.Helper()
	text, err := os.ReadFile("/proc/self/net/netlink")
	sw.NoError("find the daemon's netlink socket", err)
	for _, line := range strings.Split(string(text), "\n")[1:] {
		// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		f := strings.Fields(line)
		if len(f) < 10 || f[1] != strconv.Itoa(unix.NETLINK_ROUTE) {
			continue
		}
		if groups, err := strconv.ParseUint(f[3], 16, 32); err == nil && groups&1 != 0 {
			pid, _ := strconv.ParseUint(f[2], 10, 32)
			drops, _ = strconv.Atoi(f[8])
			return uint32(pid), drops
		}
	}
	sw.T.Fatal("no socket in RTNLGRP_LINK")
	return 0, 0
}

// Overrun changes links until the kernel has dropped messages for the daemon,
// which is held.
func (sw *Switch) Overrun(ports int) {
	sw.T.Helper()
	_, before := sw.NetlinkSocket()
	begin := time.Now()
	changes := 0
	for mtu := 1500; ; mtu++ {
		for n := range ports {
			sw.NoError("change the MTU", sw.Links.SetMTU(PortName(n), 1400+mtu%100))
			changes++
		}
		if _, drops := sw.NetlinkSocket(); drops > before {
			sw.T.Logf("overrun after %d changes in %v", changes, time.Since(begin).Round(time.Millisecond))
			return
		}
		if changes > 1_000_000 {
			sw.T.Fatalf("no overrun after %d changes", changes)
		}
	}
}

// links of the test's own making need a socket of the goroutine's own.
func DialLinks(t *testing.T) *lab.Links {
	t.Helper()
	links, err := lab.DialLinks()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { links.Close() })
	return links
}
