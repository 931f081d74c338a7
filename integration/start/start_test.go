package start

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// These tests are about what a start finds: databases that do not exist yet or have unusual
// values, and interfaces and rows of an earlier run (docs/PROTOCOL.md D5, D6, D9, D10, D12 and
// D14).

// TestRedisAbsent starts the daemon without a server. It must log that, extend the start timeout
// of the service manager, and start when the server starts. An interface made during the wait is
// not old; one from before is (docs/PROTOCOL.md D10).
func TestRedisAbsent(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+switchtest.PortName(1), "lanes", "1")
	sw.Do("APPL_DB", "SAVE")
	r.Stop()
	sw.CloseConns()
	sw.AddPort(switchtest.PortName(0))
	sw.IgnoredLinks[sw.LinkIndex(switchtest.PortName(0))] = true

	d := sw.Start(switchtest.StartOptions{})
	d.AwaitNotification(0, switchtest.Timeout, "STATUS=waiting for the databases")
	d.AwaitNotification(0, switchtest.Timeout, "EXTEND_TIMEOUT_USEC=")
	d.Signal(syscall.SIGHUP) // a reload must not make the daemon ready
	sw.AwaitLog(0, switchtest.Timeout, "configuration reloaded")
	sw.AddPort(switchtest.PortName(1))
	switchtest.Consistently(t, 300*time.Millisecond, func() string {
		if !d.Alive() {
			return "the daemon has ended"
		}
		return ""
	})
	if states, _ := d.Notifications.From(0); strings.Contains(fmt.Sprint(states), "READY=1") {
		t.Error("the daemon is ready without databases")
	}
	sw.NoError("start redis", r.Restart())
	sw.AwaitRecovery("start of Redis")
	d.AwaitReady()
	switchtest.Eventually(t, switchtest.SyncTimeout, func() string {
		if links := switchtest.LinkStates(t); links[switchtest.PortName(0)].Admin != "down" || links[switchtest.PortName(1)].Admin != "up" {
			return fmt.Sprintf("links are %v, want the old one down and the new one up", links)
		}
		return ""
	})
	if row := sw.Row("STATE_DB", "PORT_TABLE|"+switchtest.PortName(1)); row["admin_status"] != "up" {
		t.Errorf("the new interface has the row %v", row)
	}
	sw.CheckSelfReport(d)
}

// TestMapLater starts the daemon without a database map, which then appears, first broken, then
// right.
func TestMapLater(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	sw.NoError("remove the map", os.Remove(switchtest.MapPath))
	// Without a map the daemon uses the configured address, where no server listens.
	conf := sw.Dir + "/portsyncd.conf"
	switchtest.WriteFile(t, conf, "[database]\nredis_port = 1\n")
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
	d.AwaitNotification(0, switchtest.Timeout, "STATUS=waiting for the databases")
	for _, broken := range []string{"", "{", `{"DATABASES": {}}`, strings.Replace(switchtest.DefaultMap, `"STATE_DB"`, `"OTHER_DB"`, 1)} {
		n := d.Notifications.Len()
		sw.NoError("write the map", os.WriteFile(switchtest.MapPath, []byte(broken), 0o644))
		switchtest.Consistently(t, 100*time.Millisecond, func() string {
			if states, _ := d.Notifications.From(n); !d.Alive() || strings.Contains(fmt.Sprint(states), "READY=1") {
				return fmt.Sprintf("with map %q: alive %v, %q", broken, d.Alive(), states)
			}
			return ""
		})
	}
	sw.NoError("write the map", os.WriteFile(switchtest.MapPath, []byte(switchtest.DefaultMap), 0o644))
	d.AwaitNotification(0, switchtest.SyncTimeout, "READY=1")
	if n := sw.PopPortTable(); n != 2 {
		t.Errorf("%d rows are produced, want a port and PortConfigDone", n)
	}
	sw.CheckSelfReport(d)
}

// TestProcessRestart restarts the daemon on a running switch (docs/PROTOCOL.md D6): no interface
// may go down, ports and markers are produced again, rows of deleted interfaces are deleted (D9),
// and the others stay.
func TestProcessRestart(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	d.Kill()
	sw.ChangeLinks()
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|Ethernet0.10", "state", "ok") // intfmgrd's
	before := switchtest.LinkStates(t)
	d = sw.StartReady()
	sw.AwaitRecovery("restart of the process")
	if after := switchtest.LinkStates(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("links are\n%v, were\n%v", after, before)
	}
	if !sw.Exists("STATE_DB", "PORT_TABLE|Ethernet0.10") {
		t.Error("the row of another daemon was deleted")
	}
	switchtest.Eventually(t, switchtest.SyncTimeout, func() string {
		pending := strings.Join(sw.SetMembers("APPL_DB", switchtest.KeySet), " ")
		if !strings.Contains(pending, "PortConfigDone") || !strings.Contains(pending, "PortInitDone") {
			return "pending are " + pending
		}
		return ""
	})
	sw.CheckSelfReport(d)
}

