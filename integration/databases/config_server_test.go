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

// configApart is a database map in which CONFIG_DB has its own server.
const configApart = `{
  "INSTANCES": {"redis": {"hostname": "127.0.0.1", "port": 6379, "unix_socket_path": "/var/run/redis/redis.sock"},
    "redis2": {"hostname": "127.0.0.1", "port": 6380, "unix_socket_path": "/var/run/redis/second/redis.sock"}},
  "DATABASES": {
    "APPL_DB": {"id": 0, "separator": ":", "instance": "redis"},
    "CONFIG_DB": {"id": 4, "separator": "|", "instance": "redis2"},
    "STATE_DB": {"id": 6, "separator": "|", "instance": "redis"}
  }
}`

// TestConfigServerDown stops and then pauses the server that has only CONFIG_DB. Link changes must
// reach STATE_DB, even over a new connection to the other server; health must name what is
// missing; and ports configured meanwhile must be produced when the server is back.
func TestConfigServerDown(t *testing.T) {
	sw := switchtest.NewWithoutDatabase(t)
	if sw == nil {
		return
	}
	first, config := switchtest.NewRedisServer(t), switchtest.NewRedisServer(t)
	sw.Mkdir(switchtest.RedisDir + "/second")
	sw.StartDatabase(configApart, first)
	sw.NoError("start CONFIG_DB's server", config.Start(sw.Databases["CONFIG_DB"]))
	t.Cleanup(config.Stop)

	// A start needs CONFIG_DB and waits for it.
	sw.ConfigurePorts(switchtest.ManyPorts)
	sw.Do("CONFIG_DB", "SAVE")
	config.Stop()
	sw.CloseConns()
	d := sw.Start(switchtest.StartOptions{})
	sw.AwaitLog(0, switchtest.Timeout, "waiting for Redis", "CONFIG_DB")
	sw.NoError("start CONFIG_DB's server", config.Restart())
	d.AwaitReady()
	sw.AddInterfaces(switchtest.ManyPorts)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)

	mtu := 1300
	change := func(what string, within time.Duration) time.Duration {
		t.Helper()
		mtu++
		sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(1), mtu))
		// The reported ports are compared when CONFIG_DB can be read again.
		took := sw.AwaitInSync(within).Round(time.Millisecond)
		sw.T.Logf("%s: in sync after %v", what, took)
		return took
	}
	degraded := func() {
		t.Helper()
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if a := client.Request("GET", "/healthz"); a.Code != 200 || !strings.Contains(a.Body, "config_db_down") {
				return fmt.Sprintf("/healthz answers %d %q", a.Code, a.Body)
			}
			return ""
		})
	}
	sw.Do("CONFIG_DB", "SAVE")
	config.Stop()
	sw.CloseConns()
	change("without CONFIG_DB", switchtest.SyncTimeout)
	degraded()
	sw.Do("APPL_DB", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	sw.CloseConns()
	change("new connections without CONFIG_DB", switchtest.SyncTimeout)
	degraded()
	if down := sw.RunStatus(nil); !strings.Contains(down.Stdout, "CONFIG_DB") {
		t.Errorf("portsyncd status does not mention CONFIG_DB:\n%s", down.Stdout)
	}

	from := sw.Logs.Len()
	sw.NoError("restart CONFIG_DB's server", config.Restart())
	sw.AwaitLog(from, switchtest.Timeout, "reconnected to CONFIG_DB")
	sw.Do("CONFIG_DB", "HSET", "PORT|"+switchtest.PortName(20), "lanes", "20")
	sw.AwaitLog(from, switchtest.Timeout, "ports in CONFIG_DB changed", switchtest.PortName(20))
	switchtest.Eventually(t, switchtest.Timeout, func() string { // so that later changes of health are logged
		if a := client.Request("GET", "/healthz"); strings.Contains(a.Body, "config_db_down") {
			return fmt.Sprintf("/healthz answers %d %q", a.Code, a.Body)
		}
		return ""
	})
	sw.AwaitReportedPorts()
	sw.CheckAfterFault(d)

	// A new session also connects to CONFIG_DB's server, which is up, and does not call it down.
	from = sw.Logs.Len()
	sw.Do("APPL_DB", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	sw.CloseConns()
	change("new connections with CONFIG_DB", switchtest.SyncTimeout)
	sw.Do("CONFIG_DB", "HSET", "PORT|"+switchtest.PortName(21), "lanes", "21")
	sw.AwaitLog(from, switchtest.Timeout, "ports in CONFIG_DB changed", switchtest.PortName(21))
	lines, _ := sw.Logs.From(from)
	for _, l := range lines {
		if l.Has("cannot connect to CONFIG_DB") || l.Has("config_db_down") {
			t.Errorf("logged although the server is up: %s", l.Text)
		}
	}
	sw.CheckAfterFault(d)

	// The paused server has CONFIG_DB, from which the daemon would produce the rows that APPL_DB
	// lost.
	sw.NoError("pause CONFIG_DB's server", config.Cmd.Process.Signal(syscall.SIGSTOP))
	sw.Do("APPL_DB", "FLUSHDB")
	for n := range switchtest.ManyPorts {
		sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+switchtest.PortName(n), "lanes", fmt.Sprint(n))
	}
	// A request to a paused server times out after 2 to 2.25 s. When it begins depends on
	// the daemon, so the test waits until it has ended.
	change("CONFIG_DB silent, with the one read that waits for it", 2250*time.Millisecond+switchtest.SyncTimeout)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if a := client.Request("GET", "/healthz"); !strings.Contains(a.Body, "config_db_down") {
			return fmt.Sprintf("/healthz answers %d %q", a.Code, a.Body)
		}
		return ""
	})
	// A daemon that waited for the server would wait at least 2 s for each change. Other processes may
	// delay changes, so the fastest one counts.
	var took []time.Duration
	for range 5 {
		took = append(took, change("CONFIG_DB still silent", switchtest.SyncTimeout))
	}
	if slices.Min(took) > 1500*time.Millisecond {
		t.Errorf("changes took %v: they wait for the paused server", took)
	}
	sw.NoError("continue CONFIG_DB's server", config.Cmd.Process.Signal(syscall.SIGCONT))
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		sw.PopPortTable()
		if !sw.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
			return "the configuration was not produced again"
		}
		return ""
	})
	sw.AwaitRecovery("the end")
}
