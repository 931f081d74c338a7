package main_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

func TestMain(m *testing.M) { switchtest.Main(m) }

// TestEndToEnd runs the built daemon on a small switch from its start to its end. The
// switch has two ports in CONFIG_DB, veth interfaces in a network namespace of its own, and
// a database server: redis-server if it is installed, else the one of package lab. The
// tests below integration/ use the same harness for everything else.
func TestEndToEnd(t *testing.T) {
	const port = "Ethernet0"
	sw := switchtest.New(t)
	if sw == nil {
		return // the test ran in a process of its own, inside the namespaces
	}

	// A cold start hands both ports to orchagent, then waits for their interfaces.
	sw.ConfigurePorts(2)
	d := sw.StartReady()
	sw.PopPortTable() // what orchagent does to move what the daemon produced into APPL_DB's tables
	if !sw.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
		t.Error("the daemon is ready, and APPL_DB has no PortConfigDone")
	}
	if sw.Exists("APPL_DB", "PORT_TABLE:PortInitDone") {
		t.Error("APPL_DB has PortInitDone before the ports have interfaces")
	}

	// Once orchagent has made the interfaces, the initial sync is complete.
	sw.AddInterfaces(2)
	state := func(want map[string]string) {
		t.Helper()
		switchtest.Eventually(t, 10*time.Second, func() string {
			row := sw.Row("STATE_DB", "PORT_TABLE|"+port)
			for field, value := range want {
				if row[field] != value {
					return fmt.Sprintf("STATE_DB has %s = %q for %s, want %q", field, row[field], port, value)
				}
			}
			return ""
		})
	}
	state(map[string]string{"state": "ok", "admin_status": "up", "netdev_oper_status": "up"})

	// A change in the kernel reaches STATE_DB.
	sw.NoError("set the MTU", sw.Links.SetMTU(port, 1400))
	state(map[string]string{"mtu": "1400"})
	sw.NoError("set the peer down", sw.Links.SetUp(switchtest.PeerName(port), false))
	state(map[string]string{"netdev_oper_status": "down"})

	// The daemon says the same by HTTP.
	client := switchtest.NewClient(t, "127.0.0.1:9101")
	client.AwaitValue(`portsyncd_port_oper_up{port="Ethernet0"}`, 0)
	client.AwaitValue("portsyncd_backlog_ports", 0)
	if a := client.Request("GET", "/healthz"); a.Code != 200 {
		t.Errorf("/healthz answers %d %q", a.Code, a.Body)
	}

	// SIGTERM ends it, and by that signal, which SONiC's supervisor expects.
	d.Signal(syscall.SIGTERM)
	if status := d.Wait(switchtest.ExitTimeout); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v, want by SIGTERM", status)
	}
}