// TestWarmStartStaleRows checks that a warm start deletes the rows of interfaces that were deleted
// while the daemon was down (docs/PROTOCOL.md D9).
func TestWarmStartStaleRows(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+switchtest.PortName(0), "lanes", "0")
	sw.Do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|system", "enable", "true")
	sw.Do("STATE_DB", "HSET", "WARM_RESTART_TABLE|portsyncd", "restore_count", "4")
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(1), "state", "ok", "netdev_oper_status", "up", "admin_status", "up", "mtu", "9100")
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|Ethernet0.10", "state", "ok")
	sw.AddPort(switchtest.PortName(0))
	d := sw.StartReady()
	sw.AwaitRecovery("warm start")
	if sw.Exists("STATE_DB", "PORT_TABLE|"+switchtest.PortName(1)) {
		t.Error("the stale row is still there")
	}
	if !sw.Exists("STATE_DB", "PORT_TABLE|Ethernet0.10") {
		t.Error("the row of another daemon was deleted")
	}
	if row := sw.Row("STATE_DB", "WARM_RESTART_TABLE|portsyncd"); row["restore_count"] != "5" {
		t.Errorf("restore_count: %v", row)
	}
	if pending := sw.SetMembers("APPL_DB", switchtest.KeySet); len(pending) > 0 {
		t.Errorf("a warm start produced %q", pending)
	}
	sw.CheckSelfReport(d)
}

// TestInvalidRestoreCount checks that a restore_count which is not a plain number counts as
// missing, so that the start is cold (docs/PROTOCOL.md D12).
func TestInvalidRestoreCount(t *testing.T) {
	switchtest.Parallel(t)
	for _, count := range []string{"abc", "12abc", "-1", "+1", "1e3", " 1", "4294967296"} {
		t.Run(count, func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			sw.ConfigurePorts(1)
			sw.Do("STATE_DB", "HSET", "WARM_RESTART_ENABLE_TABLE|swss", "enable", "true")
			sw.Do("STATE_DB", "HSET", "WARM_RESTART_TABLE|portsyncd", "restore_count", count, "state", "reconciled")
			d := sw.StartReady()
			if got := switchtest.RowText(sw.Row("STATE_DB", "WARM_RESTART_TABLE|portsyncd")); got != `{"restore_count":"0","state":"reconciled"}` {
				t.Errorf("the row is %s", got)
			}
			if n := sw.PopPortTable(); n != 2 {
				t.Errorf("%d rows are produced, want a port and PortConfigDone", n)
			}
			sw.CheckSelfReport(d)
		})
	}
}

// TestBadRows starts with rows that are not hashes (docs/PROTOCOL.md D14). Each must be skipped
// and named in the log.
func TestBadRows(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(3)
	sw.Do("CONFIG_DB", "DEL", "PORT|"+switchtest.PortName(1))
	for _, key := range []string{"PORT|" + switchtest.PortName(1), "LOGGER|portsyncd", "DEVICE_METADATA|localhost"} {
		sw.Do("CONFIG_DB", "SET", key, "a string")
	}
	sw.Do("STATE_DB", "SET", "WARM_RESTART_ENABLE_TABLE|system", "a string")
	d := sw.StartReady()
	sw.PopPortTable()
	if row := sw.Row("APPL_DB", "PORT_TABLE:PortConfigDone"); row["count"] != "2" {
		t.Errorf("PortConfigDone is %v, want the 2 ports that could be read", row)
	}
	for _, n := range []int{0, 2} {
		if !sw.Exists("APPL_DB", "PORT_TABLE:"+switchtest.PortName(n)) {
			t.Errorf("%s is not produced", switchtest.PortName(n))
		}
		sw.AddPort(switchtest.PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitRecovery("bad rows")
	for _, key := range []string{"PORT|" + switchtest.PortName(1), "LOGGER|portsyncd", "DEVICE_METADATA|localhost", "WARM_RESTART_ENABLE_TABLE|system"} {
		if line := sw.AwaitLog(0, switchtest.Timeout, key, "WRONGTYPE"); line.Severity() != 3 {
			t.Errorf("severity %d, want error: %s", line.Severity(), line)
		}
	}
	sw.CheckSelfReport(d)
}

// TestConsumerDuringStart pops PORT_TABLE while the daemon still produces it (docs/PROTOCOL.md
// D5). The fresh rows must not count as rows of an earlier run, so PortInitDone must wait for the
// interfaces.
func TestConsumerDuringStart(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const ports = 64
	sw.ConfigurePorts(ports)
	d := sw.Start(switchtest.StartOptions{})
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		sw.PopPortTable()
		if !sw.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
			return "no PortConfigDone"
		}
		return ""
	})
	d.AwaitReady()
	switchtest.Consistently(t, 200*time.Millisecond, func() string {
		if sw.PopPortTable(); sw.Exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "PortInitDone before the ports have interfaces"
		}
		return ""
	})
	for n := range ports {
		sw.AddPort(switchtest.PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitRecovery("64 ports")
	sw.CheckSelfReport(d)
}

// TestRename renames a port (docs/PROTOCOL.md D7): the row of the old name is deleted unless
// another interface has that name by then. The kernel renames only links that are down.
func TestRename(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(2)
	sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+switchtest.PortName(2), "lanes", "2")
	sw.IPLink("link set "+switchtest.PortName(0)+" down", "link set "+switchtest.PortName(0)+" name "+switchtest.PortName(2))
	sw.AwaitRecovery("rename")
	if sw.Exists("STATE_DB", "PORT_TABLE|"+switchtest.PortName(0)) {
		t.Error("the row of the old name is still there")
	}
	sw.IPLink("link set "+switchtest.PortName(1)+" down", "link set "+switchtest.PortName(2)+" name spare",
		"link set "+switchtest.PortName(1)+" name "+switchtest.PortName(2), "link set spare name "+switchtest.PortName(1), "link set "+switchtest.PortName(1)+" mtu 1400")
	sw.AwaitRecovery("exchanged names")
	sw.IPLink("link set " + switchtest.PortName(1) + " name uplink")
	sw.AwaitRecovery("renamed to a name that is not a port's")
	sw.CheckSelfReport(d)
}

