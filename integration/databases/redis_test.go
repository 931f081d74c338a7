package databases

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// These tests take the database away from a running daemon (PROTOCOL.md D3 and
// D4; ARCHITECTURE.md, invariants 1, 3 and 6). After each fault STATE_DB
// equals the kernel within a second, the process is the same, and orchagent is
// told nothing a second time unless APPL_DB lost it.

// TestRedisKilled kills the server while the daemon has nothing to do; the
// server comes back with a STATE_DB that is empty, or as it was before.
func TestRedisKilled(t *testing.T) {
	switchtest.Alongside(t)
	for _, without := range [][]string{{"STATE_DB"}, {}} {
		t.Run("without_"+strings.Join(without, "_"), func(t *testing.T) {
			c, r := switchtest.NewRedisCell(t)
			if c == nil {
				return
			}
			d := c.BringUp(switchtest.FaultPorts)
			c.Restarted(r, c.Disturb, without...)
			c.Recovered("restart")
			c.Unharmed(d)
		})
	}
}

// TestRedisOlder brings the server back with contents of some time ago: rows of
// interfaces that are gone, and old states of those that are not.
func TestRedisOlder(t *testing.T) {
	c, r := switchtest.NewRedisCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	c.Do("APPL_DB", "SAVE")
	c.Disturb()
	c.AwaitInStep(switchtest.Patience)
	r.Kill()
	c.HangUp()
	c.Must("restart", r.Again())
	c.Recovered("older contents")
	c.Unharmed(d)
}

// TestRedisKilledBusy kills the server while link messages flow.
func TestRedisKilledBusy(t *testing.T) {
	c, r := switchtest.NewRedisCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	for range 3 {
		stop := c.Churn()
		c.Restarted(r, func() { c.Ip("link set " + switchtest.PortName(0) + " mtu 1300") }, "STATE_DB")
		stop()
		c.Recovered("restart")
	}
	c.Disturb()
	c.Recovered("changes after it")
	c.Unharmed(d)
}

// TestRedisEmpty brings the server back with nothing but CONFIG_DB: the
// configuration is produced again, without the old-interface rule, and the rows
// come back as orchagent pops the ports.
func TestRedisEmpty(t *testing.T) {
	c, r := switchtest.NewRedisCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	c.Restarted(r, func() {}, "APPL_DB", "STATE_DB")
	producedAgain(c, d)
}

// producedAgain plays orchagent until all ports are back in APPL_DB.
func producedAgain(c *switchtest.Cell, d *switchtest.Program) {
	c.T.Helper()
	took := switchtest.Eventually(c.T, switchtest.Patience, func() string {
		c.Pop()
		for n := range switchtest.FaultPorts {
			if key := "PORT_TABLE:" + switchtest.PortName(n); !c.Exists("APPL_DB", key) {
				return "no " + key
			}
		}
		if row := c.Row("APPL_DB", "PORT_TABLE:PortConfigDone"); row["count"] != fmt.Sprint(switchtest.FaultPorts) {
			return fmt.Sprintf("PortConfigDone is %v", row)
		}
		if !c.Exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "no PortInitDone"
		}
		return ""
	})
	c.T.Logf("orchagent has all ports after %v", took.Round(time.Millisecond))
	c.Recovered("after the last pop")
	for name, facts := range switchtest.LinkTable(c.T) {
		if facts.Admin != "up" {
			c.T.Errorf("%s is %s", name, facts.Admin)
		}
	}
	c.Disturb()
	c.Recovered("changes after it")
	c.Unharmed(d)
}

// TestRedisHeld lets the server keep its connections and answer nothing for
// longer than the daemon waits for an answer.
func TestRedisHeld(t *testing.T) {
	c, r := switchtest.NewRedisCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	r.Pause()
	c.Disturb()
	stop := c.Churn()
	time.Sleep(3 * time.Second) // the fault itself
	stop()
	r.Resume()
	c.Recovered("held server")
	c.Unharmed(d)
}

