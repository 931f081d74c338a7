package switchtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"portsyncd/internal/daemon"
	"portsyncd/internal/statusview"
)

// CommandResult is the outcome of a command.
type CommandResult struct {
	Code           int
	Stdout, Stderr string
	Duration       time.Duration
}

// RunCommand runs the binary with the given arguments, waits until it exits, and returns its output
// and exit status. The environment contains only PATH, a UTF-8 locale and env.
func RunCommand(t T, binary string, env []string, args ...string) CommandResult {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}, env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begun := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %q: %v", args, err)
	}
	return CommandResult{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(begun)}
}

// RunMeasured runs a command and returns its output, its exit status and its peak resident memory
// in bytes. A Python process starts the command, because wait4(2) would otherwise count the memory
// of this process before exec.
func RunMeasured(t T, command ...string) (out string, code int, peak int64) {
	t.Helper()
	RequireCommand(t, "python3")
	const small = `
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
print(ended.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)
sys.stdout.buffer.write(ended.stdout)
`
	cmd := exec.Command("python3", append([]string{"-c", small}, command...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v, %s", err, text)
	}
	figures, out, _ := strings.Cut(string(text), "\n")
	if _, err := fmt.Sscan(figures, &code, &peak); err != nil || peak == 0 {
		t.Fatalf("%v, %s", err, text)
	}
	return out, code, peak << 10
}

// RunStatus runs "portsyncd status".
func (sw *Switch) RunStatus(env []string, args ...string) CommandResult {
	sw.T.Helper()
	return RunCommand(sw.T, sw.Binary, env, append([]string{"status"}, args...)...)
}

// Report returns the parsed output of "portsyncd report --json".
func (r CommandResult) Report(t T) statusview.Report {
	t.Helper()
	var d statusview.Report
	if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil || r.Code != daemon.ExitOK || d.Schema != statusview.ReportSchema {
		t.Fatalf("status %d, stderr %q, %v:\n%.2000s", r.Code, r.Stderr, err, r.Stdout)
	}
	return d
}

// CheckStatus fails the test unless the command printed the status of a healthy daemon with two
// ports.
func (r CommandResult) CheckStatus(t T, what string) {
	t.Helper()
	if r.Code != daemon.ExitOK || r.Stderr != "" || !strings.Contains(r.Stdout, ", healthy for ") || !strings.Contains(r.Stdout, "\nEthernet4 ") {
		t.Errorf("%s: status %d, stderr %q\n%s", what, r.Code, r.Stderr, r.Stdout)
	}
}

// CheckFailure fails the test unless the command exited with code, printed nothing on stdout, and
// printed one line on stderr that contains all of the words.
func (r CommandResult) CheckFailure(t T, what string, code int, words ...string) {
	t.Helper()
	if r.Code != code || r.Stdout != "" || strings.Count(r.Stderr, "\n") != 1 {
		t.Errorf("%s: status %d, stdout %.200q, stderr %q, want status %d and one line", what, r.Code, r.Stdout, r.Stderr, code)
	}
	for _, word := range words {
		if !strings.Contains(r.Stderr, word) {
			t.Errorf("%s: no %q in %q", what, word, r.Stderr)
		}
	}
}
