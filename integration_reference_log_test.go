package main

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"portsyncd/netlinkraw"

	"golang.org/x/sys/unix"
)

// These tests are about lines that others read: those of the C++ daemon, and those
// above NOTICE, at which sonic-mgmt's log analyser fails a test.

// recordedForms returns a pattern for each line of testdata/reference-log.txt, with
// what differs from message to message left open.
func recordedForms(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	src, err := os.ReadFile("testdata/reference-log.txt")
	if err != nil {
		t.Fatal(err)
	}
	open := []struct{ recorded, pattern string }{
		{"type:16", "type:1[67]"}, {"Ethernet0", `(Ethernet|PortChannel)\S*`}, {"Ethernet12", `(Ethernet|PortChannel)\S*`},
		{"admin:1", "admin:[01]"}, {"oper:1", "oper:[01]"}, {"2a:8e:bd:87:9c:a2", "([0-9a-f]{2}:){5}[0-9a-f]{2}"},
		{"ifindex:3", `ifindex:\d+`}, {"master:0", `master:\d+`}, {" type:veth", `( type:\w+)?`},
		{"flags:69699", `flags:\d+`}, {"ok:up", "ok:(up|down)"}, {"count 1", `count \d+`},
	}
	forms := make(map[string]*regexp.Regexp)
	for line := range strings.Lines(string(src)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		pattern := regexp.QuoteMeta(line)
		for _, o := range open {
			pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta(o.recorded), o.pattern)
		}
		forms[line] = regexp.MustCompile("^" + pattern + "$")
	}
	return forms
}

// nlmsg is the line for a message that says what the kernel says now.
func nlmsg(t *testing.T, msgType int, name string) string {
	t.Helper()
	line := ""
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if string(l.Name) != name {
			return
		}
		bit := map[bool]int{true: 1}
		line = fmt.Sprintf("portsyncd: :- onMsg: nlmsg type:%d key:%s admin:%d oper:%d addr:%s ifindex:%d master:%d type:%s flags:%d",
			msgType, name, bit[l.Up()], bit[l.Running()], net.HardwareAddr(l.Address), l.Index, l.Master, l.Kind, l.Flags)
	})
	if err != nil || line == "" {
		t.Fatalf("link %s: %v", name, err)
	}
	return line
}

// TestReferenceLog: the lines of the C++ daemon, byte for byte, in the same
// circumstances, and no other line from the functions that it names.
func TestReferenceLog(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(2)
	c.addPort(portName(1)) // an old interface: its messages are logged and ignored
	old := c.linkIndex(portName(1))
	from := c.logs.len()
	await := func(line string) {
		t.Helper()
		if _, ok := c.logs.await(from, patience, func(l logLine) bool { return l.tag+": "+l.text == line && l.severity() == 5 }); !ok {
			lines, _ := c.logs.from(from)
			t.Errorf("no line %q at NOTICE in\n%v", line, lines)
		}
	}
	const onMsg = "portsyncd: :- onMsg: "
	d := c.startReady()
	await("portsyncd: :- handlePortConfigFromConfigDB: Getting port configuration from ConfigDB...")
	c.pop()
	c.awaitLog(from, patience, ":- onMsg: nlmsg type:16 key:Ethernet4 admin:0", fmt.Sprintf(" ifindex:%d ", old)) // set down
	c.must("delete the old interface", c.links.Delete(portName(1)))
	c.awaitLog(from, patience, ":- onMsg: nlmsg type:17 key:Ethernet4 ", fmt.Sprintf(" ifindex:%d ", old))
	for n := range 2 {
		c.addPort(portName(n))
		c.awaitRunning(portName(n), true)
		await(nlmsg(t, unix.RTM_NEWLINK, portName(n)))
		await(onMsg + "Publish " + portName(n) + "(ok:up) to state db")
	}
	await("portsyncd: :- main: PortInitDone")
	lines, _ := c.logs.from(from)
	for _, l := range lines {
		if l.has("Publish Ethernet4", "Delete Ethernet4") {
			t.Errorf("about an old interface: %s", l)
		}
	}

	from = c.logs.len()
	c.must("link down", c.links.SetUp(peerName(portName(0)), false))
	await(onMsg + "Publish " + portName(0) + "(ok:down) to state db")
	await(nlmsg(t, unix.RTM_NEWLINK, portName(0)))
	c.ip("link add bridge0 type bridge", "link set "+portName(0)+" master bridge0")
	await(nlmsg(t, unix.RTM_NEWLINK, portName(0)))
	c.ip("link set "+portName(0)+" nomaster", "link set "+portName(0)+" down")
	gone := nlmsg(t, unix.RTM_DELLINK, portName(0))
	c.must("delete", c.links.Delete(portName(0)))
	await(gone)
	await(onMsg + "Delete " + portName(0) + "(ok) from state db")
	c.addPort(portName(2)) // nobody configured it
	await(onMsg + "Cannot find " + portName(2) + " in port table")

	c.do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
	d.kill()
	warm := c.logs.len()
	c.startReady()
	from = warm
	await("portsyncd: :- checkWarmStart: portsyncd doing warm start, restore count 1")
	await("portsyncd: :- handlePortConfigFromConfigDB: Getting port configuration from ConfigDB...")

	forms := recordedForms(t)
	seen := make(map[string]bool)
	lines, _ = c.logs.from(0)
	theirs := []string{":- onMsg: ", ":- main: ", ":- checkWarmStart: ", ":- handlePortConfigFromConfigDB: "}
	for _, l := range lines {
		if !slices.ContainsFunc(theirs, func(form string) bool { return strings.HasPrefix(l.text, form) }) {
			if regexp.MustCompile("main.*PortInitDone").MatchString(l.text) {
				t.Errorf("sonic-mgmt would take this for the end of the start: %s", l)
			}
			continue
		}
		ok := false
		for recorded, form := range forms {
			if form.MatchString(l.tag + ": " + l.text) {
				ok, seen[recorded] = true, true
			}
		}
		if !ok || l.pri != 1*8+5 {
			t.Errorf("the C++ daemon writes no such line: %s", l)
		}
	}
	for recorded := range forms {
		if !seen[recorded] {
			t.Errorf("no line of the form %q", recorded)
		}
	}
}

