package main

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
)

// TestStop asks the daemon to end in every phase of its life. It must end by
// the same signal within 5 s (PROTOCOL.md section 10): supervisord then sees what it
// sees with the C++ daemon.
func TestStop(t *testing.T) {
	alongside(t)
	const limit = 5 * time.Second
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, phase := range []struct {
			name  string
			reach func(c *cell, r *redisServer) *program
		}{
			{"running", func(c *cell, r *redisServer) *program { return c.bringUp(faultPorts) }},
			{"without_redis", func(c *cell, r *redisServer) *program {
				r.kill()
				d := c.start(launch{})
				d.awaitState(0, patience, "STATUS=waiting for the databases")
				return d
			}},
			{"redis_lost", func(c *cell, r *redisServer) *program {
				d := c.bringUp(faultPorts)
				r.kill()
				c.disturb()
				c.awaitLog(0, patience, "Redis connection lost")
				return d
			}},
			{"redis_held", func(c *cell, r *redisServer) *program {
				d := c.bringUp(faultPorts)
				r.pause()
				c.disturb()
				return d
			}},
			{"start_held", func(c *cell, r *redisServer) *program {
				r.pause()
				d := c.start(launch{})
				eventually(c.t, patience, func() string {
					if !strings.Contains(d.stdout.String(), "Listen to link messages") {
						return "not started"
					}
					return ""
				})
				return d
			}},
			{"flooded", func(c *cell, r *redisServer) *program {
				d := c.bringUp(faultPorts)
				c.t.Cleanup(c.churn())
				return d
			}},
			{"disabled", func(c *cell, r *redisServer) *program {
				conf := c.dir + "/portsyncd.conf"
				writeFile(c.t, conf, "[daemon]\nenabled = false\n")
				d := c.start(launch{args: []string{"-c", conf}})
				d.awaitReady()
				return d
			}},
		} {
			t.Run(fmt.Sprintf("%v_%s", sig, phase.name), func(t *testing.T) {
				c, r := newRedisCell(t)
				if c == nil {
					return
				}
				d := phase.reach(c, r)
				begin := time.Now()
				d.signal(sig)
				status := d.wait(limit)
				t.Logf("ended after %v", time.Since(begin).Round(time.Millisecond))
				if !status.Signaled() || status.Signal() != sig {
					t.Errorf("wait status %#x, want the end by %v", int(status), sig)
				}
				d.awaitState(0, patience, "STOPPING=1")
			})
		}
	}
}

// TestSupervisord starts the daemon as supervisord does: without NOTIFY_SOCKET,
// with SIGPIPE ignored and stdout a pipe, whose reader goes away as well. It
// must live on: supervisord counts it as started after a second.
func TestSupervisord(t *testing.T) {
	alongside(t)
	for _, ignored := range []bool{false, true} {
		t.Run(fmt.Sprintf("SIGPIPE_ignored_%v", ignored), func(t *testing.T) {
			c := newCell(t)
			if c == nil {
				return
			}
			c.configure(1)
			// LOGOUTPUT STDOUT makes it write all its log to the pipe.
			c.do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "LOGLEVEL", "DEBUG", "LOGOUTPUT", "STDOUT")
			r, w, err := os.Pipe()
			c.must("make a pipe", err)
			d := c.start(launch{unwatched: true, stdout: w, ignorePipe: ignored})
			w.Close()
			buf := make([]byte, 26)
			if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "Listen to link messages..." {
				t.Errorf("stdout begins with %q, %v", buf, err)
			}
			r.Close()
			eventually(t, patience, func() string {
				if c.pop(); !c.exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
					return "no PortConfigDone"
				}
				return ""
			})
			c.addPort(portName(0))
			c.awaitInitDone()
			c.recovered("broken stdout")
			throughout(t, time.Second, func() string {
				if !d.alive() {
					return "the daemon has ended: " + d.cmd.ProcessState.String()
				}
				return ""
			})
			d.signal(syscall.SIGPIPE)
			d.signal(syscall.SIGHUP)
			c.ip("link set " + portName(0) + " mtu 1400")
			c.recovered("SIGPIPE and SIGHUP")
			d.signal(syscall.SIGTERM)
			if status := d.wait(5 * time.Second); status.Signal() != syscall.SIGTERM {
				t.Errorf("wait status %#x, want the end by SIGTERM", int(status))
			}
		})
	}
}

