package lab

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// T is the subset of *testing.T that this package uses.
type T interface {
	Helper()
	Name() string
	Deadline() (deadline time.Time, ok bool)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Unavailable skips a test that cannot run on this machine, or fails it if
// PORTSYNCD_REQUIRE_INTEGRATION=1. why is the reason.
func Unavailable(t T, why string) {
	t.Helper()
	if os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" {
		t.Fatalf("%s, and PORTSYNCD_REQUIRE_INTEGRATION=1", why)
	}
	t.Skipf("%s", why)
}

// InNamespace runs a test in its own network namespace, with lo up:
//
//	func TestBridge(t *testing.T) {
//		if !lab.InNamespace(t) {
//			return
//		}
//		... create and change interfaces ...
//	}
//
// InNamespace runs the test binary with only this test in new namespaces, reports the result of
// that process (with its output if the test failed or with -v), and returns false. In the new
// process, InNamespace returns true. It may be called in a subtest. If namespaces are forbidden, it
// calls [Unavailable].
func InNamespace(t T) bool {
	t.Helper()
	return inNamespace(t, needUser())
}

func inNamespace(t T, user bool) bool {
	t.Helper()
	if Inside() {
		if err := LoopbackUp(); err != nil {
			t.Fatalf("%v", err)
		}
		return true
	}
	if err := forbidden(user); err != nil {
		Unavailable(t, err.Error())
	}
	runAgain(t, user)
	return false
}

// runAgain runs the test in a new process inside the namespaces.
func runAgain(t T, user bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("find the test binary: %v", err)
	}
	ctx := context.Background()
	if deadline, ok := t.Deadline(); ok {
		// End before the test deadline, to be able to report which test timed out.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Second))
		defer cancel()
	}
	args := []string{"-test.run=" + testPattern(t.Name()), "-test.v=true", "-test.count=1"}
	if short := flag.Lookup("test.short"); short != nil {
		args = append(args, "-test.short="+short.Value.String())
	}
	cmd := isolated(ctx, user, self, args...)
	// With a pipe, Run would also wait for processes that the test has left behind, and for this
	// process to copy the output, which takes long on a busy machine.
	file, err := memoryFile("output of " + t.Name())
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	// Without this setting, the race detector delays the exit of each process by a second.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=10 "+os.Getenv("GORACE"))

	// Pdeathsig kills the child when this thread ends.
	runtime.LockOSThread()
	err = cmd.Run()
	runtime.UnlockOSThread()

	out, readErr := io.ReadAll(io.NewSectionReader(file, 0, math.MaxInt64))
	if readErr != nil {
		t.Fatalf("read the output: %v", readErr)
	}
	switch ran := testOutcome(string(out), t.Name()); {
	case err != nil:
		t.Fatalf("inside namespaces: %v\n%s", err, out)
	case ran == "SKIP":
		t.Skipf("inside namespaces:\n%s", out)
	case ran != "PASS":
		t.Fatalf("the test did not run inside namespaces:\n%s", out)
	default:
		t.Logf("inside namespaces:\n%s", out)
	}
}

// memoryFile creates a file in memory. It is deleted when all processes have closed it.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name[:min(len(name), 200)], unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// testPattern returns a -test.run value that matches only this test or subtest.
func testPattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + quoteMeta.Replace(part) + "$"
	}
	return strings.Join(parts, "/")
}

// quoteMeta escapes the characters that have a meaning in regular expressions, like
// regexp.QuoteMeta. The daemon contains this package for its demo, but not package regexp.
var quoteMeta = strings.NewReplacer(`\`, `\\`, `.`, `\.`, `+`, `\+`, `*`, `\*`, `?`, `\?`, `(`, `\(`, `)`, `\)`,
	`|`, `\|`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`, `^`, `\^`, `$`, `\$`)

// testOutcome returns PASS, FAIL or SKIP from the line "--- PASS: name (0.00s)" in a test binary's
// output, or "" if there is no such line.
func testOutcome(output, name string) string {
	for line := range strings.Lines(output) {
		result, found := strings.CutPrefix(strings.TrimLeft(line, " \t"), "--- ")
		if !found {
			continue
		}
		outcome, rest, found := strings.Cut(result, ": ")
		if found && strings.HasPrefix(rest, name+" ") && (outcome == "PASS" || outcome == "FAIL" || outcome == "SKIP") {
			return outcome
		}
	}
	return ""
}
