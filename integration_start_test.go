package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// These tests are about what a start finds: databases that are not there yet or
// hold strange values, interfaces and rows of an earlier run (PROTOCOL.md D5, D6,
// D9, D10, D12 and D14).

// TestRedisAbsent starts without a server: the daemon waits, says so, asks the
// service manager for patience, and starts when the server comes. An interface
// made while it waits is not taken for an old one (D10); one from before is.
func TestRedisAbsent(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	c.configure(2)
	c.do("APPL_DB", "HSET", "PORT_TABLE:"+portName(1), "lanes", "1")
	c.do("APPL_DB", "SAVE")
	r.kill()
	c.hangUp()
	c.addPort(portName(0))
	c.old[c.linkIndex(portName(0))] = true

	d := c.start(launch{})
	d.awaitState(0, patience, "STATUS=waiting for the databases")
	d.awaitState(0, patience, "EXTEND_TIMEOUT_USEC=")
	d.signal(syscall.SIGHUP) // reads the configuration, and does not make it ready
	c.awaitLog(0, patience, "configuration read")
	c.addPort(portName(1))
	throughout(t, 300*time.Millisecond, func() string {
		if !d.alive() {
			return "the daemon has ended"
		}
		return ""
	})
	if states, _ := d.states.from(0); strings.Contains(fmt.Sprint(states), "READY=1") {
		t.Error("ready without databases")
	}
	c.must("start redis", r.again())
	c.recovered("arrival of Redis")
	d.awaitReady()
	eventually(t, inStepWithin, func() string {
		if links := linkTable(t); links[portName(0)].Admin != "down" || links[portName(1)].Admin != "up" {
			return fmt.Sprintf("links are %v, want the old one down and the new one up", links)
		}
		return ""
	})
	if row := c.row("STATE_DB", "PORT_TABLE|"+portName(1)); row["admin_status"] != "up" {
		t.Errorf("the new interface has the row %v", row)
	}
}

// TestMapLater has the database map come later, first broken, then right.
func TestMapLater(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	c.must("remove the map", os.Remove(mapFile))
	// Without a map the address in the configuration holds, where nobody listens.
	conf := c.dir + "/portsyncd.conf"
	writeFile(t, conf, "[database]\nredis_port = 1\n")
	d := c.start(launch{args: []string{"-c", conf}})
	d.awaitState(0, patience, "STATUS=waiting for the databases")
	for _, broken := range []string{"", "{", `{"DATABASES": {}}`, strings.Replace(usualMap, `"STATE_DB"`, `"OTHER_DB"`, 1)} {
		n := d.states.len()
		c.must("write the map", os.WriteFile(mapFile, []byte(broken), 0o644))
		throughout(t, 100*time.Millisecond, func() string {
			if states, _ := d.states.from(n); !d.alive() || strings.Contains(fmt.Sprint(states), "READY=1") {
				return fmt.Sprintf("with map %q: alive %v, %q", broken, d.alive(), states)
			}
			return ""
		})
	}
	c.must("write the map", os.WriteFile(mapFile, []byte(usualMap), 0o644))
	d.awaitState(0, inStepWithin, "READY=1")
	if n := c.pop(); n != 2 {
		t.Errorf("%d rows are produced, want a port and PortConfigDone", n)
	}
}

// TestProcessRestart restarts the daemon alone on a running switch (D6): no
// interface goes down, ports and markers are produced again, rows of interfaces
// that vanished meanwhile go (D9) and those of others stay.
func TestProcessRestart(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	d.kill()
	c.disturb()
	c.do("STATE_DB", "HSET", "PORT_TABLE|Ethernet0.10", "state", "ok") // intfmgrd's
	before := linkTable(t)
	c.startReady()
	c.recovered("restart of the process")
	if after := linkTable(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("links are\n%v, were\n%v", after, before)
	}
	if !c.exists("STATE_DB", "PORT_TABLE|Ethernet0.10") {
		t.Error("the row of another daemon is gone")
	}
	eventually(t, inStepWithin, func() string {
		pending := strings.Join(c.elements("APPL_DB", keySet), " ")
		if !strings.Contains(pending, "PortConfigDone") || !strings.Contains(pending, "PortInitDone") {
			return "pending are " + pending
		}
		return ""
	})
}

// TestWarmStartStaleRows has rows of interfaces that vanished while the daemon
// was down (D9).
func TestWarmStartStaleRows(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(2)
	c.do("APPL_DB", "HSET", "PORT_TABLE:"+portName(0), "lanes", "0")
	c.do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|system", "enable", "true")
	c.do("STATE_DB", "HSET", "WARM_RESTART_TABLE|portsyncd", "restore_count", "4")
	c.do("STATE_DB", "HSET", "PORT_TABLE|"+portName(1), "state", "ok", "netdev_oper_status", "up", "admin_status", "up", "mtu", "9100")
	c.do("STATE_DB", "HSET", "PORT_TABLE|Ethernet0.10", "state", "ok")
	c.addPort(portName(0))
	c.startReady()
	c.recovered("warm start")
	if c.exists("STATE_DB", "PORT_TABLE|"+portName(1)) {
		t.Error("the stale row is still there")
	}
	if !c.exists("STATE_DB", "PORT_TABLE|Ethernet0.10") {
		t.Error("the row of another daemon is gone")
	}
	if row := c.row("STATE_DB", "WARM_RESTART_TABLE|portsyncd"); row["restore_count"] != "5" {
		t.Errorf("restore_count: %v", row)
	}
	if pending := c.elements("APPL_DB", keySet); len(pending) > 0 {
		t.Errorf("a warm start produced %q", pending)
	}
}