// TestOldIndexReused gives the index of a deleted old interface to a new one (docs/PROTOCOL.md
// D8).
func TestOldIndexReused(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	sw.AddPort(switchtest.PortName(0))
	index := sw.LinkIndex(switchtest.PortName(0))
	d := sw.StartReady()
	sw.PopPortTable()
	sw.AwaitLog(0, switchtest.Timeout, "bringing down and ignoring")
	sw.NoError("delete the old interface", sw.Links.Delete(switchtest.PortName(0)))
	sw.NoError("make it again", addVethIndex(switchtest.PortName(0), index))
	if got := sw.LinkIndex(switchtest.PortName(0)); got != index {
		t.Fatalf("the new interface has index %d, want %d", got, index)
	}
	sw.AwaitRecovery("reuse of the index")
	sw.AwaitInitDone()
	sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
	sw.AwaitRecovery("a change of the renamed port")
	sw.CheckSelfReport(d)
}

// addVethIndex makes a veth pair whose first end has the given index. The kernel names the other
// end.
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

// TestKilledBeforeInitDone kills the daemon before it wrote PortInitDone and starts it again. As with
// the C++ daemon, that is a cold start which ignores the existing interface, and APPL_DB has the ports,
// so PortInitDone does not wait for them. No document may say that the ignored interface does not
// exist or that its row is up to date.
func TestKilledBeforeInitDone(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	d := sw.StartReady()
	sw.PopPortTable()
	sw.AddPort(switchtest.PortName(0))
	sw.AwaitInSync(switchtest.Timeout)
	d.Kill()
	for n := range 2 { // orchagent has taken over the ports
		sw.Do("APPL_DB", "HSET", switchtest.ApplPort+switchtest.PortName(n), "admin_status", "up")
	}
	sw.IgnoredLinks[sw.LinkIndex(switchtest.PortName(0))] = true
	d = sw.StartReady()
	sw.AwaitLog(0, switchtest.Timeout, "bringing down and ignoring", "count=1")
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	port := `"name":"` + switchtest.PortName(0) + `","present":false,"init_pending":false,"state":"pending","written":true,"reason":"old_interface"`
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		for _, path := range []string{"/ports", "/status"} {
			if a := client.Request("GET", path); !strings.Contains(a.Body, port) {
				return fmt.Sprintf("%s does not contain %s: %s", path, port, a.Body)
			}
		}
		return ""
	})
	const why = "its interface is left over from an earlier run and is ignored until it is created again"
	if a := client.Request("GET", "/status"); !strings.Contains(a.Body, why) {
		t.Errorf("/status does not say what is pending: %s", a.Body)
	}
	if r := sw.RunStatus(nil); strings.Count(r.Stdout, "old interface, ignored") != 1 || strings.Count(r.Stdout, "  absent\n") != 1 {
		t.Errorf("portsyncd status:\n%s", r.Stdout)
	}
	if r := sw.RunStatus(nil, switchtest.PortName(0)); !strings.Contains(r.Stdout, "STATE_DB   not updated\n") || strings.Contains(r.Stdout, "interface  none") {
		t.Errorf("portsyncd status of the port:\n%s", r.Stdout)
	}
	sw.NoError("delete the old interface", sw.Links.Delete(switchtest.PortName(0)))
	sw.AddPort(switchtest.PortName(0))
	sw.AwaitRecovery("the interface was created again")
	sw.CheckSelfReport(d)
}