// TestQuietOperation: in normal operation nothing is logged above NOTICE.
func TestQuietOperation(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	from := 0
	quiet := func(what string) {
		t.Helper()
		lines, _ := c.logs.from(from)
		for _, l := range lines {
			if l.severity() < 5 || l.has("ERR") {
				t.Errorf("%s: %s", what, l)
			}
		}
		if len(lines) == 0 {
			t.Errorf("%s: no line at all", what)
		}
		from += len(lines)
	}
	flush := func() {
		for _, name := range []string{"APPL_DB", "STATE_DB"} {
			c.do(name, "FLUSHDB")
		}
	}
	// stop is what supervisord does.
	stop := func(d *program) {
		d.signal(unix.SIGTERM)
		d.wait(patience)
	}
	up := func() *program {
		d := c.startReady()
		c.pop()
		c.awaitInitDone()
		c.awaitInStep(patience)
		return d
	}

	d := c.bringUp(faultPorts)
	quiet("cold start")

	c.ip("link set "+portName(0)+" down", "link set "+portName(0)+" up", "link set "+portName(1)+" mtu 1400")
	c.awaitInStep(patience)
	quiet("link changes")

	// Port breakout: one port becomes four, its interface and rows go first.
	c.do("CONFIG_DB", "DEL", "PORT|"+portName(1))
	c.do("APPL_DB", "DEL", "PORT_TABLE:"+portName(1))
	c.must("delete", c.links.Delete(portName(1)))
	ports := []string{portName(0), "Ethernet4", "Ethernet5", "Ethernet6", "Ethernet7"}
	for n := 2; n < faultPorts; n++ {
		ports = append(ports, portName(n))
	}
	for n, name := range ports[1:5] {
		c.do("CONFIG_DB", "HSET", "PORT|"+name, "lanes", fmt.Sprint(n), "speed", "25000")
		c.do("APPL_DB", "HSET", "PORT_TABLE:"+name, "lanes", fmt.Sprint(n))
		c.addPort(name)
	}
	c.awaitInStep(patience)
	quiet("port breakout")

	flush() // the service scripts, while the daemon runs
	c.awaitLog(from, patience, "flushed")
	eventually(t, patience, func() string {
		c.pop()
		if !c.exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "not produced again"
		}
		return ""
	})
	c.awaitInStep(patience)
	quiet("databases flushed")

	// The scripts also delete rows one by one, which the audit would notice.
	c.do("STATE_DB", "DEL", "PORT_TABLE|"+portName(0))
	c.ip("link set " + portName(0) + " mtu 1300")
	c.awaitInStep(patience)
	quiet("rows deleted")

	stop(d) // restart of swss, config reload: orchagent makes the interfaces anew
	flush()
	d = c.startReady()
	c.pop()
	for _, name := range ports {
		c.must("delete", c.links.Delete(name))
		c.addPort(name)
	}
	c.awaitInitDone()
	c.awaitInStep(patience)
	quiet("restart of swss")

	// Warm reboot: SONiC kills the container, and the interfaces and databases stay.
	c.do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|system", "enable", "true")
	d.kill()
	d = up()
	quiet("warm reboot")
	d.kill()
	c.must("delete", c.links.Delete(portName(0))) // an interface vanishes meanwhile
	d = c.startReady()
	c.awaitLog(from, patience, "initial sync complete")
	c.addPort(portName(0))
	c.awaitInitDone()
	c.awaitInStep(patience)
	quiet("warm reboot with a port less")
	c.do("STATE_DB", "DEL", "WARM_RESTART_ENABLE_TABLE|system")

	// Fast reboot: a new kernel without interfaces, and databases without rows; the
	// database container starts beside us.
	d.kill()
	flush()
	c.do("APPL_DB", "SAVE")
	r.kill()
	c.hangUp()
	c.clearLinks()
	d = c.start(launch{})
	c.awaitLog(from, patience, "waiting for Redis")
	c.must("start redis", r.again())
	d.awaitReady()
	c.pop()
	for _, name := range ports {
		c.addPort(name)
	}
	c.awaitInitDone()
	c.awaitInStep(patience)
	quiet("fast reboot")
	stop(d)
	quiet("stop")
}
