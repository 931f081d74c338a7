package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests take the database away from a running daemon (PROTOCOL.md D3 and
// D4; ARCHITECTURE.md, invariants 1, 3 and 6). After each fault STATE_DB
// equals the kernel within a second, the process is the same, and orchagent is
// told nothing a second time unless APPL_DB lost it.

// faultPorts is how many ports a switch in these tests has.
const faultPorts = 8

// disturb changes links while nobody can be told: every kind of change.
func (c *cell) disturb() {
	c.t.Helper()
	c.must("delete", c.links.Delete(portName(0)))
	c.must("delete", c.links.Delete(portName(1)))
	c.addPort(portName(1))
	c.must("set down", c.links.SetUp(portName(2), false))
	c.must("set the peer down", c.links.SetUp(peerName(portName(3)), false))
	c.must("set MTU", c.links.SetMTU(portName(4), 1400))
}

// churn changes links that disturb leaves alone.
func (c *cell) churn() (stop func()) { return c.churnPorts(5, 3) }

// churnPorts changes some ports' links without a pause until the returned function
// is called.
func (c *cell) churnPorts(first, ports int) (stop func()) {
	links, quit, ended := dialLinks(c.t), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
				links.SetMTU(portName(first+i%ports), 1400+i%100)
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// unharmed checks what must hold after each fault. May are the reasons of health
// that may outlast it.
func (c *cell) unharmed(d *program, may ...string) {
	c.t.Helper()
	c.survived(d)
	c.truthful(d, may...)
}

// survived checks that the daemon lives and has told orchagent nothing again.
func (c *cell) survived(d *program) {
	c.t.Helper()
	if !d.alive() {
		c.t.Fatalf("the daemon has ended: %v", d.cmd.ProcessState)
	}
	if pending := c.elements("APPL_DB", keySet); len(pending) > 0 {
		c.t.Errorf("produced a second time: %q", pending)
	}
}

// restarted kills the server, which comes back with what it had, but for the
// named databases; meanwhile is what happens in between.
func (c *cell) restarted(r *redisServer, meanwhile func(), without ...string) {
	c.t.Helper()
	c.do("APPL_DB", "SAVE")
	r.kill()
	c.hangUp()
	meanwhile()
	if len(without) > 0 {
		// A second server makes the file that the first will find.
		aux, port := &redisServer{}, c.places[without[0]].port+1
		c.must("start a second server", aux.start(place{socket: redisDir + "/second.sock", port: port}))
		for _, name := range without {
			c.places["second"] = place{number: c.places[name].number, port: port}
			c.do("second", "FLUSHDB")
			c.hangUp()
		}
		c.do("second", "SAVE")
		c.hangUp()
		aux.stop()
	}
	c.must("restart", r.again())
}

// TestRedisKilled kills the server while the daemon has nothing to do; the
// server comes back with a STATE_DB that is empty, or as it was before.
func TestRedisKilled(t *testing.T) {
	alongside(t)
	for _, without := range [][]string{{"STATE_DB"}, {}} {
		t.Run("without_"+strings.Join(without, "_"), func(t *testing.T) {
			c, r := newRedisCell(t)
			if c == nil {
				return
			}
			d := c.bringUp(faultPorts)
			c.restarted(r, c.disturb, without...)
			c.recovered("restart")
			c.unharmed(d)
		})
	}
}

// TestRedisOlder brings the server back with contents of some time ago: rows of
// interfaces that are gone, and old states of those that are not.
func TestRedisOlder(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	c.do("APPL_DB", "SAVE")
	c.disturb()
	c.awaitInStep(patience)
	r.kill()
	c.hangUp()
	c.must("restart", r.again())
	c.recovered("older contents")
	c.unharmed(d)
}

// TestRedisKilledBusy kills the server while link messages flow.
func TestRedisKilledBusy(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	for range 3 {
		stop := c.churn()
		c.restarted(r, func() { c.ip("link set " + portName(0) + " mtu 1300") }, "STATE_DB")
		stop()
		c.recovered("restart")
	}
	c.disturb()
	c.recovered("changes after it")
	c.unharmed(d)
}

// TestRedisEmpty brings the server back with nothing but CONFIG_DB: the
// configuration is produced again, without the old-interface rule, and the rows
// come back as orchagent pops the ports.
func TestRedisEmpty(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	c.restarted(r, func() {}, "APPL_DB", "STATE_DB")
	c.producedAgain(d)
}

// producedAgain plays orchagent until all ports are back in APPL_DB.
func (c *cell) producedAgain(d *program) {
	c.t.Helper()
	took := eventually(c.t, patience, func() string {
		c.pop()
		for n := range faultPorts {
			if key := "PORT_TABLE:" + portName(n); !c.exists("APPL_DB", key) {
				return "no " + key
			}
		}
		if row := c.row("APPL_DB", "PORT_TABLE:PortConfigDone"); row["count"] != fmt.Sprint(faultPorts) {
			return fmt.Sprintf("PortConfigDone is %v", row)
		}
		if !c.exists("APPL_DB", "PORT_TABLE:PortInitDone") {
			return "no PortInitDone"
		}
		return ""
	})
	c.t.Logf("orchagent has all ports after %v", took.Round(time.Millisecond))
	c.recovered("after the last pop")
	for name, facts := range linkTable(c.t) {
		if facts.Admin != "up" {
			c.t.Errorf("%s is %s", name, facts.Admin)
		}
	}
	c.disturb()
	c.recovered("changes after it")
	c.unharmed(d)
}

// TestRedisHeld lets the server keep its connections and answer nothing for
// longer than the daemon waits for an answer.
func TestRedisHeld(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	r.pause()
	c.disturb()
	stop := c.churn()
	time.Sleep(3 * time.Second) // the fault itself
	stop()
	r.resume()
	c.recovered("held server")
	c.unharmed(d)
}

// TestFlush empties databases under the daemon: STATE_DB alone, as a careless
// operator does, or all of them.
func TestFlush(t *testing.T) {
	alongside(t)
	t.Run("state", func(t *testing.T) {
		c := newCell(t)
		if c == nil {
			return
		}
		d := c.bringUp(faultPorts)
		c.do("STATE_DB", "FLUSHDB")
		c.recovered("FLUSHDB")
		c.unharmed(d)
	})
	t.Run("all", func(t *testing.T) {
		c := newCell(t)
		if c == nil {
			return
		}
		d := c.bringUp(faultPorts)
		c.do("APPL_DB", "FLUSHALL")
		c.producedAgain(d)
	})
}

// TestScriptFlush takes the scripts away at every stage; the C++ daemon ends
// when that happens before PortInitDone (PROTOCOL.md section 10).
func TestScriptFlush(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	flush := func() { c.do("APPL_DB", "SCRIPT", "FLUSH") }
	c.configure(faultPorts)
	d := c.startReady()
	flush()
	c.pop()
	for n := range faultPorts {
		c.addPort(portName(n))
		flush()
	}
	c.recovered("flush before PortInitDone")
	c.awaitInitDone()
	flush()
	c.disturb()
	c.recovered("flush after it")
	c.unharmed(d)
}

// TestClientKill cuts the daemon's connections while the server lives on: those
// that carry data, and those that listen.
func TestClientKill(t *testing.T) {
	c, _ := newRedisCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	for _, kind := range []string{"normal", "pubsub"} {
		c.do("APPL_DB", "CLIENT", "KILL", "TYPE", kind)
		c.hangUp()
		c.do("STATE_DB", "DEL", "PORT_TABLE|"+portName(faultPorts-1)) // what is lost is not assumed to be there
		c.must("set MTU", c.links.SetMTU(portName(0), 1400))
		c.recovered("CLIENT KILL TYPE " + kind)
	}
	c.disturb()
	c.recovered("changes after it")
	c.unharmed(d)
}

// TestWrongType puts a string where a port's row belongs: the other ports are
// served, and so is that one once the string is gone.
func TestWrongType(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	d := c.bringUp(faultPorts)
	victim := "PORT_TABLE|" + portName(0)
	c.do("STATE_DB", "DEL", victim)
	c.do("STATE_DB", "SET", victim, "a string")
	for n := range faultPorts {
		c.must("set MTU", c.links.SetMTU(portName(n), 1400))
	}
	for n := 1; n < faultPorts; n++ {
		eventually(t, inStepWithin, func() string {
			if mtu := c.row("STATE_DB", "PORT_TABLE|"+portName(n))["mtu"]; mtu != "1400" {
				return portName(n) + " has mtu " + mtu
			}
			return ""
		})
	}
	c.awaitLog(0, patience, "WRONGTYPE")
	lines, _ := c.logs.from(0)
	for _, l := range lines {
		if l.has("Cannot find", portName(0)) {
			t.Errorf("the log tells another reason: %s", l)
		}
	}
	c.do("STATE_DB", "DEL", victim)
	c.recovered("the string is gone")
	c.unharmed(d)
}

// TestTwoServers has APPL_DB and STATE_DB on servers of their own, where no
// script can span both, and kills one after the other.
func TestTwoServers(t *testing.T) {
	c := enterCell(t)
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
	first, second := newRedis(t), newRedis(t)
	c.mkdir(redisDir + "/second")
	c.serve(splitMap, first)
	c.must("start the second server", second.start(c.places["STATE_DB"]))
	t.Cleanup(second.stop)
	d := c.bringUp(faultPorts)

	second.kill()
	c.hangUp()
	c.disturb()
	c.must("restart", second.again())
	c.recovered("restart of STATE_DB's server")
	c.unharmed(d)

	c.restarted(first, func() { c.must("set MTU", c.links.SetMTU(portName(5), 1450)) })
	c.recovered("restart of APPL_DB's server")
	c.unharmed(d)

	// A server that is away when the daemon is asked to end holds nobody up.
	second.kill()
	c.must("set MTU", c.links.SetMTU(portName(5), 1460))
	d.signal(syscall.SIGTERM)
	if status := d.wait(5 * time.Second); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", status)
	}
}
