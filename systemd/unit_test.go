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

// unitFile is the unit file of the package.
const unitFile = "../portsyncd.service"

// maxExposure is the maximum exposure level of "systemd-analyze security", in tenths.
const maxExposure = "20"

// unavailable skips the test, or fails it if PORTSYNCD_REQUIRE_INTEGRATION is 1.
func unavailable(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// TestUnitFile checks the unit with systemd-analyze verify and systemd-analyze security.
func TestUnitFile(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		unavailable(t, "systemd-analyze is not installed")
	}
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	// verify would fail if portsyncd and its manual pages are not installed.
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

// TestUnitSettings checks the settings that the daemon and the documentation rely on, some of which
// TestUnit replaces.
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
		"Type":              "notify",     // READY=1 completes startup
		"WatchdogSec":       "30s",        // three times health.max_stall_seconds, after which the daemon stops sending WATCHDOG=1
		"Restart":           "on-failure", // no restart after systemctl stop
		"RestartSec":        "5",          // avoids the default start limit, five starts in 10 s
		"SuccessExitStatus": "0 143",      // exit status of a process ended by SIGTERM
		"TimeoutStopSec":    "10",         // twice the maximum duration of a stop
		"ExecStart":         "/usr/bin/portsyncd",
		"ExecReload":        `/bin/sh -c "kill -HUP $MAINPID"`,
		"StateDirectory":    "sonic/portsyncd", // used by config.StateDir
		"ReadWritePaths":    "-/var/warmboot",
		"WantedBy":          "multi-user.target",
		"After":             "database.service redis-server.service", // SONiC's Redis and Debian's

		"CapabilityBoundingSet":   "CAP_NET_ADMIN", // to bring links down
		"NoNewPrivileges":         "yes",
		"ProtectSystem":           "strict",
		"ProtectProc":             "invisible",                           // ProcSubset=pid would hide the boot ID
		"RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK", // Redis, systemd and the log; scrapes; links
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

// TestUnit runs the unit in a real systemd, with this test binary as the service (see serve), and
// checks startup, reload, socket activation, sandbox, watchdog and stop.
func TestUnit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const watchdog = 6 * time.Second
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
	// The test binary and the sockets are in a temporary directory, which PrivateTmp= would
	// hide.
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
	// "systemctl start" waits for READY=1. It exceeds TimeoutStartSec= and succeeds because of
	// EXTEND_TIMEOUT_USEC=.
	began := time.Now()
	m.systemctl("start", "portsyncd.service")
	if took := time.Since(began); took < slowStart {
		t.Errorf("systemctl start took %v: want it to wait for READY=1", took)
	}
	const ready = `watchdog 6s, sockets ["web"], sandbox: <nil>`
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

	// The service sends WATCHDOG=1; otherwise it would be restarted during this test.
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

// userManager is a systemd user manager started by testdata/user-manager.sh.
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

// write writes a unit file and reloads the manager.
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

// systemctl runs systemctl and fails the test if the command fails.
func (m userManager) systemctl(args ...string) string {
	m.t.Helper()
	out, err := exec.Command(filepath.Join(m.dir, "systemctl"), args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("systemctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// differences returns the properties of the service that are not as wanted.
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

// await polls until the properties are as wanted, since systemctl cannot wait for properties.
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
