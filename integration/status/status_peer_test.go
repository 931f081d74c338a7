package status

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/cli"
	"portsyncd/internal/switchtest"
)

// fakeDaemonScript is a server that sends the same document to every request and records the
// requests, as a program that listens on the port before the daemon starts.
const fakeDaemonScript = `
import os, socket, sys
if os.geteuid() == 0: os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[3]))
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    c, _ = s.accept()
    requests = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(requests, c.recv(65536)); os.close(requests)
    c.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}" % int(sys.argv[2])); c.close()
`

// startFakeDaemon runs the script as a user and returns its address and the file with the recorded
// requests.
func startFakeDaemon(t *testing.T, uid, code int) (address, requests string) {
	t.Helper()
	switchtest.RequireCommand(t, "python3")
	dir, err := os.MkdirTemp("", "squat")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	requests = filepath.Join(dir, "requests")
	cmd := exec.Command("python3", "-c", fakeDaemonScript, requests, fmt.Sprint(code), fmt.Sprint(uid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var port int
	if _, err := fmt.Fscan(out, &port); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port), requests
}

// TestStatusKeepsCredentials checks that a program of any user which holds the daemon's port
// receives neither token nor password.
func TestStatusKeepsCredentials(t *testing.T) {
	t.Parallel()
	path := switchtest.Binary(t)
	secrets := []string{"PORTSYNCD_TOKEN=token-4711"}
	for _, uid := range []int{65534, 0} {
		address, requests := startFakeDaemon(t, uid, 401)
		r := switchtest.RunCommand(t, path, secrets, "status", "--address", address)
		why := "port is in use by a process of user 65534"
		if uid == 0 || os.Geteuid() != 0 {
			why = `port is in use by program "python3`
		}
		r.CheckFailure(t, fmt.Sprintf("user %d", uid), cli.ExitUnknown, `"401 No"`, "credentials were not sent", why)
		r = switchtest.RunCommand(t, path, []string{"PORTSYNCD_PASSWORD=word-4711"}, "status", "--address", address, "--user", "admin")
		r.CheckFailure(t, fmt.Sprintf("user %d", uid), cli.ExitUnknown, "credentials were not sent")
		text, err := os.ReadFile(requests)
		if err != nil || strings.Count(string(text), "Host:") != 2 || strings.Contains(string(text), "Authorization") {
			t.Errorf("the server of user %d received %q, %v", uid, text, err)
		}
	}
	// Over plain HTTP to another host, no credentials are sent to any server.
	r := switchtest.RunCommand(t, path, secrets, "status", "--address", "http://192.0.2.1:9101")
	if strings.Contains(r.Stderr, "4711") {
		t.Errorf("the output has the token: %s", r.Stderr)
	}
}

// TestStatusIsBounded checks that the command refuses a response that would use gigabytes of
// memory.
func TestStatusIsBounded(t *testing.T) {
	t.Parallel()
	path := switchtest.Binary(t)
	for name, document := range map[string]string{
		"ports":   `{"schema":1,"ports":[` + strings.Repeat("{},", 2<<20) + `{}]}`,
		"nulls":   `{"schema":1,"pending":[` + strings.Repeat("null,", 1<<20) + `null]}`,
		"nested":  strings.Repeat("[", 4<<20),
		"endless": strings.Repeat(" ", cli.MaxResponse+10),
	} {
		address := serveFake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, document) })
		out, code, peak := switchtest.RunMeasured(t, path, "status", "--address", address)
		if code != cli.ExitUnknown || len(out) > 1000 {
			t.Errorf("%s: status %d, %.300s", name, code, out)
		}
		if peak > 64<<20 && !switchtest.RaceEnabled {
			t.Errorf("%s: %d KiB of memory, want 64 MiB at most", name, peak>>10)
		}
		t.Logf("%s: %d KiB", name, peak>>10)
	}
}
