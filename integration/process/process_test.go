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

// TestStop sends SIGTERM and SIGINT in every phase of the daemon's life. The daemon must end by
// that signal within 5 s, as the C++ daemon does (docs/PROTOCOL.md section 10).
func TestStop(t *testing.T) {
	switchtest.Parallel(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, phase := range []struct {
			name  string
			reach func(sw *switchtest.Switch, r *switchtest.RedisServer) *switchtest.Daemon
		}{
			{"running", func(sw *switchtest.Switch, r *switchtest.RedisServer) *switchtest.Daemon {
				return sw.BringUp(switchtest.ManyPorts)
			}},
			{"without_redis", func(sw *switchtest.Switch, r *switchtest.RedisServer) *switchtest.Daemon {
				r.Stop()
				d := sw.Start(switchtest.StartOptions{})
				d.AwaitNotification(0, switchtest.Timeout, "STATUS=waiting for the databases")
				return d
			}},
			{"redis_lost", func(sw *switchtest.Switch, r *switchtest.RedisServer) *switchtest.Daemon {
				d := sw.BringUp(switchtest.ManyPorts)
				r.Stop()
				sw.ChangeLinks()
				sw.AwaitLog(0, switchtest.Timeout, "Redis connection lost")
				return d
			}},
			{"redis_held", func(sw *switchtest.Switch, r *switchtest.RedisServer) *switchtest.Daemon {
				d := sw.BringUp(switchtest.ManyPorts)
				r.Pause()
				sw.ChangeLinks()
				return d
			}},
			{"start_held", func(sw *switchtest.Switch, r *switchtest.RedisServer) *switchtest.Daemon {
				r.Pause()
				d := sw.Start(switchtest.StartOptions{})
				switchtest.Eventually(sw.T, switchtest.Timeout, func() string {
					if !strings.Contains(d.Stdout.String(), "Listen to link messages") {
						return "not started"
					}
					return ""
				})
				return d
			}},
			{"flooded", func(sw *switchtest.Switch, r *switchtest.RedisServer) *switchtest.Daemon {
				d := sw.BringUp(switchtest.ManyPorts)
				sw.T.Cleanup(sw.Churn())
				return d
			}},
			{"disabled", func(sw *switchtest.Switch, r *switchtest.RedisServer) *switchtest.Daemon {
				conf := sw.Dir + "/portsyncd.conf"
				switchtest.WriteFile(sw.T, conf, "[daemon]\nenabled = false\n")
				d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
				d.AwaitReady()
				return d
			}},
		} {
			t.Run(fmt.Sprintf("%v_%s", sig, phase.name), func(t *testing.T) {
				sw, r := switchtest.NewWithRedis(t)
				if sw == nil {
					return
				}
				d := phase.reach(sw, r)
				begin := time.Now()
				d.Signal(sig)
				status := d.Wait(switchtest.ExitTimeout)
				t.Logf("ended after %v", time.Since(begin).Round(time.Millisecond))
				if !status.Signaled() || status.Signal() != sig {
					t.Errorf("wait status %#x, want the end by %v", int(status), sig)
				}
				d.AwaitNotification(0, switchtest.Timeout, "STOPPING=1")
			})
		}
	}
}

// TestSupervisord starts the daemon as supervisord does: without NOTIFY_SOCKET, with SIGPIPE
// ignored and with stdout a pipe, whose reader then closes it. The daemon must keep running.
func TestSupervisord(t *testing.T) {
	switchtest.Parallel(t)
	for _, ignored := range []bool{false, true} {
		t.Run(fmt.Sprintf("SIGPIPE_ignored_%v", ignored), func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			sw.ConfigurePorts(1)
			// LOGOUTPUT STDOUT makes the daemon write its log to the pipe.
			sw.Do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "LOGLEVEL", "DEBUG", "LOGOUTPUT", "STDOUT")
			r, w, err := os.Pipe()
			sw.NoError("make a pipe", err)
			d := sw.Start(switchtest.StartOptions{NoNotifySocket: true, Stdout: w, IgnoreSIGPIPE: ignored})
			w.Close()
			buf := make([]byte, 26)
			if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "Listen to link messages..." {
				t.Errorf("stdout begins with %q, %v", buf, err)
			}
			r.Close()
			switchtest.Eventually(t, switchtest.Timeout, func() string {
				if sw.PopPortTable(); !sw.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
					return "no PortConfigDone"
				}
				return ""
			})
			sw.AddPort(switchtest.PortName(0))
			sw.AwaitInitDone()
			sw.AwaitRecovery("broken stdout")
			switchtest.Consistently(t, time.Second, func() string {
				if !d.Alive() {
					return "the daemon has ended: " + d.Cmd.ProcessState.String()
				}
				return ""
			})
			d.Signal(syscall.SIGPIPE)
			d.Signal(syscall.SIGHUP)
			sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
			sw.AwaitRecovery("SIGPIPE and SIGHUP")
			sw.CheckSelfReport(d)
			d.Signal(syscall.SIGTERM)
			if status := d.Wait(switchtest.ExitTimeout); status.Signal() != syscall.SIGTERM {
				t.Errorf("wait status %#x, want the end by SIGTERM", int(status))
			}
		})
	}
}

