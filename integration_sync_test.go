package main

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

	"portsyncd/lab"
	"portsyncd/netlinkraw"
)

// inStepWithin is the promise: so soon after a fault's end STATE_DB equals the
// kernel. The race detector makes everything several times slower.
const inStepWithin = time.Second * raceFactor

// portName is the name of the n-th port, as SONiC numbers those of four lanes.
func portName(n int) string { return "Ethernet" + strconv.Itoa(4*n) }

// peerName is the other end of its cable.
func peerName(port string) string { return "peer" + strings.TrimPrefix(port, "Ethernet") }

// configure writes CONFIG_DB's rows for some ports.
func (c *cell) configure(ports int) {
	c.t.Helper()
	for n := range ports {
		c.do("CONFIG_DB", "HSET", "PORT|"+portName(n), "lanes", strconv.Itoa(n), "alias", "etp"+strconv.Itoa(n),
			"speed", "100000", "mtu", "9100", "admin_status", "up")
	}
}

// addPort makes a port's interface and sets both ends of the cable up.
func (c *cell) addPort(name string) {
	c.t.Helper()
	c.must("add a port", c.links.AddVeth(name, peerName(name)))
	c.setUp(name)
}

func (c *cell) setUp(name string) {
	c.t.Helper()
	c.must("set a port up", c.links.SetUp(peerName(name), true))
	c.must("set a port up", c.links.SetUp(name, true))
}

// bringUp starts the daemon on a configuration of some ports and plays
// orchagent until all is up and reported, PortInitDone included.
func (c *cell) bringUp(ports int) *program {
	c.t.Helper()
	c.configure(ports)
	d := c.startReady()
	c.pop()
	for n := range ports {
		c.addPort(portName(n))
	}
	c.awaitInitDone()
	c.awaitInStep(patience)
	return d
}

// awaitInitDone waits until PortInitDone is handed over, and pops it.
func (c *cell) awaitInitDone() {
	c.t.Helper()
	eventually(c.t, patience, func() string {
		c.pop()
		if !c.exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "no PortInitDone"
		}
		return ""
	})
}

// awaitInStep waits until STATE_DB says what the kernel says, makes sure that it
// stays so, and returns how long it took. The kernel may change a link by itself
// meanwhile, since it takes up to a second to act on a carrier; then the limit
// counts from there.
func (c *cell) awaitInStep(limit time.Duration) (longest time.Duration) {
	c.t.Helper()
	const stays = 150 * time.Millisecond
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	watch, kernel := startWatch(), ""
	var since time.Time // it has been in step, if not zero
	for {
		links, problem := c.outOfStep()
		now := time.Now()
		if links != kernel {
			if kernel != "" {
				watch = startWatch()
			}
			kernel = links
		}
		switch {
		case problem != "" && watch.left(limit) <= 0:
			c.t.Fatalf("not within %v: %s", limit, problem)
		case problem != "":
			since = time.Time{}
		case since.IsZero():
			since, longest = now, max(longest, now.Sub(watch.begin))
		case now.Sub(since) > stays:
			return longest
		}
		<-tick.C
	}
}

// recovered is awaitInStep within the promised second, and shown.
func (c *cell) recovered(from string) {
	c.t.Helper()
	c.t.Logf("%s: in step after %v", from, c.awaitInStep(inStepWithin).Round(time.Millisecond))
	c.shown()
}

// outOfStep compares STATE_DB with a fresh dump of the kernel's links, which it
// returns, and says what differs, "" if nothing: each port that APPL_DB has must
// have its row, and each row that the daemon wrote its interface. Interfaces in
// old are none of its business.
func (c *cell) outOfStep() (links, problem string) {
	c.t.Helper()
	want := make(map[string]map[string]string)
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if strings.HasPrefix(string(l.Name), "Ethernet") && !c.old[l.Index] {
			want[string(l.Name)] = map[string]string{
				"state":              "ok",
				"admin_status":       upOrDown(l.Flags&unix.IFF_UP != 0),
				"netdev_oper_status": upOrDown(l.Flags&unix.IFF_RUNNING != 0),
				"mtu":                strconv.Itoa(int(l.MTU)),
			}
		}
	})
	c.must("list the links", err)
	keys, err := c.conn("STATE_DB").Keys("PORT_TABLE|*")
	c.must("list the rows", err)
	rows, err := c.conn("STATE_DB").HGetAllMany(keys)
	c.must("read the rows", err)
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
			if got := have[name][field]; got != value && c.exists("APPL_DB", "PORT_TABLE:"+name) {
				wrong = append(wrong, fmt.Sprintf("%s of %s is %q, the kernel says %q", field, name, got, value))
			}
		}
	}
	return fmt.Sprint(want), strings.Join(wrong[:min(len(wrong), 6)], "; ")
}

// linkIndex returns the index of an interface.
func (c *cell) linkIndex(name string) int32 {
	c.t.Helper()
	var index int32
	c.must("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if string(l.Name) == name {
			index = l.Index
		}
	}))
	if index == 0 {
		c.t.Fatalf("no interface %q", name)
	}
	return index
}

// awaitRunning waits until the kernel says so of an interface: it follows the
// carrier when it finds the time (net/core/link_watch.c).
func (c *cell) awaitRunning(name string, running bool) {
	c.t.Helper()
	eventually(c.t, patience, func() string {
		is := false
		c.must("list the links", netlinkraw.ListLinks(func(l *netlinkraw.Link) {
			is = is || string(l.Name) == name && l.Flags&unix.IFF_RUNNING != 0
		}))
		if is != running {
			return fmt.Sprintf("%s runs: %v, want %v", name, is, running)
		}
		return ""
	})
}

// netlinkSocket is what the kernel tells of the daemon's socket in the group of
// link messages (/proc/net/netlink).
func (c *cell) netlinkSocket() (port uint32, drops int) {
	c.t.Helper()
	text, err := os.ReadFile("/proc/self/net/netlink")
	c.must("find the daemon's netlink socket", err)
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
	c.t.Fatal("no socket in RTNLGRP_LINK")
	return 0, 0
}

// overrun changes links until the kernel has dropped messages for the daemon,
// which is held.
func (c *cell) overrun(ports int) {
	c.t.Helper()
	_, before := c.netlinkSocket()
	begin := time.Now()
	changes := 0
	for mtu := 1500; ; mtu++ {
		for n := range ports {
			c.must("change the MTU", c.links.SetMTU(portName(n), 1400+mtu%100))
			changes++
		}
		if _, drops := c.netlinkSocket(); drops > before {
			c.t.Logf("overrun after %d changes in %v", changes, time.Since(begin).Round(time.Millisecond))
			return
		}
		if changes > 1_000_000 {
			c.t.Fatalf("no overrun after %d changes", changes)
		}
	}
}

// links of the test's own making need a socket of the goroutine's own.
func dialLinks(t *testing.T) *lab.Links {
	t.Helper()
	links, err := lab.DialLinks()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { links.Close() })
	return links
}
