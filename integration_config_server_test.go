package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// configApart is a map in which CONFIG_DB has a server of its own.
const configApart = `{
  "INSTANCES": {"redis": {"hostname": "127.0.0.1", "port": 6379, "unix_socket_path": "/var/run/redis/redis.sock"},
    "redis2": {"hostname": "127.0.0.1", "port": 6380, "unix_socket_path": "/var/run/redis/second/redis.sock"}},
  "DATABASES": {
    "APPL_DB": {"id": 0, "separator": ":", "instance": "redis"},
    "CONFIG_DB": {"id": 4, "separator": "|", "instance": "redis2"},
    "STATE_DB": {"id": 6, "separator": "|", "instance": "redis"}
  }
}`

// TestConfigServerAway takes away the server that has nothing but CONFIG_DB: by its
// end, and by its silence. Link changes reach STATE_DB, also over a new connection to
// the other server; health says what is missing; and ports that are configured
// meanwhile are noticed once the server is back.
func TestConfigServerAway(t *testing.T) {
	c := enterCell(t)
	if c == nil {
		return
	}
	first, config := newRedis(t), newRedis(t)
	c.mkdir(redisDir + "/second")
	c.serve(configApart, first)
	c.must("start CONFIG_DB's server", config.start(c.places["CONFIG_DB"]))
	t.Cleanup(config.stop)

	// A start needs CONFIG_DB, and waits for it.
	c.configure(faultPorts)
	c.do("CONFIG_DB", "SAVE")
	config.kill()
	c.hangUp()
	d := c.start(launch{})
	c.awaitLog(0, patience, "waiting for Redis", "CONFIG_DB")
	c.must("start CONFIG_DB's server", config.again())
	d.awaitReady()
	c.plug(faultPorts)
	s := newSite(t, httpAddress)

	mtu := 1300
	change := func(what string, within time.Duration) time.Duration {
		t.Helper()
		mtu++
		c.must("set MTU", c.links.SetMTU(portName(1), mtu))
		// What the daemon shows of ports is compared once CONFIG_DB can be read again.
		took := c.awaitInStep(within).Round(time.Millisecond)
		c.t.Logf("%s: in step after %v", what, took)
		return took
	}
	degraded := func() {
		t.Helper()
		eventually(t, patience, func() string {
			if a := s.ask("GET", "/healthz"); a.code != 200 || !strings.Contains(a.body, "config_db_down") {
				return fmt.Sprintf("/healthz answers %d %q", a.code, a.body)
			}
			return ""
		})
	}
	c.do("CONFIG_DB", "SAVE")
	config.kill()
	c.hangUp()
	change("without CONFIG_DB", inStepWithin)
	degraded()
	c.do("APPL_DB", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	c.hangUp()
	change("new connections without CONFIG_DB", inStepWithin)
	degraded()
	if down := c.status(nil); !strings.Contains(down.stdout, "CONFIG_DB") {
		t.Errorf("portsyncd status does not mention CONFIG_DB:\n%s", down.stdout)
	}

	from := c.logs.len()
	c.must("restart CONFIG_DB's server", config.again())
	c.awaitLog(from, patience, "CONFIG_DB is connected again")
	c.do("CONFIG_DB", "HSET", "PORT|"+portName(20), "lanes", "20")
	c.awaitLog(from, patience, "ports of CONFIG_DB changed", portName(20))
	eventually(t, patience, func() string { // so that what health says later is news
		if a := s.ask("GET", "/healthz"); strings.Contains(a.body, "config_db_down") {
			return fmt.Sprintf("/healthz answers %d %q", a.code, a.body)
		}
		return ""
	})
	c.shown()
	c.unharmed(d)

	// A server that is silent: APPL_DB has lost its rows, and what it is to get is in
	// CONFIG_DB.
	c.must("hold CONFIG_DB's server", config.cmd.Process.Signal(syscall.SIGSTOP))
	c.do("APPL_DB", "FLUSHDB")
	for n := range faultPorts {
		c.do("APPL_DB", "HSET", "PORT_TABLE:"+portName(n), "lanes", fmt.Sprint(n))
	}
	// An exchange with a silent server ends after 2 s, or a quarter of a second more. When
	// it begins is up to the daemon, so what follows waits until it has ended.
	change("CONFIG_DB silent, with the one read that waits for it", 2250*time.Millisecond+inStepWithin)
	eventually(t, patience, func() string {
		if a := s.ask("GET", "/healthz"); !strings.Contains(a.body, "config_db_down") {
			return fmt.Sprintf("/healthz answers %d %q", a.code, a.body)
		}
		return ""
	})
	// A daemon that waited for the server would do so for each change. Another process may
	// delay any one of them, but not most.
	var took []time.Duration
	for range 5 {
		took = append(took, change("CONFIG_DB still silent", inStepWithin))
	}
	if slices.Sort(took); took[len(took)/2] > 1500*time.Millisecond {
		t.Errorf("changes took %v: they wait for a server that is silent", took)
	}
	c.must("let CONFIG_DB's server go on", config.cmd.Process.Signal(syscall.SIGCONT))
	eventually(t, patience, func() string {
		c.pop()
		if !c.exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
			return "the configuration was not produced again"
		}
		return ""
	})
	c.recovered("the end")
}
