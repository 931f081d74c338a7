package databases

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// These tests stop or change the database of a running daemon (docs/PROTOCOL.md D3 and D4;
// ARCHITECTURE.md, invariants 1, 3 and 6). Within a second after each fault, STATE_DB must agree
// with the kernel. The process must keep running, and must produce nothing a second time unless
// APPL_DB lost it.

// TestRedisKilled kills the server while the daemon is idle. The server returns with an empty
// STATE_DB, or with the rows from before.
func TestRedisKilled(t *testing.T) {
	switchtest.Parallel(t)
	for _, without := range [][]string{{"STATE_DB"}, {}} {
		t.Run("without_"+strings.Join(without, "_"), func(t *testing.T) {
			sw, r := switchtest.NewWithRedis(t)
			if sw == nil {
				return
			}
			d := sw.BringUp(switchtest.ManyPorts)
			sw.RestartRedis(r, sw.ChangeLinks, without...)
			sw.AwaitRecovery("restart")
			sw.CheckAfterFault(d)
		})
	}
}

// TestRedisOlder restarts the server with older contents: rows of deleted interfaces and old
// states of the others.
func TestRedisOlder(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	sw.Do("APPL_DB", "SAVE")
	sw.ChangeLinks()
	sw.AwaitInSync(switchtest.Timeout)
	r.Stop()
	sw.CloseConns()
	sw.NoError("restart", r.Restart())
	sw.AwaitRecovery("older contents")
	sw.CheckAfterFault(d)
}

// TestRedisKilledBusy kills the server while links change.
func TestRedisKilledBusy(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	for range 3 {
		stop := sw.Churn()
		sw.RestartRedis(r, func() { sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1300") }, "STATE_DB")
		stop()
		sw.AwaitRecovery("restart")
	}
	sw.ChangeLinks()
	sw.AwaitRecovery("changes after the script flush")
	sw.CheckAfterFault(d)
}

// TestRedisEmpty restarts the server with CONFIG_DB only. The daemon must produce the
// configuration again, treat no interface as old, and write the rows when orchagent has popped the
// ports.
func TestRedisEmpty(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	sw.RestartRedis(r, func() {}, "APPL_DB", "STATE_DB")
	awaitProducedAgain(sw, d)
}

// awaitProducedAgain pops PORT_TABLE until all ports are in APPL_DB again.
func awaitProducedAgain(sw *switchtest.Switch, d *switchtest.Daemon) {
	sw.T.Helper()
	took := switchtest.Eventually(sw.T, switchtest.Timeout, func() string {
		sw.PopPortTable()
		for n := range switchtest.ManyPorts {
			if key := "PORT_TABLE:" + switchtest.PortName(n); !sw.Exists("APPL_DB", key) {
				return "no " + key
			}
		}
		if row := sw.Row("APPL_DB", "PORT_TABLE:PortConfigDone"); row["count"] != fmt.Sprint(switchtest.ManyPorts) {
			return fmt.Sprintf("PortConfigDone is %v", row)
		}
		if !sw.Exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "no PortInitDone"
		}
		return ""
	})
	sw.T.Logf("all ports are produced after %v", took.Round(time.Millisecond))
	sw.AwaitRecovery("changes after the last pop")
	for name, facts := range switchtest.LinkStates(sw.T) {
		if facts.Admin != "up" {
			sw.T.Errorf("%s is %s", name, facts.Admin)
		}
	}
	sw.ChangeLinks()
	sw.AwaitRecovery("changes after the script flush")
	sw.CheckAfterFault(d)
}

// TestRedisPaused pauses the server for longer than the daemon waits for a reply. Connections stay
// open.
func TestRedisPaused(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	r.Pause()
	sw.ChangeLinks()
	stop := sw.Churn()
	time.Sleep(3 * time.Second) // the fault itself
	stop()
	r.Resume()
	sw.AwaitRecovery("paused server")
	sw.CheckAfterFault(d)
}

// TestFlush flushes STATE_DB alone, or all databases, while the daemon runs.
func TestFlush(t *testing.T) {
	switchtest.Parallel(t)
	t.Run("state", func(t *testing.T) {
		sw := switchtest.New(t)
		if sw == nil {
			return
		}
		d := sw.BringUp(switchtest.ManyPorts)
		sw.Do("STATE_DB", "FLUSHDB")
		sw.AwaitRecovery("FLUSHDB")
		sw.CheckAfterFault(d)
	})
	t.Run("all", func(t *testing.T) {
		sw := switchtest.New(t)
		if sw == nil {
			return
		}
		d := sw.BringUp(switchtest.ManyPorts)
		sw.Do("APPL_DB", "FLUSHALL")
		awaitProducedAgain(sw, d)
	})
}

// TestScriptFlush removes the server's scripts at each stage. The C++ daemon exits if that happens
// before PortInitDone (docs/PROTOCOL.md section 10).
func TestScriptFlush(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	flush := func() { sw.Do("APPL_DB", "SCRIPT", "FLUSH") }
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartReady()
	flush()
	sw.PopPortTable()
	for n := range switchtest.ManyPorts {
		sw.AddPort(switchtest.PortName(n))
		flush()
	}
	sw.AwaitRecovery("script flush before PortInitDone")
	sw.AwaitInitDone()
	flush()
	sw.ChangeLinks()
	sw.AwaitRecovery("script flush after PortInitDone")
	sw.CheckAfterFault(d)
}

// TestClientKill closes the daemon's connections from the server's side: those for commands, and
// those for subscriptions.
func TestClientKill(t *testing.T) {
	sw, _ := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	for _, kind := range []string{"normal", "pubsub"} {
		sw.Do("APPL_DB", "CLIENT", "KILL", "TYPE", kind)
		sw.CloseConns()
		sw.Do("STATE_DB", "DEL", "PORT_TABLE|"+switchtest.PortName(switchtest.ManyPorts-1)) // lost rows must not be assumed to exist
		sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(0), 1400))
		sw.AwaitRecovery("CLIENT KILL TYPE " + kind)
	}
	sw.ChangeLinks()
	sw.AwaitRecovery("changes after the script flush")
	sw.CheckAfterFault(d)
}