// TestHandedListener passes a listening socket to the daemon as systemd's socket activation does
// (sd_listen_fds(3)). /healthz at that address must follow the state of Redis.
func TestHandedListener(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	sw.NoError("listen", err)
	file, err := l.(*net.TCPListener).File()
	sw.NoError("produce the rows", err)
	address := l.Addr().String()
	l.Close()
	// LISTEN_PID must be the daemon's process ID, which a shell knows before exec.
	sh := `export LISTEN_PID=$$; exec "$0"`
	d := sw.StartCommand(switchtest.StartOptions{Files: []*os.File{file}, Env: []string{"LISTEN_FDS=1"}}, "/bin/sh", "-c", sh, sw.Binary)
	file.Close()
	d.AwaitReady()
	switchtest.NewClient(t, address).AwaitCode("/healthz", http.StatusOK)
	if conn, err := net.Dial("tcp", "127.0.0.1:9101"); err == nil {
		conn.Close()
		t.Error("the daemon also listens at the configured address")
	}
	r.Stop()
	switchtest.NewClient(t, address).AwaitCode("/healthz", http.StatusServiceUnavailable)
	sw.CloseConns()
	sw.NoError("restart", r.Restart())
	switchtest.NewClient(t, address).AwaitCode("/healthz", http.StatusOK)
	sw.CheckSelfReportAt(switchtest.NewClient(t, address), d)
}

// TestBusyPort starts the daemon while another program listens at 127.0.0.1:9101. The daemon must
// log one warning and serve once the address is free.
func TestBusyPort(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:9101")
	sw.NoError("listen", err)
	d := sw.BringUp(1)
	line := sw.AwaitLog(0, switchtest.Timeout, "127.0.0.1:9101")
	if line.Severity() != 4 {
		t.Errorf("severity %d, want a warning: %s", line.Severity(), line)
	}
	l.Close()
	switchtest.NewClient(t, "127.0.0.1:9101").AwaitCode("/healthz", http.StatusOK)
	lines, _ := sw.Logs.From(0)
	warnings := 0
	for _, l := range lines {
		if l.Severity() <= 4 && l.Has("127.0.0.1:9101") {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings about the busy port, want one", warnings)
	}
	sw.CheckSelfReport(d)
}

// TestBrokenConfig starts the daemon with a file full of errors: each must be logged, and ports
// must be synchronized with the defaults. SIGHUP must then load a good file, and keep its settings
// when the file is broken again.
func TestBrokenConfig(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	conf := sw.Dir + "/portsyncd.conf"
	switchtest.WriteFile(t, conf, "[daemon]\nlog_levle = \"debug\"\nenabled = 7\n[helth]\n")
	sw.ConfigurePorts(1)
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
	for _, at := range []string{conf + ":2:", conf + ":3:", conf + ":4:"} {
		if line := sw.AwaitLog(0, switchtest.Timeout, at); line.Severity() != 3 {
			t.Errorf("severity %d, want error: %s", line.Severity(), line)
		}
	}
	d.AwaitReady()
	sw.PopPortTable()
	sw.AddPort(switchtest.PortName(0))
	sw.AwaitInitDone()
	sw.AwaitRecovery("broken configuration")
	switchtest.NewClient(t, "127.0.0.1:9101").AwaitCode("/healthz", http.StatusOK)

	reload := func(text string, words ...string) {
		t.Helper()
		switchtest.WriteFile(t, conf, text)
		lines, states := sw.Logs.Len(), d.Notifications.Len()
		d.Signal(syscall.SIGHUP)
		d.AwaitNotification(states, switchtest.Timeout, "RELOADING=1")
		d.AwaitNotification(states, switchtest.Timeout, "MONOTONIC_USEC=")
		d.AwaitNotification(states, switchtest.Timeout, "READY=1")
		sw.AwaitLog(lines, switchtest.Timeout, words...)
	}
	reload("[health]\naudit_interval_secs = 1\n", "audit_interval_secs", "1")
	reload("[health\n", conf+":1:")
	reload("[database]\nredis_port = 6380\n", "redis_port", "restart")
	sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
	sw.AwaitRecovery("reloads")
	sw.CheckSelfReport(d)
}

// TestAudit changes rows of STATE_DB from another process without any link message. The audit must
// repair and log them.
func TestAudit(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	conf := sw.Dir + "/portsyncd.conf"
	switchtest.WriteFile(t, conf, "[health]\naudit_interval_secs = 1\n")
	sw.ConfigurePorts(2)
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
	d.AwaitReady()
	sw.PopPortTable()
	sw.AddPort(switchtest.PortName(0))
	sw.AddPort(switchtest.PortName(1))
	sw.AwaitInitDone()
	sw.AwaitInSync(switchtest.Timeout)
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		n := sw.Logs.Len()
		d.Pause() // so that one audit finds all three, unless one is in progress
		sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(0), "mtu", "1")
		sw.Do("STATE_DB", "DEL", "PORT_TABLE|"+switchtest.PortName(1))
		sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+switchtest.PortName(2), "state", "ok", "netdev_oper_status", "up")
		d.Signal(syscall.SIGCONT)
		sw.T.Logf("audit: in sync after %v", sw.AwaitInSync(2*switchtest.SyncTimeout+time.Second).Round(time.Millisecond))
		line := sw.AwaitLog(n, switchtest.Timeout, "STATE_DB does not match")
		names := switchtest.PortName(0) + ", " + switchtest.PortName(1) + ", " + switchtest.PortName(2)
		if !line.Has("rows=2", "stale=1", `ports="`+names+`"`) {
			return "the audit logs " + line.Text
		}
		if r := switchtest.RunCommand(t, sw.Binary, nil, "events", "--kind", "repair", "-c", conf); !strings.Contains(r.Stdout, "repair of 3 rows: "+names+"\n") {
			return "portsyncd events prints " + r.Stdout
		}
		return ""
	})
	sw.CheckSelfReport(d)
}
