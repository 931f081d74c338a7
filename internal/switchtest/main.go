package switchtest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"portsyncd/internal/lab"
)

// BinaryVariable names the environment variable with the path of the built binary. A test that
// runs again inside namespaces inherits it.
const BinaryVariable = "PORTSYNCD_TEST_BINARY"

// Main runs the integration tests of one package and exits. It must be called by TestMain. Main
// changes to the root directory of the module and waits until the other integration test packages on
// this machine have ended, except for a few last tests, because many of these tests measure time.
func Main(m *testing.M) {
	os.Exit(run(m, true))
}

// MainWithoutLock is Main for packages whose tests do not measure time. It does not wait.
func MainWithoutLock(m *testing.M) {
	os.Exit(run(m, false))
}

func run(m *testing.M, lock bool) int {
	defer func() {
		if builtIn != "" {
			os.RemoveAll(builtIn)
		}
	}()
	if err := prepare(lock); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func prepare(lock bool) error {
	if err := toModuleRoot(); err != nil {
		return err
	}
	if !lock || lab.Inside() {
		return nil
	}
	build() // not in the turn, which other packages wait for; Binary returns the error
	release, err := waitForTurn()
	if err != nil {
		return err
	}
	// Most tests spend their time waiting for a timer or for the daemon.
	const perCPU = 2
	if flag.Lookup("test.count").Value.String() == "1" { // otherwise the tests start again
		remaining.begin(release, perCPU*runtime.GOMAXPROCS(0)/2)
	}
	return lab.SetParallel(perCPU)
}

// toModuleRoot changes the working directory to the root directory of the module.
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

// Parallel makes a test run in parallel with other tests. New and its variants call it. A test
// whose subtests create switches must also call it, because otherwise the tests after it wait for
// all of its subtests.
func Parallel(t T) {
	t.Helper()
	if !lab.Inside() { // inside namespaces there is only one test
		remaining.parallel(t)
	}
}

// builtIn is the directory of the binary that this process built, or "".
var builtIn string

// build builds the binary once per process. Under the race detector, the binary has the race
// detector too and exits at the first race.
var build = sync.OnceValue(func() error {
	if os.Getenv(BinaryVariable) != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "portsyncd-test")
	if err != nil {
		return err
	}
	builtIn = dir
	// In a user namespace the file belongs to another user.
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
	return os.Setenv(BinaryVariable, binary)
})

// Binary returns the path of the built daemon. It skips the test if the go command is not
// installed.
func Binary(t T) string {
	t.Helper()
	err := build()
	if errors.Is(err, exec.ErrNotFound) {
		lab.Unavailable(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.Getenv(BinaryVariable)
}

// RequireCommand skips the test if a command is not installed.
func RequireCommand(t T, command string) {
	t.Helper()
	if _, err := exec.LookPath(command); errors.Is(err, exec.ErrNotFound) {
		lab.Unavailable(t, err.Error())
	}
}

// LongRun reports whether to run the long form of a test: with PORTSYNCD_REQUIRE_INTEGRATION=1,
// without the race detector.
func LongRun() bool {
	return os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" && !RaceEnabled
}

// EnvNumber returns the value of an environment variable as a number, which must not be negative.
// If the variable is not set, EnvNumber returns otherwise.
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
