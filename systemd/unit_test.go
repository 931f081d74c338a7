package systemd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// unitFile is the unit that the package ships.
const unitFile = "../portsyncd.service"

// maxExposure is the limit for "systemd-analyze security", in tenths.
const maxExposure = "20"

// unavailable skips the test, or fails it where the environment says that nothing may be skipped.
func unavailable(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func TestUnitFile(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		unavailable(t, "systemd-analyze is not installed")
	}
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// portsyncd may not be installed, and verify looks for the command and the manual pages.
	path := filepath.Join(t.TempDir(), "portsyncd.service")
	unit = bytes.Replace(unit, []byte("ExecStart=/usr/bin/portsyncd\n"), []byte("ExecStart=/bin/sh\n"), 1)
	if err := os.WriteFile(path, unit, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold="+maxExposure, path).CombinedOutput()
	if bytes.Contains(out, []byte("unrecognized option")) {
		unavailable(t, "systemd-analyze is older than 250: %s", out)
	}
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// TestUnitSettings holds the settings of the unit that the guide and the daemon rely
// on, which TestUnit replaces to be quick.
func TestUnitSettings(t *testing.T) {
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			unit[key] = append(unit[key], value)
		}
	}
	for key, want := range map[string]string{
		"Type":              "notify",     // READY=1 ends the start
		"WatchdogSec":       "30s",        // three times health.max_stall_seconds, which withholds WATCHDOG=1
		"Restart":           "on-failure", // a stop that was asked for is not undone
		"RestartSec":        "5",          // keeps five starts in 10 s, the default limit, out of reach
		"SuccessExitStatus": "0 143",      // what the end by SIGTERM is to whoever sees an exit status
		"TimeoutStopSec":    "10",         // twice what a stop takes at most
		"ExecStart":         "/usr/bin/portsyncd",
		"ExecReload":        `/bin/sh -c "kill -HUP $MAINPID"`,
		"StateDirectory":    "sonic/portsyncd", // config.StateDir expects it
		"ReadWritePaths":    "-/var/warmboot",
		"WantedBy":          "multi-user.target",
	} {
		if got := unit[key]; len(got) != 1 || got[0] != want {
			t.Errorf("%s=%q, want %q once", key, got, want)
		}
	}
	for _, key := range []string{"StartLimitIntervalSec", "StartLimitBurst", "TimeoutStartSec", "TimeoutSec"} {
		if got := unit[key]; got != nil {
			t.Errorf("%s=%q, want the default", key, got)
		}
	}
}

// TestUnit has a real systemd run the shipped unit, with this test binary as the service: see serve.
func TestUnit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const watchdog = 4 * time.Second
	m := startUserManager(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(m.dir, "web")
	m.write("portsyncd.service", string(unit))
	// The binary, and the manager's sockets, are in a directory for temporary files, which the unit would hide.
	m.write("portsyncd.service.d/test.conf", fmt.Sprintf(`
[Service]
ExecStart=
ExecStart=%s
Environment=%s=service
PrivateTmp=no
ProtectHome=no
TimeoutStartSec=%dms
WatchdogSec=%ds
RestartSec=100ms
StandardError=append:%s
`, self, childRole, startTimeout.Milliseconds(), watchdog/time.Second, filepath.Join(m.dir, "stderr")))
	m.write("portsyncd.socket", fmt.Sprintf("[Socket]\nListenStream=%s\nFileDescriptorName=web\n", socket))
	t.Cleanup(func() {
		if t.Failed() {
			status, _ := exec.Command(filepath.Join(m.dir, "systemctl"), "status", "portsyncd.service").CombinedOutput()
			stderr, _ := os.ReadFile(filepath.Join(m.dir, "stderr"))
			t.Logf("%s\nstandard error: %s", status, stderr[max(0, len(stderr)-4096):])
		}
	})

	m.systemctl("start", "portsyncd.socket")
	// "start" waits for READY=1, and succeeds in spite of TimeoutStartSec= only with EXTEND_TIMEOUT_USEC=.
	began := time.Now()
	m.systemctl("start", "portsyncd.service")
	if took := time.Since(began); took < slowStart {
		t.Errorf("systemctl start took %v: it did not wait for READY=1", took)
	}
	const ready = `watchdog 4s, sockets ["web"], sandbox: <nil>`
	m.expect(map[string]string{"ActiveState": "active", "StatusText": ready})

	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); string(got) != "hello" {
		t.Errorf("from the socket: %q, %v", got, err)
	}

	m.systemctl("reload", "portsyncd.service")
	m.await(map[string]string{"ActiveState": "active", "StatusText": "reloaded"})

	// The service has been fed for longer than WatchdogSec=, or else it would have been restarted by the end of this.
	time.Sleep(time.Until(began.Add(slowStart + watchdog + watchdog/4)))
	m.expect(map[string]string{"ActiveState": "active", "NRestarts": "0"})

	m.systemctl("kill", "--signal=STOP", "portsyncd.service")
	m.await(map[string]string{"NRestarts": "1"})
	m.await(map[string]string{"ActiveState": "active", "StatusText": ready})
	if out, _ := os.ReadFile(filepath.Join(m.dir, "stderr")); !bytes.Contains(out, []byte("SIGABRT: abort")) {
		t.Errorf("no SIGABRT from the watchdog, and no goroutines, in standard error: %s", out)
	}

	m.systemctl("stop", "portsyncd.service")
	m.expect(map[string]string{
		"ActiveState": "inactive", "Result": "success", "StatusText": "stopping",
		"ExecMainCode": "2", "ExecMainStatus": "15", // killed (CLD_KILLED) by SIGTERM
	})
}

// userManager is a systemd of the test's own: see testdata/user-manager.sh.
type userManager struct {
	t   *testing.T
	dir string
}

func startUserManager(t *testing.T) userManager {
	t.Helper()
	m := userManager{t, t.TempDir()}
	cmd := exec.Command("sh", "testdata/user-manager.sh", m.dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		unavailable(t, "%v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); !strings.HasPrefix(line, "ready ") {
		stdin.Close()
		cmd.Wait()
		unavailable(t, "no user manager: %s", stderr.String())
	}
	return m
}

// write writes a unit file and makes the manager read it.
func (m userManager) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, "units", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.systemctl("daemon-reload")
}

// systemctl ends the test if the command fails.
func (m userManager) systemctl(args ...string) string {
	m.t.Helper()
	out, err := exec.Command(filepath.Join(m.dir, "systemctl"), args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("systemctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// differences returns which properties of the service are not as wanted.
func (m userManager) differences(want map[string]string) []string {
	m.t.Helper()
	var differ []string
	for name, value := range want {
		got := m.systemctl("show", "--value", "--property="+name, "portsyncd.service")
		if got = strings.TrimSuffix(got, "\n"); got != value {
			differ = append(differ, fmt.Sprintf("%s is %q, want %q", name, got, value))
		}
	}
	return differ
}

func (m userManager) expect(want map[string]string) {
	m.t.Helper()
	for _, d := range m.differences(want) {
		m.t.Error(d)
	}
}

// await asks until the properties are as wanted, as systemctl has no command that waits for them.
func (m userManager) await(want map[string]string) {
	m.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		differ := m.differences(want)
		if len(differ) == 0 {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatal(strings.Join(differ, "; "))
		}
	}
}