// TestStrangeRestoreCount starts with what is no plain number (D12): it counts
// as absent, so the start is cold.
func TestStrangeRestoreCount(t *testing.T) {
	alongside(t)
	for _, count := range []string{"abc", "12abc", "-1", "+1", "1e3", " 1", "4294967296"} {
		t.Run(count, func(t *testing.T) {
			c := newCell(t)
			if c == nil {
				return
			}
			c.configure(1)
			c.do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
			c.do("STATE_DB", "HSET", "WARM_RESTART_TABLE|portsyncd", "restore_count", count, "state", "reconciled")
			c.startReady()
			if got := contentOf(c.row("STATE_DB", "WARM_RESTART_TABLE|portsyncd")); got != `{"restore_count":"0","state":"reconciled"}` {
				t.Errorf("the row is %s", got)
			}
			if n := c.pop(); n != 2 {
				t.Errorf("%d rows are produced, want a port and PortConfigDone", n)
			}
		})
	}
}

// TestBadRows starts with rows that are not hashes (D14): each is skipped with
// an error that names it, and all else is done.
func TestBadRows(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(3)
	c.do("CONFIG_DB", "DEL", "PORT|"+portName(1))
	for _, key := range []string{"PORT|" + portName(1), "LOGGER|portsyncd", "DEVICE_METADATA|localhost"} {
		c.do("CONFIG_DB", "SET", key, "a string")
	}
	c.do("STATE_DB", "SET", "WARM_RESTART_ENABLE_TABLE|system", "a string")
	c.startReady()
	c.pop()
	if row := c.row("APPL_DB", "PORT_TABLE:PortConfigDone"); row["count"] != "2" {
		t.Errorf("PortConfigDone is %v, want the 2 ports that could be read", row)
	}
	for _, n := range []int{0, 2} {
		if !c.exists("APPL_DB", "PORT_TABLE:"+portName(n)) {
			t.Errorf("%s is not produced", portName(n))
		}
		c.addPort(portName(n))
	}
	c.awaitInitDone()
	c.recovered("bad rows")
	for _, key := range []string{"PORT|" + portName(1), "LOGGER|portsyncd", "DEVICE_METADATA|localhost", "WARM_RESTART_ENABLE_TABLE|system"} {
		if line := c.awaitLog(0, patience, key, "WRONGTYPE"); line.severity() != 3 {
			t.Errorf("severity %d, want error: %s", line.severity(), line)
		}
	}
}

// TestEagerConsumer pops while the ports are still being produced (D5): the
// fresh rows must not look like those of an earlier run, so PortInitDone waits
// for the interfaces.
func TestEagerConsumer(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	const ports = 64
	c.configure(ports)
	d := c.start(launch{})
	eventually(t, patience, func() string {
		c.pop()
		if !c.exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
			return "no PortConfigDone"
		}
		return ""
	})
	d.awaitReady()
	throughout(t, 200*time.Millisecond, func() string {
		if c.pop(); c.exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "PortInitDone without any interface"
		}
		return ""
	})
	for n := range ports {
		c.addPort(portName(n))
	}
	c.awaitInitDone()
	c.recovered("64 ports")
}

// TestRename renames a port (D7): the row of the old name goes, but not if
// another interface has that name by then. A rename needs the link down.
func TestRename(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.bringUp(2)
	c.do("APPL_DB", "HSET", "PORT_TABLE:"+portName(2), "lanes", "2")
	c.ip("link set "+portName(0)+" down", "link set "+portName(0)+" name "+portName(2))
	c.recovered("rename")
	if c.exists("STATE_DB", "PORT_TABLE|"+portName(0)) {
		t.Error("the row of the old name is still there")
	}
	c.ip("link set "+portName(1)+" down", "link set "+portName(2)+" name spare",
		"link set "+portName(1)+" name "+portName(2), "link set spare name "+portName(1), "link set "+portName(1)+" mtu 1400")
	c.recovered("two names exchanged")
	c.ip("link set " + portName(1) + " name uplink")
	c.recovered("renamed to a name that does not matter")
}

// TestOldIndexReused gives the index of an old interface to a new one after it
// was deleted (D8).
func TestOldIndexReused(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	c.addPort(portName(0))
	index := c.linkIndex(portName(0))
	c.startReady()
	c.pop()
	c.awaitLog(0, patience, "set down and ignored")
	c.must("delete the old interface", c.links.Delete(portName(0)))
	c.must("make it again", addVethIndex(portName(0), index))
	if got := c.linkIndex(portName(0)); got != index {
		t.Fatalf("the new interface has index %d, want %d", got, index)
	}
	c.recovered("reuse of the index")
	c.awaitInitDone()
	c.ip("link set " + portName(0) + " mtu 1400")
	c.recovered("a change of it")
}

// addVethIndex makes a veth pair whose first end gets the index that is asked
// for; the kernel names the other.
func addVethIndex(name string, index int32) error {
	r, err := netlinkraw.DialRequester()
	if err != nil {
		return err
	}
	defer r.Close()
	b := netlinkraw.AppendHeader(nil, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, 0)
	b = netlinkraw.AppendIfinfomsg(b, unix.AF_UNSPEC, index, 0, 0)
	b = netlinkraw.AppendAttrString(b, unix.IFLA_IFNAME, name)
	b, info := netlinkraw.BeginNested(b, unix.IFLA_LINKINFO)
	b = netlinkraw.AppendAttrString(b, unix.IFLA_INFO_KIND, "veth")
	b = netlinkraw.EndNested(b, info)
	netlinkraw.FinishMessage(b, 0)
	return r.Do(b)
}
