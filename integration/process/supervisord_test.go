package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// supervisor is a supervisord with the program section of a SONiC image and the built binary.
type supervisor struct {
	c    *switchtest.Switch
	conf string
	log  string // path of its own log
}

// supervisorTimeout is how long supervisord and supervisorctl may take: each command starts a
// Python interpreter.
const supervisorTimeout = 3 * switchtest.Timeout

// startSupervisor starts supervisord with deploy/sonic/supervisord.conf. Additional lines for the
// section override it.
func startSupervisor(sw *switchtest.Switch, more ...string) *supervisor {
	sw.T.Helper()
	switchtest.RequireCommand(sw.T, "supervisord")
	switchtest.RequireCommand(sw.T, "supervisorctl")
	s := &supervisor{c: sw, conf: filepath.Join(sw.Dir, "supervisord.conf"), log: filepath.Join(sw.Dir, "supervisord.log")}
	var section []string
	for line := range strings.Lines(switchtest.ReadFile(sw.T, "deploy/sonic/supervisord.conf")) {
		key, _, isOption := strings.Cut(line, "=")
		replaced := false
		for _, m := range more {
			replaced = replaced || strings.HasPrefix(m, key+"=")
		}
		if !isOption || !replaced {
			section = append(section, strings.TrimSuffix(line, "\n"))
		}
	}
	text := strings.Join(append(section, more...), "\n") + "\n"
	text = strings.Replace(text, "command=/usr/bin/portsyncd\n", "command="+sw.Binary+"\n", 1)
	switchtest.WriteFile(sw.T, s.conf, fmt.Sprintf(`
[supervisord]
nodaemon=true
user=root
logfile=%[1]s/supervisord.log
pidfile=%[1]s/supervisord.pid
childlogdir=%[1]s
[unix_http_server]
file=%[1]s/supervisor.sock
[supervisorctl]
serverurl=unix://%[1]s/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
%[2]s`, sw.Dir, text))
	d := sw.StartCommand(switchtest.StartOptions{NoNotifySocket: true}, "supervisord", "-c", s.conf)
	sw.T.Cleanup(func() {
		if sw.T.Failed() {
			log, _ := os.ReadFile(s.log)
			sw.T.Logf("supervisord: %s", log)
		}
		// So that the daemon ends with supervisord.
		d.Cmd.Process.Signal(syscall.SIGTERM)
		d.Wait(supervisorTimeout)
	})
	switchtest.Eventually(sw.T, supervisorTimeout, func() string {
		if out := s.ctl("status"); !strings.HasPrefix(out, "portsyncd ") {
			return "supervisord answers " + out
		}
		return ""
	})
	return s
}

// ctl runs supervisorctl, which exits with status 3 if a program does not run.
func (s *supervisor) ctl(args ...string) string {
	s.c.T.Helper()
	out, _ := exec.Command("supervisorctl", append([]string{"-c", s.conf}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// awaitStatus waits until supervisord reports a state of the program, and returns its process ID
// if it has one.
func (s *supervisor) awaitStatus(want string) (pid int) {
	s.c.T.Helper()
	switchtest.Eventually(s.c.T, supervisorTimeout, func() string {
		// portsyncd    RUNNING   pid 4711, uptime 0:00:01
		words := strings.Fields(s.ctl("status", "portsyncd"))
		if len(words) < 2 || words[1] != want {
			return fmt.Sprintf("status is %q, want %s", words, want)
		}
		if len(words) > 3 && words[2] == "pid" {
			pid, _ = strconv.Atoi(strings.TrimSuffix(words[3], ","))
		}
		return ""
	})
	return pid
}

// awaitLogged waits for a line of supervisord's log about the program.
func (s *supervisor) awaitLogged(want string) {
	s.c.T.Helper()
	switchtest.Eventually(s.c.T, supervisorTimeout, func() string {
		if log, _ := os.ReadFile(s.log); !strings.Contains(string(log), want) {
			return fmt.Sprintf("supervisord has not logged %q", want)
		}
		return ""
	})
}

// TestSupervisordSection runs the daemon by supervisord with the section of a SONiC image
// (docs/PROTOCOL.md section 1). It must count as running after a second, end by SIGTERM within 5
// s, stay ended after SIGKILL, and keep all ports when it is started again.
func TestSupervisordSection(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	s := startSupervisor(sw, "stopwaitsecs=5") // not the 10 s after which supervisord kills it

	s.ctl("start", "portsyncd")
	pid := s.awaitStatus("RUNNING")
	s.awaitLogged("process has stayed up for > than 1 seconds (startsecs)")
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if sw.PopPortTable(); !sw.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
			return "no PortConfigDone"
		}
		return ""
	})
	sw.AddPort(switchtest.PortName(0))
	sw.AddPort(switchtest.PortName(1))
	sw.AwaitInitDone()
	sw.AwaitRecovery("start under supervisord")
	// The daemon's own log lines have their severities. What it prints comes
	// through supervisord and has a severity of supervisord's.
	sw.AwaitLog(0, switchtest.Timeout, "PortInitDone")
	sw.AwaitLog(0, switchtest.Timeout, "Listen to link messages...")

	t.Run("killed", func(t *testing.T) {
		before := switchtest.LinkStates(t)
		syscall.Kill(pid, syscall.SIGKILL)
		s.awaitStatus("EXITED")
		s.awaitLogged("exited: portsyncd (terminated by SIGKILL; not expected)")
		s.ctl("start", "portsyncd")
		if now := s.awaitStatus("RUNNING"); now == pid {
			t.Errorf("the process ID is still %d", pid)
		}
		sw.AwaitRecovery("kill and start")
		if after := switchtest.LinkStates(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("links are %v, were %v", after, before)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		begin := time.Now()
		if out := s.ctl("stop", "portsyncd"); out != "portsyncd: stopped" {
			t.Errorf("supervisorctl stop says %q", out)
		}
		t.Logf("stopped after %v", time.Since(begin).Round(time.Millisecond))
		s.awaitStatus("STOPPED")
		// As with the C++ daemon, which has no handler for it.
		s.awaitLogged("stopped: portsyncd (terminated by SIGTERM)")
		if log, _ := os.ReadFile(s.log); strings.Contains(string(log), "killing 'portsyncd'") {
			t.Error("supervisord had to kill it")
		}
	})
}

// TestSupervisordRestart is TestSupervisordSection for images with autorestart: supervisord
// restarts a killed daemon each time, and no port goes down.
func TestSupervisordRestart(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	s := startSupervisor(sw, "autostart=true", "autorestart=unexpected")
	pid := s.awaitStatus("RUNNING")
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if sw.PopPortTable(); !sw.Exists("APPL_DB", "PORT_TABLE:PortConfigDone") {
			return "no PortConfigDone"
		}
		return ""
	})
	sw.AddPort(switchtest.PortName(0))
	sw.AwaitInitDone()
	sw.AwaitRecovery("start")
	before := switchtest.LinkStates(t)
	for range 2 {
		killed := pid
		syscall.Kill(killed, syscall.SIGKILL)
		switchtest.Eventually(t, supervisorTimeout, func() string {
			if pid = s.awaitStatus("RUNNING"); pid == killed {
				return "the killed process still counts as running"
			}
			return ""
		})
		sw.AwaitRecovery("restart by supervisord")
	}
	if after := switchtest.LinkStates(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("links are %v, were %v", after, before)
	}
}