// health asks /healthz and returns the status code and the body.
func health(address string) (int, string, error) {
	client := http.Client{Timeout: 2 * time.Second}
	response, err := client.Get("http://" + address + "/healthz")
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// awaitHealth waits until /healthz answers with a status code.
func awaitHealth(t *testing.T, address string, code int) {
	t.Helper()
	eventually(t, patience, func() string {
		got, body, err := health(address)
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
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	c.must("listen", err)
	file, err := l.(*net.TCPListener).File()
	c.must("hand over", err)
	address := l.Addr().String()
	l.Close()
	// LISTEN_PID is to be the daemon's, which a shell can know.
	sh := `export LISTEN_PID=$$; exec "$0"`
	d := c.startCommand(launch{files: []*os.File{file}, env: []string{"LISTEN_FDS=1"}}, "/bin/sh", "-c", sh, c.binary)
	file.Close()
	d.awaitReady()
	awaitHealth(t, address, http.StatusOK)
	if conn, err := net.Dial("tcp", "127.0.0.1:9101"); err == nil {
		conn.Close()
		t.Error("it listens at the configured address too")
	}
	r.kill()
	awaitHealth(t, address, http.StatusServiceUnavailable)
	c.hangUp()
	c.must("restart", r.again())
	awaitHealth(t, address, http.StatusOK)
}

// TestBusyPort has another program at 127.0.0.1:9101: that is one warning, and
// the daemon serves once the port is free.
func TestBusyPort(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:9101")
	c.must("listen", err)
	c.bringUp(1)
	line := c.awaitLog(0, patience, "127.0.0.1:9101")
	if line.severity() != 4 {
		t.Errorf("severity %d, want a warning: %s", line.severity(), line)
	}
	l.Close()
	awaitHealth(t, "127.0.0.1:9101", http.StatusOK)
	lines, _ := c.logs.from(0)
	warnings := 0
	for _, l := range lines {
		if l.severity() <= 4 && l.has("127.0.0.1:9101") {
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
	c := newCell(t)
	if c == nil {
		return
	}
	conf := c.dir + "/portsyncd.conf"
	writeFile(t, conf, "[daemon]\nlog_levle = \"debug\"\nenabled = 7\n[helth]\n")
	c.configure(1)
	d := c.start(launch{args: []string{"-c", conf}})
	for _, at := range []string{conf + ":2:", conf + ":3:", conf + ":4:"} {
		if line := c.awaitLog(0, patience, at); line.severity() != 3 {
			t.Errorf("severity %d, want error: %s", line.severity(), line)
		}
	}
	d.awaitReady()
	c.pop()
	c.addPort(portName(0))
	c.awaitInitDone()
	c.recovered("broken configuration")
	awaitHealth(t, "127.0.0.1:9101", http.StatusOK)

	reload := func(text string, words ...string) {
		t.Helper()
		writeFile(t, conf, text)
		lines, states := c.logs.len(), d.states.len()
		d.signal(syscall.SIGHUP)
		d.awaitState(states, patience, "RELOADING=1")
		d.awaitState(states, patience, "MONOTONIC_USEC=")
		d.awaitState(states, patience, "READY=1")
		c.awaitLog(lines, patience, words...)
	}
	reload("[health]\naudit_interval_secs = 1\n", "audit_interval_secs", "1")
	reload("[health\n", conf+":1:")
	reload("[database]\nredis_port = 6380\n", "redis_port", "restart")
	if !d.alive() {
		t.Error("the daemon has ended")
	}
	c.ip("link set " + portName(0) + " mtu 1400")
	c.recovered("reloads")
}

// TestAudit has another process spoil rows of STATE_DB with no link message in
// sight: the audit repairs them and says so.
func TestAudit(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	conf := c.dir + "/portsyncd.conf"
	writeFile(t, conf, "[health]\naudit_interval_secs = 1\n")
	c.configure(2)
	d := c.start(launch{args: []string{"-c", conf}})
	d.awaitReady()
	c.pop()
	c.addPort(portName(0))
	c.addPort(portName(1))
	c.awaitInitDone()
	c.awaitInStep(patience)
	c.do("STATE_DB", "HSET", "PORT_TABLE|"+portName(0), "mtu", "1")
	c.do("STATE_DB", "DEL", "PORT_TABLE|"+portName(1))
	c.do("STATE_DB", "HSET", "PORT_TABLE|"+portName(2), "state", "ok", "netdev_oper_status", "up")
	c.t.Logf("audit: in step after %v", c.awaitInStep(2*inStepWithin+time.Second).Round(time.Millisecond))
	c.awaitLog(0, patience, "STATE_DB differs", "rows=2", "stale=1")
}
