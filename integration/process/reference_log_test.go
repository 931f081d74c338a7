package process

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// These tests are about log lines that other programs read: those of the C++ daemon, and those
// above NOTICE, for which sonic-mgmt's log analyzer fails a test.

// recordedForms returns a pattern for each line of testdata/reference-log.txt, which matches any
// value of the parts that differ from message to message.
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

// nlmsg returns the log line for a message about the current state of a link.
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

// TestReferenceLog checks that the daemon logs the lines of the C++ daemon byte for byte in the
// same circumstances, and no other lines in the name of its functions.
func TestReferenceLog(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	sw.AddPort(switchtest.PortName(1)) // an old interface: its messages are logged and ignored
	old := sw.LinkIndex(switchtest.PortName(1))
	from := sw.Logs.Len()
	await := func(line string) {
		t.Helper()
		if _, ok := sw.Logs.Await(from, switchtest.Timeout, func(l switchtest.LogLine) bool { return l.Tag+": "+l.Text == line && l.Severity() == 5 }); !ok {
			lines, _ := sw.Logs.From(from)
			t.Errorf("no line %q at NOTICE in\n%v", line, lines)
		}
	}
	const onMsg = "portsyncd: :- onMsg: "
	d := sw.StartReady()
	await("portsyncd: :- handlePortConfigFromConfigDB: Getting port configuration from ConfigDB...")
	sw.PopPortTable()
	sw.AwaitLog(from, switchtest.Timeout, ":- onMsg: nlmsg type:16 key:Ethernet4 admin:0", fmt.Sprintf(" ifindex:%d ", old)) // set down
	sw.NoError("delete the old interface", sw.Links.Delete(switchtest.PortName(1)))
	sw.AwaitLog(from, switchtest.Timeout, ":- onMsg: nlmsg type:17 key:Ethernet4 ", fmt.Sprintf(" ifindex:%d ", old))
	for n := range 2 {
		if n == 1 {
			lines, _ := sw.Logs.From(from)
			for _, l := range lines {
				if l.Has("Publish Ethernet4") || l.Has("Delete Ethernet4") {
					t.Errorf("about an old interface: %s", l)
				}
			}
		}
		sw.AddPort(switchtest.PortName(n))
		sw.AwaitRunning(switchtest.PortName(n), true)
		await(nlmsg(t, unix.RTM_NEWLINK, switchtest.PortName(n)))
		await(onMsg + "Publish " + switchtest.PortName(n) + "(ok:up) to state db")
	}
	await("portsyncd: :- main: PortInitDone")

	from = sw.Logs.Len()
	sw.NoError("link down", sw.Links.SetUp(switchtest.PeerName(switchtest.PortName(0)), false))
	await(onMsg + "Publish " + switchtest.PortName(0) + "(ok:down) to state db")
	await(nlmsg(t, unix.RTM_NEWLINK, switchtest.PortName(0)))
	sw.IPLink("link add bridge0 type bridge", "link set "+switchtest.PortName(0)+" master bridge0")
	await(nlmsg(t, unix.RTM_NEWLINK, switchtest.PortName(0)))
	sw.IPLink("link set "+switchtest.PortName(0)+" nomaster", "link set "+switchtest.PortName(0)+" down")
	gone := nlmsg(t, unix.RTM_DELLINK, switchtest.PortName(0))
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(0)))
	await(gone)
	await(onMsg + "Delete " + switchtest.PortName(0) + "(ok) from state db")
	sw.AddPort(switchtest.PortName(2)) // not in CONFIG_DB
	await(onMsg + "Cannot find " + switchtest.PortName(2) + " in port table")

	sw.Do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
	d.Kill()
	warm := sw.Logs.Len()
	sw.StartReady()
	from = warm
	await("portsyncd: :- checkWarmStart: portsyncd doing warm start, restore count 1")
	await("portsyncd: :- handlePortConfigFromConfigDB: Getting port configuration from ConfigDB...")

	forms := recordedForms(t)
	seen := make(map[string]bool)
	lines, _ := sw.Logs.From(0)
	theirs := []string{":- onMsg: ", ":- main: ", ":- checkWarmStart: ", ":- handlePortConfigFromConfigDB: "}
	for _, l := range lines {
		if !slices.ContainsFunc(theirs, func(form string) bool { return strings.HasPrefix(l.Text, form) }) {
			if regexp.MustCompile("main.*PortInitDone").MatchString(l.Text) {
				t.Errorf("sonic-mgmt would read this line as the end of the start: %s", l)
			}
			continue
		}
		ok := false
		for recorded, form := range forms {
			if form.MatchString(l.Tag + ": " + l.Text) {
				ok, seen[recorded] = true, true
			}
		}
		if !ok || l.Priority != 1*8+5 {
			t.Errorf("the C++ daemon does not log this line: %s", l)
		}
	}
	for recorded := range forms {
		if !seen[recorded] {
			t.Errorf("no line of the form %q", recorded)
		}
	}
}

