package process

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// TestSystemd runs the shipped unit by systemd: the start waits for Redis, READY=1 follows the
// initial sync, and reload, watchdog and stop work.
func TestSystemd(t *testing.T) {
	sw := switchtest.NewBare(t)
	if sw == nil {
		return
	}
	r := switchtest.NewRedisServer(t)
	sw.StartDatabase(switchtest.DefaultMap, r)
	sw.ConfigurePorts(2)
	sw.Do("APPL_DB", "SAVE")
	r.Stop()
	sw.CloseConns()
	m := startUserManager(sw)
	unit, err := os.ReadFile("portsyncd.service")
	sw.NoError("read the unit", err)
	m.write("portsyncd.service", string(unit))
	// The binary is in a directory for temporary files, which the unit would hide.
	m.write("portsyncd.service.d/test.conf", fmt.Sprintf(`
[Service]
ExecStart=
ExecStart=%s
PrivateTmp=no
ProtectHome=no
TimeoutStartSec=3s
WatchdogSec=5s
RestartSec=100ms
StandardOutput=append:%[2]s/output
StandardError=append:%[2]s/output
`, sw.Binary, m.dir))
	t.Cleanup(func() {
		if t.Failed() {
			status, _ := exec.Command(m.dir+"/systemctl", "status", "portsyncd.service").CombinedOutput()
			output, _ := os.ReadFile(m.dir + "/output")
			t.Logf("%s\noutput: %s", status, output[max(0, len(output)-4096):])
		}
	})

	m.systemctl("start", "--no-block", "portsyncd.service")
	m.await("StatusText", "waiting for the databases")
	switchtest.Consistently(t, 3500*time.Millisecond, func() string { // longer than TimeoutStartSec=
		if state := m.property("ActiveState"); state != "activating" {
			return "without Redis the service is " + state
		}
		return ""
	})
	sw.NoError("start redis", r.Restart())
	m.await("ActiveState", "active")
	if pending := strings.Join(sw.SetMembers("APPL_DB", switchtest.KeySet), " "); !strings.Contains(pending, "PortConfigDone") {
		t.Errorf("active before the configuration is produced: %s", pending)
	}
	sw.PopPortTable()
	sw.AddPort(switchtest.PortName(0))
	sw.AddPort(switchtest.PortName(1))
	sw.AwaitInitDone()
	sw.AwaitRecovery("start under systemd")

	m.systemctl("reload", "portsyncd.service")
	m.await("ActiveState", "active")

	pid := m.property("MainPID")
	m.systemctl("kill", "--signal=STOP", "portsyncd.service")
	sw.IPLink("link set "+switchtest.PortName(0)+" mtu 1400", "link set "+switchtest.PortName(1)+" down")
	before := switchtest.LinkStates(t)
	m.await("NRestarts", "1")
	m.await("ActiveState", "active")
	if now := m.property("MainPID"); now == pid {
		t.Errorf("main process is still %s", pid)
	}
	sw.AwaitRecovery("restart by the watchdog")
	if after := switchtest.LinkStates(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("links are %v, were %v", after, before)
	}

	m.systemctl("stop", "portsyncd.service")
	for name, want := range map[string]string{"ActiveState": "inactive", "Result": "success"} {
		if got := m.property(name); got != want {
			t.Errorf("after stop %s is %s, want %s", name, got, want)
		}
	}
}

// userManager is a systemd user manager for one test (systemd/testdata/user-manager.sh).
type userManager struct {
	t   switchtest.T
	dir string
}

func startUserManager(sw *switchtest.Switch) userManager {
	sw.T.Helper()
	m := userManager{sw.T, sw.T.TempDir()}
	cmd := exec.Command("sh", "systemd/testdata/user-manager.sh", m.dir)
	stdin, err := cmd.StdinPipe()
	sw.NoError("run the manager", err)
	stdout, err := cmd.StdoutPipe()
	sw.NoError("run the manager", err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	sw.NoError("run the manager", cmd.Start())
	sw.T.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); !strings.HasPrefix(line, "ready ") {
		stdin.Close()
		cmd.Wait()
		lab.Unavailable(sw.T, "no user manager: "+stderr.String())
	}
	return m
}

// write writes a unit file and reloads the manager.
func (m userManager) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, "units", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	switchtest.WriteFile(m.t, path, text)
	m.systemctl("daemon-reload")
}

// systemctl runs systemctl and ends the test if it fails.
func (m userManager) systemctl(args ...string) string {
	m.t.Helper()
	out, err := exec.Command(m.dir+"/systemctl", args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("systemctl %q: %v\n%s", args, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// property returns a property of the service.
func (m userManager) property(name string) string {
	m.t.Helper()
	return m.systemctl("show", "--value", "--property="+name, "portsyncd.service")
}

// await waits until a property begins with want.
func (m userManager) await(name, want string) {
	m.t.Helper()
	switchtest.Eventually(m.t, switchtest.Timeout, func() string {
		if got := m.property(name); !strings.HasPrefix(got, want) {
			return fmt.Sprintf("%s is %q, want %q", name, got, want)
		}
		return ""
	})
}
