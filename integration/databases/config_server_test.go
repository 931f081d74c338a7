package databases

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
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
	c := switchtest.EnterCell(t)
	if c == nil {
		return
	}
	first, config := switchtest.NewRedis(t), switchtest.NewRedis(t)
	c.Mkdir(switchtest.RedisDir + "/second")
	c.Serve(configApart, first)
	c.Must("start CONFIG_DB's server", config.Start(c.Places["CONFIG_DB"]))
	t.Cleanup(config.Stop)

	// A start needs CONFIG_DB, and waits for it.
	c.Configure(switchtest.FaultPorts)
	c.Do("CONFIG_DB", "SAVE")
	config.Kill()
	c.HangUp()
	d := c.Start(switchtest.Launch{})
	c.AwaitLog(0, switchtest.Patience, "waiting for Redis", "CONFIG_DB")
	c.Must("start CONFIG_DB's server", config.Again())
	d.AwaitReady()
	c.Plug(switchtest.FaultPorts)
	s := switchtest.NewSite(t, switchtest.HttpAddress)

	mtu := 1300
	change := func(what string, within time.Duration) time.Duration {
		t.Helper()
		mtu++
		c.Must("set MTU", c.Links.SetMTU(switchtest.PortName(1), mtu))
		// What the daemon shows of ports is compared once CONFIG_DB can be read again.
		took := c.AwaitInStep(within).Round(time.Millisecond)
		c.T.Logf("%s: in step after %v", what, took)
		return took
	}
	degraded := func() {
		t.Helper()
		switchtest.Eventually(t, switchtest.Patience, func() string {
			if a := s.Ask("GET", "/healthz"); a.Code != 200 || !strings.Contains(a.Body, "config_db_down") {
				return fmt.Sprintf("/healthz answers %d %q", a.Code, a.Body)
			}
			return ""
		})
	}
	c.Do("CONFIG_DB", "SAVE")
	config.Kill()
	c.HangUp()
	change("without CONFIG_DB", switchtest.InStepWithin)
	degraded()
	c.Do("APPL_DB", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	c.HangUp()
	change("new connections without CONFIG_DB", switchtest.InStepWithin)
	degraded()
	if down := c.Status(nil); !strings.Contains(down.Stdout, "CONFIG_DB") {
		t.Errorf("portsyncd status does not mention CONFIG_DB:\n%s", down.Stdout)
	}

	from := c.Logs.Len()
	c.Must("restart CONFIG_DB's server", config.Again())
	c.AwaitLog(from, switchtest.Patience, "CONFIG_DB is connected again")
	c.Do("CONFIG_DB", "HSET", "PORT|"+switchtest.PortName(20), "lanes", "20")
	c.AwaitLog(from, switchtest.Patience, "ports of CONFIG_DB changed", switchtest.PortName(20))
	switchtest.Eventually(t, switchtest.Patience, func() string { // so that what health says later is news
		if a := s.Ask("GET", "/healthz"); strings.Contains(a.Body, "config_db_down") {
			return fmt.Sprintf("/healthz answers %d %q", a.Code, a.Body)
		}
		return ""
	})
	c.Shown()
	c.Unharmed(d)

	// A server that is silent: APPL_DB has lost its rows, and what it is to get is in
	// CONFIG_DB.
	c.Must("hold CONFIG_DB's server", config.Cmd.Process.Signal(syscall.SIGSTOP))
	c.Do("APPL_DB", "FLUSHDB")
	for n := range switchtest.FaultPorts {
		c.Do("APPL_DB", "HSET", "PORT_TABLE:"+switchtest.PortName(n), "lanes", fmt.Sprint(n))
	}
	// An exchange with a silent server ends after 2 s, or a quarter of a second more. When
	// it begins is up to the daemon, so what follows waits until it has ended.
	change("CONFIG_DB silent, with the one read that waits for it", 2250*time.Millisecond+switchtest.InStepWithin)
	switchtest.Eventually(t, switchtest.Patience, func() string {
		if a := s.Ask("GET", "/healthz"); !strings.Contains(a.Body, "config_db_down") {
			return fmt.Sprintf("/healthz answers %d %q", a.Code, a.Body)
		}
		return ""
	})
	// A daemon that waited for the server would do so for each change. Another process may
	// delay any one of them, but not most.
	var took []time.Duration
	for range 5 {
		took = append(took, change("CONFIG_DB still silent", switchtest.InStepWithin))
	}
	if slices.Sort(took); took[len(took)/2] > 1500*time.Millisecond {
		t.Errorf("changes took %v: they wait for a server that is silent", took)
	}
	c.Must("let CONFIG_DB's server go on", config.Cmd.Process.Signal(syscall.SIGCONT))
	switchtest.Eventually(t, switchtest.Patience, func() string {
		c.Pop()
		if !c.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
			return "the configuration was not produced again"
		}
		return ""
	})
	c.Recovered("the end")
}
