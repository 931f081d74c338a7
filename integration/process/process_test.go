package process

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestStop asks the daemon to end in every phase of its life. It must end by
// the same signal within 5 s (PROTOCOL.md section 10): supervisord then sees what it
// sees with the C++ daemon.
func TestStop(t *testing.T) {
	switchtest.Alongside(t)
	const limit = 5 * time.Second
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, phase := range []struct {
			name  string
			reach func(c *switchtest.Cell, r *switchtest.RedisServer) *switchtest.Program
		}{
			{"running", func(c *switchtest.Cell, r *switchtest.RedisServer) *switchtest.Program {
				return c.BringUp(switchtest.FaultPorts)
			}},
			{"without_redis", func(c *switchtest.Cell, r *switchtest.RedisServer) *switchtest.Program {
				r.Kill()
				d := c.Start(switchtest.Launch{})
				d.AwaitState(0, switchtest.Patience, "STATUS=waiting for the databases")
				return d
			}},
			{"redis_lost", func(c *switchtest.Cell, r *switchtest.RedisServer) *switchtest.Program {
				d := c.BringUp(switchtest.FaultPorts)
				r.Kill()
				c.Disturb()
				c.AwaitLog(0, switchtest.Patience, "Redis connection lost")
				return d
			}},
			{"redis_held", func(c *switchtest.Cell, r *switchtest.RedisServer) *switchtest.Program {
				d := c.BringUp(switchtest.FaultPorts)
				r.Pause()
				c.Disturb()
				return d
			}},
			{"start_held", func(c *switchtest.Cell, r *switchtest.RedisServer) *switchtest.Program {
				r.Pause()
				d := c.Start(switchtest.Launch{})
				switchtest.Eventually(c.T, switchtest.Patience, func() string {
					if !strings.Contains(d.Stdout.String(), "Listen to link messages") {
						return "not started"
					}
					return ""
				})
				return d
			}},
			{"flooded", func(c *switchtest.Cell, r *switchtest.RedisServer) *switchtest.Program {
				d := c.BringUp(switchtest.FaultPorts)
				c.T.Cleanup(c.Churn())
				return d
			}},
			{"disabled", func(c *switchtest.Cell, r *switchtest.RedisServer) *switchtest.Program {
				conf := c.Dir + "/portsyncd.conf"
				switchtest.WriteFile(c.T, conf, "[daemon]\nenabled = false\n")
				d := c.Start(switchtest.Launch{Args: []string{"-c", conf}})
				d.AwaitReady()
				return d
			}},
		} {
			t.Run(fmt.Sprintf("%v_%s", sig, phase.name), func(t *testing.T) {
				c, r := switchtest.NewRedisCell(t)
				if c == nil {
					return
				}
				d := phase.reach(c, r)
				begin := time.Now()
				d.Signal(sig)
				status := d.Wait(limit)
				t.Logf("ended after %v", time.Since(begin).Round(time.Millisecond))
				if !status.Signaled() || status.Signal() != sig {
					t.Errorf("wait status %#x, want the end by %v", int(status), sig)
				}
				d.AwaitState(0, switchtest.Patience, "STOPPING=1")
			})
		}
	}
}

// TestSupervisord starts the daemon as supervisord does: without NOTIFY_SOCKET,
// with SIGPIPE ignored and stdout a pipe, whose reader goes away as well. It
// must live on: supervisord counts it as started after a second.
func TestSupervisord(t *testing.T) {
	switchtest.Alongside(t)
	for _, ignored := range []bool{false, true} {
		t.Run(fmt.Sprintf("SIGPIPE_ignored_%v", ignored), func(t *testing.T) {
			c := switchtest.NewCell(t)
			if c == nil {
				return
			}
			c.Configure(1)
			// LOGOUTPUT STDOUT makes it write all its log to the pipe.
			c.Do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "LOGLEVEL", "DEBUG", "LOGOUTPUT", "STDOUT")
			r, w, err := os.Pipe()
			c.Must("make a pipe", err)
			d := c.Start(switchtest.Launch{Unwatched: true, Stdout: w, IgnorePipe: ignored})
			w.Close()
			buf := make([]byte, 26)
			if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "Listen to link messages..." {
				t.Errorf("stdout begins with %q, %v", buf, err)
			}
			r.Close()
			switchtest.Eventually(t, switchtest.Patience, func() string {
				if c.Pop(); !c.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
					return "no PortConfigDone"
				}
				return ""
			})
			c.AddPort(switchtest.PortName(0))
			c.AwaitInitDone()
			c.Recovered("broken stdout")
			switchtest.Throughout(t, time.Second, func() string {
				if !d.Alive() {
					return "the daemon has ended: " + d.Cmd.ProcessState.String()
				}
				return ""
			})
			d.Signal(syscall.SIGPIPE)
			d.Signal(syscall.SIGHUP)
			c.Ip("link set " + switchtest.PortName(0) + " mtu 1400")
			c.Recovered("SIGPIPE and SIGHUP")
			d.Signal(syscall.SIGTERM)
			if status := d.Wait(5 * time.Second); status.Signal() != syscall.SIGTERM {
				t.Errorf("wait status %#x, want the end by SIGTERM", int(status))
			}
		})
	}
}

