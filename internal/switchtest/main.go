package switchtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"portsyncd/internal/lab"
	"strconv"
	"sync"
	"testing"
)

// binaryVariable hands the path of the built binary to the test process that
// runs inside namespaces.
const binaryVariable = "PORTSYNCD_TEST_BINARY"

// Main runs the tests of one package of integration tests. It is what their TestMain
// calls: it goes to the root of the module, where testdata and the documents are, and
// waits until no other package's integration tests run on this machine, since many of
// them measure time.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if dir := builtIn; dir != "" {
		os.RemoveAll(dir)
	}
	return code
}

func prepare() error {
	if err := toModuleRoot(); err != nil {
		return err
	}
	if lab.Inside() {
		return nil
	}
	if err := waitForTurn(); err != nil {
		return err
	}
	// Most tests wait for a timer or for the daemon most of the time.
	return lab.SetParallel(2)
}

// toModuleRoot makes the module's root the working directory.
func toModuleRoot() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "portsyncd.service")); err == nil {
			return os.Chdir(d)
		}
		if d == filepath.Dir(d) {
			return fmt.Errorf("%s is not in the module portsyncd", dir)
		}
	}
}

// Alongside lets a test run in parallel with others. A test whose subtests have
// cells calls alongside too: else the tests after it wait for all its subtests.
func Parallel(t T) {
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
	if RaceEnabled {
		args, env = append(args, "-race"), os.Environ()
	}
	cmd := exec.Command("go", append(args, "portsyncd")...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.Setenv(binaryVariable, binary)
})

// Binary returns the path of the built binary. A machine without the go command
// cannot build it.
func Binary(t T) string {
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

// Require ends the test if a command is not installed.
func RequireCommand(t T, command string) {
	t.Helper()
	if _, err := exec.LookPath(command); errors.Is(err, exec.ErrNotFound) {
		lab.Unavailable(t, err.Error())
	}
}

// Thorough reports whether a test takes its time: in the one run of CI that skips
// nothing.
func LongRun() bool {
	return os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" && !RaceEnabled
}

func EnvNumber(t T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s is %q, want a number", variable, text)
	}
	return n
}