// TestWrongType puts a string in place of a port's row. The daemon must serve the other ports, and
// this port once the string is deleted.
func TestWrongType(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(switchtest.ManyPorts)
	victim := "PORT_TABLE|" + switchtest.PortName(0)
	sw.Do("STATE_DB", "DEL", victim)
	sw.Do("STATE_DB", "SET", victim, "a string")
	for n := range switchtest.ManyPorts {
		sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(n), 1400))
	}
	for n := 1; n < switchtest.ManyPorts; n++ {
		switchtest.Eventually(t, switchtest.SyncTimeout, func() string {
			if mtu := sw.Row("STATE_DB", "PORT_TABLE|"+switchtest.PortName(n))["mtu"]; mtu != "1400" {
				return switchtest.PortName(n) + " has mtu " + mtu
			}
			return ""
		})
	}
	sw.AwaitLog(0, switchtest.Timeout, "WRONGTYPE")
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if l.Has("Cannot find", switchtest.PortName(0)) {
			t.Errorf("the log has another reason: %s", l)
		}
	}
	sw.Do("STATE_DB", "DEL", victim)
	sw.AwaitRecovery("string deleted")
	sw.CheckAfterFault(d)
}

// TestTwoServers has APPL_DB and STATE_DB on two servers, so that no script can use both, and
// kills one after the other.
func TestTwoServers(t *testing.T) {
	sw := switchtest.NewWithoutDatabase(t)
	if sw == nil {
		return
	}
	const splitMap = `{
  "INSTANCES": {"redis": {"hostname": "127.0.0.1", "port": 6379, "unix_socket_path": "/var/run/redis/redis.sock"},
    "redis2": {"hostname": "127.0.0.1", "port": 6380, "unix_socket_path": "/var/run/redis/second/redis.sock"}},
  "DATABASES": {
    "APPL_DB": {"id": 0, "separator": ":", "instance": "redis"},
    "CONFIG_DB": {"id": 4, "separator": "|", "instance": "redis"},
    "STATE_DB": {"id": 7, "separator": "|", "instance": "redis2"}
  }
}`
	first, second := switchtest.NewRedisServer(t), switchtest.NewRedisServer(t)
	sw.Mkdir(switchtest.RedisDir + "/second")
	sw.StartDatabase(splitMap, first)
	sw.NoError("start the second server", second.Start(sw.Databases["STATE_DB"]))
	t.Cleanup(second.Stop)
	d := sw.BringUp(switchtest.ManyPorts)

	second.Stop()
	sw.CloseConns()
	sw.ChangeLinks()
	sw.NoError("restart", second.Restart())
	sw.AwaitRecovery("restart of STATE_DB's server")
	sw.CheckAfterFault(d)

	sw.RestartRedis(first, func() { sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(5), 1450)) })
	sw.AwaitRecovery("restart of APPL_DB's server")
	sw.CheckAfterFault(d)

	// A server that is down must not delay the end of the daemon.
	second.Stop()
	sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(5), 1460))
	d.Signal(syscall.SIGTERM)
	if status := d.Wait(switchtest.ExitTimeout); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", status)
	}
}
