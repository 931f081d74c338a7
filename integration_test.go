package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"portsyncd/lab"
)

// The tests in integration_*_test.go try the built binary from outside, each in
// network and mount namespaces of its own: on real links, a real redis-server
// (or the in-memory database of package lab where there is none), and the files
// and sockets that a switch, systemd or supervisord has in store.
//
// Environment:
//
//	PORTSYNCD_TEST_DB              redis or lab: which database; by default
//	                               redis if redis-server is installed
//	PORTSYNCD_REQUIRE_INTEGRATION  1: what cannot run here fails, it is not skipped

// binaryVariable hands the path of the built binary to the test process that
// runs inside namespaces.
const binaryVariable = "PORTSYNCD_TEST_BINARY"

func TestMain(m *testing.M) {
	// Most tests wait for a timer or for the daemon most of the time.
	if err := lab.SetParallel(2); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if dir := builtIn; dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// alongside lets a test run in parallel with others. A test whose subtests have
// cells calls alongside too: else the tests after it wait for all its subtests.
func alongside(t *testing.T) {
	t.Helper()
	if !lab.Inside() { // there is no other test
		t.Parallel()
	}
}

// builtIn is the directory that this process built the binary in, "" if it did
// not.
var builtIn string

// build builds the binary, once per test run. Under the race detector the
// binary has it too, and ends at the first race.
var build = sync.OnceValue(func() error {
	if os.Getenv(binaryVariable) != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "portsyncd-test")
	if err != nil {
		return err
	}
	builtIn = dir
	// Whoever runs the tests, a user namespace sees the file as someone else's.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	binary := filepath.Join(dir, "portsyncd")
	args := []string{"build", "-buildvcs=false", "-o", binary}
	env := append(os.Environ(), "CGO_ENABLED=0")
	if raceEnabled {
		args, env = append(args, "-race"), os.Environ()
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.Setenv(binaryVariable, binary)
})

// binary returns the path of the built binary. A machine without the go command
// cannot build it.
func binary(t *testing.T) string {
	t.Helper()
	err := build()
	if errors.Is(err, exec.ErrNotFound) {
		lab.Unavailable(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.Getenv(binaryVariable)
}

// TestCommandLine holds the binary to PROTOCOL.md section 10: an unknown option
// or command must not end with 0, help does. Nothing of it touches a database.
func TestCommandLine(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.conf")
	bad := filepath.Join(t.TempDir(), "bad.conf")
	writeFile(t, good, "[daemon]\nlog_level = \"debug\"\n")
	writeFile(t, bad, "[daemon]\nlog_levle = \"debug\"\n")
	for _, c := range []struct {
		name           string
		args           []string
		exit           int
		stdout, stderr string // what must be in it; "" means that it is empty
	}{
		{"help", []string{"-h"}, 0, "usage: portsyncd", ""},
		{"version option", []string{"-v"}, 0, "portsyncd ", ""},
		{"version", []string{"version"}, 0, "portsyncd ", ""},
		{"unknown option", []string{"-x"}, 1, "", "-x"},
		{"option without value", []string{"-c"}, 1, "", "-c"},
		{"unknown command", []string{"nonsense"}, 1, "", `"nonsense"`},
		{"good file", []string{"check-config", good}, 0, "log_level", ""},
		{"bad file", []string{"check-config", bad}, 1, "", "bad.conf:2:"},
		{"what the daemon does with it", []string{"check-config", bad}, 1, "", "starts with the defaults in place of the settings in error;"},
		{"file that is not there", []string{"check-config", bad + ".none"}, 1, "", "starts with the defaults;"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := exec.Command(binary(t), c.args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.exit {
				t.Errorf("%q: exit status %d, want %d", c.args, got, c.exit)
			}
			for name, out := range map[string][2]string{
				"stdout": {stdout.String(), c.stdout}, "stderr": {stderr.String(), c.stderr},
			} {
				if !strings.Contains(out[0], out[1]) || out[1] == "" && out[0] != "" {
					t.Errorf("%q: %s is %q, want %q in it", c.args, name, out[0], out[1])
				}
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