// TestQuietOperation checks that normal operation logs nothing above NOTICE.
func TestQuietOperation(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	from, watch := 0, switchtest.StartStopwatch()
	quiet := func(what string) {
		t.Helper()
		lines, _ := sw.Logs.From(from)
		// A request that is in progress when the machine stops can time out.
		stopped := watch.Paused() > time.Second
		for _, l := range lines {
			if stopped && (l.Has("Redis", "i/o timeout") || l.Has("reasons=database_down")) {
				continue
			}
			if l.Severity() < 5 || l.Has("ERR") {
				t.Errorf("%s: %s", what, l)
			}
		}
		if len(lines) == 0 {
			t.Errorf("%s: no log line", what)
		}
		from, watch = from+len(lines), switchtest.StartStopwatch()
	}
	flush := func() {
		for _, name := range []string{"APPL_DB", "STATE_DB"} {
			sw.Do(name, "FLUSHDB")
		}
	}
	// stop is what supervisord does.
	stop := func(d *switchtest.Daemon) {
		d.Signal(unix.SIGTERM)
		d.Wait(switchtest.Timeout)
	}
	up := func() *switchtest.Daemon {
		d := sw.StartReady()
		sw.PopPortTable()
		sw.AwaitInitDone()
		sw.AwaitInSync(switchtest.Timeout)
		return d
	}

	d := sw.BringUp(switchtest.ManyPorts)
	quiet("cold start")

	sw.IPLink("link set "+switchtest.PortName(0)+" down", "link set "+switchtest.PortName(0)+" up", "link set "+switchtest.PortName(1)+" mtu 1400")
	sw.AwaitInSync(switchtest.Timeout)
	quiet("link changes")

	// Port breakout: one port becomes four, its interface and rows go first.
	sw.Do("CONFIG_DB", "DEL", "PORT|"+switchtest.PortName(1))
	sw.Do("APPL_DB", "DEL", "PORT_TABLE:"+switchtest.PortName(1))
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(1)))
	ports := []string{switchtest.PortName(0), "Ethernet4", "Ethernet5", "Ethernet6", "Ethernet7"}
	for n := 2; n < switchtest.ManyPorts; n++ {
		ports = append(ports, switchtest.PortName(n))
	}
	for n, name := range ports[1:5] {
		sw.Do("CONFIG_DB", "HSET", "PORT|"+name, "lanes", fmt.Sprint(n), "speed", "25000")
		sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+name, "lanes", fmt.Sprint(n))
		sw.AddPort(name)
	}
	sw.AwaitInSync(switchtest.Timeout)
	quiet("port breakout")

	flush() // the service scripts, while the daemon runs
	sw.AwaitLog(from, switchtest.Timeout, "flushed")
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		sw.PopPortTable()
		if !sw.Exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "not produced again"
		}
		return ""
	})
	sw.AwaitInSync(switchtest.Timeout)
	quiet("databases flushed")

	// The scripts also delete rows one by one, which the audit would notice.
	sw.Do("STATE_DB", "DEL", "PORT_TABLE|"+switchtest.PortName(0))
	sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1300")
	sw.AwaitInSync(switchtest.Timeout)
	quiet("rows deleted")

	stop(d) // restart of swss, config reload: orchagent makes the interfaces again
	flush()
	d = sw.StartReady()
	sw.PopPortTable()
	for _, name := range ports {
		sw.NoError("delete", sw.Links.Delete(name))
		sw.AddPort(name)
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(switchtest.Timeout)
	quiet("restart of swss")

	// Warm reboot: SONiC kills the container, and the interfaces and databases stay.
	sw.Do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|system", "enable", "true")
	d.Kill()
	d = up()
	quiet("warm reboot")
	d.Kill()
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(0))) // an interface is deleted meanwhile
	d = sw.StartReady()
	sw.AwaitLog(from, switchtest.Timeout, "initial sync complete")
	sw.AddPort(switchtest.PortName(0))
	sw.AwaitInitDone()
	sw.AwaitInSync(switchtest.Timeout)
	quiet("warm reboot with a port less")
	sw.Do("STATE_DB", "DEL", "WARM_RESTART_ENABLE_TABLE|system")

	// Fast reboot: a new kernel without interfaces, and databases without rows; the
	// database container starts at the same time.
	d.Kill()
	flush()
	sw.Do("APPL_DB", "SAVE")
	r.Stop()
	sw.CloseConns()
	sw.ClearLinks()
	d = sw.Start(switchtest.StartOptions{})
	sw.AwaitLog(from, switchtest.Timeout, "waiting for Redis")
	sw.NoError("start redis", r.Restart())
	d.AwaitReady()
	sw.PopPortTable()
	for _, name := range ports {
		sw.AddPort(name)
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(switchtest.Timeout)
	quiet("fast reboot")
	stop(d)
	quiet("stop")
}
