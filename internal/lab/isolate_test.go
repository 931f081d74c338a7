package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInNamespace checks that a test runs in a network namespace with lo up.
func TestInNamespace(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	if len(interfaces) != 1 || interfaces[0].Flags&net.FlagUp == 0 {
		t.Errorf("interfaces: got %v, want lo only, up", interfaces)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if os.Geteuid() != 0 {
		t.Errorf("user id %d, want 0", os.Geteuid())
	}
}

// TestInNamespaceLeavesProcess checks that a test passes although a process that it has started still
// has its standard output open.
func TestInNamespaceLeavesProcess(t *testing.T) {
	const variable = "PORTSYNCD_TEST_FIFO"
	if Inside() {
		cmd := exec.Command("/bin/sh", "-c", `read line <"$`+variable+`"`)
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// Opened for both, the FIFO has a writer until the test ends, so the shell waits for a line.
	fifo, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	t.Setenv(variable, path)
	InNamespace(t)
}

// TestInNamespaceOfSubtest checks InNamespace in a subtest.
func TestInNamespaceOfSubtest(t *testing.T) {
	var ran []string
	for _, name := range []string{"a", "a b", "a(b)/c"} {
		t.Run(name, func(t *testing.T) {
			if InNamespace(t) {
				ran = append(ran, t.Name())
			}
		})
	}
	// Inside, only the one asked for may run.
	if Inside() && len(ran) != 1 {
		t.Errorf("ran %q, want one", ran)
	}
}

// recorder is a T that notes how a test ended.
type recorder struct {
	*testing.T
	outcome, text string
}

type ended struct{} // what recorder panics with, where testing.T ends the goroutine

func (r *recorder) Fatalf(format string, args ...any) { r.end("fail", format, args) }
func (r *recorder) Skipf(format string, args ...any)  { r.end("skip", format, args) }

func (r *recorder) end(outcome, format string, args []any) {
	r.outcome, r.text = outcome, fmt.Sprintf(format, args...)
	panic(ended{})
}

// outcomeOf runs f with a recorder and returns how it ended.
func outcomeOf(t *testing.T, f func(T)) *recorder {
	r := &recorder{T: t, outcome: "pass"}
	func() {
		defer func() {
			if e := recover(); e != nil && e != any(ended{}) {
				panic(e)
			}
		}()
		f(r)
	}()
	return r
}

// TestInNamespaceReportsOutcome checks that the results of failing, skipped and panicking tests are
// reported.
func TestInNamespaceReportsOutcome(t *testing.T) {
	if Inside() {
		return
	}
	if err := Forbidden(); err != nil {
		Unavailable(t, err.Error())
	}
	t.Setenv("PORTSYNCD_LAB_TEST_VICTIM", "1")
	for _, test := range []struct{ name, outcome, text string }{
		{"TestVictimFails", "fail", "it went wrong"},
		{"TestVictimSkips", "skip", "not today"},
		{"TestVictimPanics", "fail", "boom"},
		{"TestNoSuchTest", "fail", "no tests to run"},
	} {
		r := outcomeOf(t, func(rec T) { runAgain(named{rec, test.name}, needUser()) })
		if r.outcome != test.outcome || !strings.Contains(r.text, test.text) {
			t.Errorf("%s: got %s with %q, want %s with %q", test.name, r.outcome, r.text, test.outcome, test.text)
		}
	}
}

// named is a T of another name.
type named struct {
	T
	name string
}

func (n named) Name() string { return n.name }

func victim(t *testing.T) {
	if os.Getenv("PORTSYNCD_LAB_TEST_VICTIM") == "" || !Inside() {
		t.Skip("only runs on behalf of TestInNamespaceReportsOutcome")
	}
}

func TestVictimFails(t *testing.T)  { victim(t); t.Error("it went wrong") }
func TestVictimSkips(t *testing.T)  { victim(t); t.Skip("not today") }
func TestVictimPanics(t *testing.T) { victim(t); panic("boom") }

// TestForbidden checks the error if namespaces cannot be created.
func TestForbidden(t *testing.T) {
	if !inNamespace(t, true) { // so that the limit below applies to this test only
		return
	}
	if err := forbidden(true); err != nil {
		t.Errorf("while allowed: %v", err)
	}
	// The limit holds for the namespaces below this one (namespaces(7)).
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		t.Skipf("cannot forbid user namespaces: %v", err)
	}
	err := forbidden(true)
	if err == nil || !strings.HasPrefix(err.Error(), "user namespaces are forbidden here: ") {
		t.Errorf("while forbidden: got %v", err)
	}
}

// TestUnavailable checks that a test is skipped, or fails with PORTSYNCD_REQUIRE_INTEGRATION=1.
func TestUnavailable(t *testing.T) {
	for value, want := range map[string]string{"": "skip", "0": "skip", "1": "fail"} {
		t.Setenv("PORTSYNCD_REQUIRE_INTEGRATION", value)
		if r := outcomeOf(t, func(rec T) { Unavailable(rec, "no moon") }); r.outcome != want {
			t.Errorf("with %q: got %s, want %s", value, r.outcome, want)
		}
	}
}

// TestOutsideIsLeftAlone checks that functions that change the system fail outside of namespaces.
func TestOutsideIsLeftAlone(t *testing.T) {
	if Inside() {
		return
	}
	t.Setenv(outerNetwork, networkNamespace()) // as if left over in the environment
	if Inside() {
		t.Error("takes the machine's own network namespace for one of the lab")
	}
	for name, f := range map[string]func() error{
		"LoopbackUp": LoopbackUp,
		"MountTmpfs": func() error { return MountTmpfs(t.TempDir()) },
	} {
		if f() == nil {
			t.Errorf("%s: worked outside", name)
		}
	}
}

// TestMountTmpfs checks mounts on existing and missing directories.
func TestMountTmpfs(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "below"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "redis", "sonic-db")
	if err := MountTmpfs(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) }) // so that dir can be removed
	if err := os.WriteFile(filepath.Join(path, "f"), nil, 0o644); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "below")); err == nil {
		t.Error("nothing was mounted over the directory")
	}
	if err := MountTmpfs("/var/run/redis"); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir("/var/run/redis")
	if err != nil || len(entries) != 0 {
		t.Errorf("/var/run/redis: %v, %v, want it empty", entries, err)
	}
	if err := MountTmpfs("/nonexistent/x"); err == nil {
		t.Error("mounted over the root directory")
	}
}