// TestFlush empties databases under the daemon: STATE_DB alone, as a careless
// operator does, or all of them.
func TestFlush(t *testing.T) {
	switchtest.Alongside(t)
	t.Run("state", func(t *testing.T) {
		c := switchtest.NewCell(t)
		if c == nil {
			return
		}
		d := c.BringUp(switchtest.FaultPorts)
		c.Do("STATE_DB", "FLUSHDB")
		c.Recovered("FLUSHDB")
		c.Unharmed(d)
	})
	t.Run("all", func(t *testing.T) {
		c := switchtest.NewCell(t)
		if c == nil {
			return
		}
		d := c.BringUp(switchtest.FaultPorts)
		c.Do("APPL_DB", "FLUSHALL")
		producedAgain(c, d)
	})
}

// TestScriptFlush takes the scripts away at every stage; the C++ daemon ends
// when that happens before PortInitDone (PROTOCOL.md section 10).
func TestScriptFlush(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	flush := func() { c.Do("APPL_DB", "SCRIPT", "FLUSH") }
	c.Configure(switchtest.FaultPorts)
	d := c.StartReady()
	flush()
	c.Pop()
	for n := range switchtest.FaultPorts {
		c.AddPort(switchtest.PortName(n))
		flush()
	}
	c.Recovered("flush before PortInitDone")
	c.AwaitInitDone()
	flush()
	c.Disturb()
	c.Recovered("flush after it")
	c.Unharmed(d)
}

// TestClientKill cuts the daemon's connections while the server lives on: those
// that carry data, and those that listen.
func TestClientKill(t *testing.T) {
	c, _ := switchtest.NewRedisCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	for _, kind := range []string{"normal", "pubsub"} {
		c.Do("APPL_DB", "CLIENT", "KILL", "TYPE", kind)
		c.HangUp()
		c.Do("STATE_DB", "DEL", "PORT_TABLE|"+switchtest.PortName(switchtest.FaultPorts-1)) // what is lost is not assumed to be there
		c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(0), 1400))
		c.Recovered("CLIENT KILL TYPE " + kind)
	}
	c.Disturb()
	c.Recovered("changes after it")
	c.Unharmed(d)
}

// TestWrongType puts a string where a port's row belongs: the other ports are
// served, and so is that one once the string is gone.
func TestWrongType(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	d := c.BringUp(switchtest.FaultPorts)
	victim := "PORT_TABLE|" + switchtest.PortName(0)
	c.Do("STATE_DB", "DEL", victim)
	c.Do("STATE_DB", "SET", victim, "a string")
	for n := range switchtest.FaultPorts {
		c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(n), 1400))
	}
	for n := 1; n < switchtest.FaultPorts; n++ {
		switchtest.Eventually(t, switchtest.InStepWithin, func() string {
			if mtu := c.Row("STATE_DB", "PORT_TABLE|"+switchtest.PortName(n))["mtu"]; mtu != "1400" {
				return switchtest.PortName(n) + " has mtu " + mtu
			}
			return ""
		})
	}
	c.AwaitLog(0, switchtest.Patience, "WRONGTYPE")
	lines, _ := c.Logs.From(0)
	for _, l := range lines {
		if l.Has("Cannot find", switchtest.PortName(0)) {
			t.Errorf("the log tells another reason: %s", l)
		}
	}
	c.Do("STATE_DB", "DEL", victim)
	c.Recovered("the string is gone")
	c.Unharmed(d)
}

// TestTwoServers has APPL_DB and STATE_DB on servers of their own, where no
// script can span both, and kills one after the other.
func TestTwoServers(t *testing.T) {
	c := switchtest.EnterCell(t)
	if c == nil {
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
	first, second := switchtest.NewRedis(t), switchtest.NewRedis(t)
	c.Mkdir(switchtest.RedisDir + "/second")
	c.Serve(splitMap, first)
	c.Must("start the second server", second.Start(c.Places["STATE_DB"]))
	t.Cleanup(second.Stop)
	d := c.BringUp(switchtest.FaultPorts)

	second.Kill()
	c.HangUp()
	c.Disturb()
	c.Must("restart", second.Again())
	c.Recovered("restart of STATE_DB's server")
	c.Unharmed(d)

	c.Restarted(first, func() { c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(5), 1450)) })
	c.Recovered("restart of APPL_DB's server")
	c.Unharmed(d)

	// A server that is away when the daemon is asked to end holds nobody up.
	second.Kill()
	c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(5), 1460))
	d.Signal(syscall.SIGTERM)
	if status := d.Wait(5 * time.Second); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", status)
	}
}
