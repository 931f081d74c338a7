package lab

import (
	"bytes"
	"context"
	"flag"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// T is what the helpers for tests need of *testing.T.
type T interface {
	Helper()
	Name() string
	Deadline() (deadline time.Time, ok bool)
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Unavailable ends a test that cannot run here, with the reason: it is
// skipped, or failed if PORTSYNCD_REQUIRE_INTEGRATION=1, so that a CI cannot
// be green by skipping.
func Unavailable(t T, why string) {
	t.Helper()
	if os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") == "1" {
		t.Fatalf("%s, and PORTSYNCD_REQUIRE_INTEGRATION=1", why)
	}
	t.Skipf("%s", why)
}

// InNamespace lets a test do its work in a network namespace of its own, with
// lo up:
//
//	func TestBridge(t *testing.T) {
//		if !lab.InNamespace(t) {
//			return
//		}
//		... makes interfaces as it likes ...
//	}
//
// At the first call it runs the test binary again in namespaces, for this test
// alone, waits, reports the outcome as this test's own (with the output, if it
// failed or with -v) and returns false. There it is called again, and returns
// true. It may be called in a subtest. Where namespaces are forbidden the test
// is [Unavailable].
func InNamespace(t T) bool {
	t.Helper()
	return Namespaces{}.Run(t)
}

// Run is [InNamespace] with other namespaces.
func (n Namespaces) Run(t T) bool {
	t.Helper()
	if Inside() {
		if err := LoopbackUp(); err != nil {
			t.Fatalf("%v", err)
		}
		return true
	}
	if err := n.Forbidden(); err != nil {
		Unavailable(t, err.Error())
	}
	n.runAgain(t)
	return false
}

// runAgain runs the present test in a process of its own, inside namespaces.
func (n Namespaces) runAgain(t T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("find the test binary: %v", err)
	}
	ctx := context.Background()
	if deadline, ok := t.Deadline(); ok {
		// A little earlier, to be able to say which test it was.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Second))
		defer cancel()
	}
	args := []string{"-test.run=" + testPattern(t.Name()), "-test.v=true", "-test.count=1"}
	if short := flag.Lookup("test.short"); short != nil {
		args = append(args, "-test.short="+short.Value.String())
	}
	cmd := n.Command(ctx, self, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	// With the race detector each process would linger for a second at its end.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=10 "+os.Getenv("GORACE"))

	// The child is to die with us, which the kernel ties to this thread.
	runtime.LockOSThread()
	err = cmd.Run()
	runtime.UnlockOSThread()

	switch ran := testOutcome(out.String(), t.Name()); {
	case err != nil:
		t.Fatalf("inside namespaces: %v\n%s", err, &out)
	case ran == "SKIP":
		t.Skipf("inside namespaces:\n%s", &out)
	case ran != "PASS":
		t.Fatalf("inside namespaces the test did not run:\n%s", &out)
	default:
		t.Logf("inside namespaces:\n%s", &out)
	}
}

// testPattern is the -test.run value that matches one test or subtest only.
func testPattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// testOutcome finds the line "--- PASS: name (0.00s)" in the output of a test
// binary and returns PASS, FAIL or SKIP, or "" if there is none.
func testOutcome(output, name string) string {
	m := regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL|SKIP): ` + regexp.QuoteMeta(name) + ` `).FindStringSubmatch(output)
	if m == nil {
		return ""
	}
	return m[1]
}
