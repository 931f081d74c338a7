package switchtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"portsyncd/internal/daemon"
	"portsyncd/internal/statusview"
	"strings"
	"time"
)

// Ran is one run of a command to its end.
type CommandResult struct {
	Code           int
	Stdout, Stderr string
	Duration       time.Duration
}

// RunCommand runs the binary with an environment of its own, beside PATH and a
// UTF-8 locale.
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

// RunMeasured runs a command and returns what it prints, its exit status and the most
// memory that it had resident, in bytes. A small process starts the command, because
// wait4(2) counts the memory of the process that forks as that of its child.
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

// Status runs "portsyncd status".
func (sw *Switch) RunStatus(env []string, args ...string) CommandResult {
	sw.T.Helper()
	return RunCommand(sw.T, sw.Binary, env, append([]string{"status"}, args...)...)
}

// Decoded is the document of a run with --json.
func (r CommandResult) Report(t T) statusview.Report {
	t.Helper()
	var d statusview.Report
	if err := json.Unmarshal([]byte(r.Stdout), &d); err != nil || r.Code != daemon.ExitOK || d.Schema != statusview.ReportSchema {
		t.Fatalf("status %d, stderr %q, %v:\n%.2000s", r.Code, r.Stderr, err, r.Stdout)
	}
	return d
}

// Answers fails the test unless a run printed a status of two ports.
func (r CommandResult) CheckStatus(t T, what string) {
	t.Helper()
	if r.Code != daemon.ExitOK || r.Stderr != "" || !strings.Contains(r.Stdout, "health     healthy") || !strings.Contains(r.Stdout, "\nEthernet4 ") {
		t.Errorf("%s: status %d, stderr %q\n%s", what, r.Code, r.Stderr, r.Stdout)
	}
}

// Refuses fails the test unless a run ended with code, one line on stderr that
// has all of the words, and nothing on stdout.
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
