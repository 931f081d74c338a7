package process

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/switchtest"
)

// TestDemoNextSteps runs the demo and then each command that it prints as a next step. Each must show
// the demo's ports. The demo must end with its check of the final state.
func TestDemoNextSteps(t *testing.T) {
	start := func(name string, args ...string) (*exec.Cmd, *switchtest.Output) {
		t.Helper()
		out := new(switchtest.Output)
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "PORTSYNCD_CONFIG=", "LANG=C.UTF-8")
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		return cmd, out
	}
	binary := switchtest.Binary(t)
	demo, out := start(binary, "demo", "--ports", "2", "--rate", "20", "--listen", "127.0.0.1:0")
	awaitOutput(t, out, "ports in STATE_DB")
	want := map[string]string{
		"status --watch":  "of 2 up",
		"events --follow": "link down",
		"curl":            `portsyncd_port_oper_up{port="Ethernet0"}`,
		"redis-cli":       "netdev_oper_status",
	}
	for line := range strings.Lines(out.String()) {
		if url, ok := strings.CutPrefix(strings.TrimSpace(line), "The status page: "); ok {
			response, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || !strings.Contains(string(page), "Ethernet4") {
				t.Errorf("%s: %v, %.200s", url, err, page)
			}
			want["page"] = ""
			continue
		}
		for words, text := range want {
			if text == "" || !strings.HasPrefix(line, "  ") || !strings.Contains(line, words) {
				continue
			}
			if program := strings.Fields(line)[0]; program != binary {
				if _, err := exec.LookPath(program); err != nil {
					t.Logf("not run: %v", err)
					delete(want, words)
					continue
				}
			}
			cmd, shown := start("sh", "-c", "exec "+strings.TrimSpace(line))
			awaitOutput(t, shown, text)
			if strings.Contains(words, "--") { // the others end by themselves
				cmd.Process.Signal(syscall.SIGINT)
			}
			if err := cmd.Wait(); !cmd.ProcessState.Exited() || strings.Contains(words, "events") && err != nil {
				t.Errorf("%q: %v, %s", line, err, shown)
			}
			delete(want, words)
		}
	}
	if _, page := want["page"]; !page || len(want) != 1 {
		t.Errorf("the demo did not name %v and the page in\n%s", want, out)
	}
	demo.Process.Signal(syscall.SIGTERM)
	if err := demo.Wait(); err != nil || !strings.Contains(out.String(), "STATE_DB matches") {
		t.Errorf("the demo ended with %v and\n%s", err, out)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("color in a file: %q", out)
	}
}