// awaitHealth waits until /healthz answers with a status code.
func awaitHealth(t *testing.T, address string, code int) {
	t.Helper()
	switchtest.Eventually(t, switchtest.Patience, func() string {
		got, body, err := switchtest.Health(address)
		if got != code {
			return fmt.Sprintf("/healthz answers %d %q, %v, want %d", got, body, err, code)
		}
		return ""
	})
}

// TestHandedListener hands a listener over as systemd's socket activation does
// (sd_listen_fds(3)), on an address of no configuration; /healthz follows the
// fate of Redis there.
func TestHandedListener(t *testing.T) {
	c, r := switchtest.NewRedisCell(t)
	if c == nil {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	c.Must("listen", err)
	file, err := l.(*net.TCPListener).File()
	c.Must("hand over", err)
	address := l.Addr().String()
	l.Close()
	// LISTEN_PID is to be the daemon's, which a shell can know.
	sh := `export LISTEN_PID=$$; exec "$0"`
	d := c.StartCommand(switchtest.Launch{Files: []*os.File{file}, Env: []string{"LISTEN_FDS=1"}}, "/bin/sh", "-c", sh, c.Binary)
	file.Close()
	d.AwaitReady()
	awaitHealth(t, address, http.StatusOK)
	if conn, err := net.Dial("tcp", "127.0.0.1:9101"); err == nil {
		conn.Close()
		t.Error("it listens at the configured address too")
	}
	r.Kill()
	awaitHealth(t, address, http.StatusServiceUnavailable)
	c.HangUp()
	c.Must("restart", r.Again())
	awaitHealth(t, address, http.StatusOK)
}

// TestBusyPort has another program at 127.0.0.1:9101: that is one warning, and
// the daemon serves once the port is free.
func TestBusyPort(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:9101")
	c.Must("listen", err)
	c.BringUp(1)
	line := c.AwaitLog(0, switchtest.Patience, "127.0.0.1:9101")
	if line.Severity() != 4 {
		t.Errorf("severity %d, want a warning: %s", line.Severity(), line)
	}
	l.Close()
	awaitHealth(t, "127.0.0.1:9101", http.StatusOK)
	lines, _ := c.Logs.From(0)
	warnings := 0
	for _, l := range lines {
		if l.Severity() <= 4 && l.Has("127.0.0.1:9101") {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings about the busy port, want one", warnings)
	}
}

// TestBrokenConfig starts with a file full of errors: each is named, and ports
// are synchronised with the defaults. SIGHUP then takes a good file, and keeps
// it against a bad one.
func TestBrokenConfig(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	conf := c.Dir + "/portsyncd.conf"
	switchtest.WriteFile(t, conf, "[daemon]\nlog_levle = \"debug\"\nenabled = 7\n[helth]\n")
	c.Configure(1)
	d := c.Start(switchtest.Launch{Args: []string{"-c", conf}})
	for _, at := range []string{conf + ":2:", conf + ":3:", conf + ":4:"} {
		if line := c.AwaitLog(0, switchtest.Patience, at); line.Severity() != 3 {
			t.Errorf("severity %d, want error: %s", line.Severity(), line)
		}
	}
	d.AwaitReady()
	c.Pop()
	c.AddPort(switchtest.PortName(0))
	c.AwaitInitDone()
	c.Recovered("broken configuration")
	awaitHealth(t, "127.0.0.1:9101", http.StatusOK)

	reload := func(text string, words ...string) {
		t.Helper()
		switchtest.WriteFile(t, conf, text)
		lines, states := c.Logs.Len(), d.States.Len()
		d.Signal(syscall.SIGHUP)
		d.AwaitState(states, switchtest.Patience, "RELOADING=1")
		d.AwaitState(states, switchtest.Patience, "MONOTONIC_USEC=")
		d.AwaitState(states, switchtest.Patience, "READY=1")
		c.AwaitLog(lines, switchtest.Patience, words...)
	}
	reload("[health]\naudit_interval_secs = 1\n", "audit_interval_secs", "1")
	reload("[health\n", conf+":1:")
	reload("[database]\nredis_port = 6380\n", "redis_port", "restart")
	if !d.Alive() {
		t.Error("the daemon has ended")
	}
	c.Ip("link set " + switchtest.PortName(0) + " mtu 1400")
	c.Recovered("reloads")
}

// TestAudit has another process spoil rows of STATE_DB with no link message in
// sight: the audit repairs them and says so.
func TestAudit(t *testing.T) {
	c := switchtest.NewCell(t)
	if c == nil {
		return
	}
	conf := c.Dir + "/portsyncd.conf"
	switchtest.WriteFile(t, conf, "[health]\naudit_interval_secs = 1\n")
	c.Configure(2)
	d := c.Start(switchtest.Launch{Args: []string{"-c", conf}})
	d.AwaitReady()
	c.Pop()
	c.AddPort(switchtest.PortName(0))
	c.AddPort(switchtest.PortName(1))
	c.AwaitInitDone()
	c.AwaitInStep(switchtest.Patience)
	c.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(0), "mtu", "1")
	c.Do("STATE_DB", "DEL", "PORT_TABLE|"+switchtest.PortName(1))
	c.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(2), "state", "ok", "netdev_oper_status", "up")
	c.T.Logf("audit: in step after %v", c.AwaitInStep(2*switchtest.InStepWithin+time.Second).Round(time.Millisecond))
	c.AwaitLog(0, switchtest.Patience, "STATE_DB differs", "rows=2", "stale=1")
}
