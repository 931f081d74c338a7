package daemon

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
)

// TestPushInstance: push.instance names the switch, or else the host name of the
// moment.
func TestPushInstance(t *testing.T) {
	var d Process
	d.Cfg.Push.Instance = "leaf1"
	if got := d.pushInstance()(); got != "leaf1" {
		t.Errorf("with push.instance the name is %q, want leaf1", got)
	}
	d.Cfg.Push.Instance = ""
	name := d.pushInstance()
	want, err := os.Hostname()
	if got := name(); err != nil || got != want {
		t.Errorf("the name is %q, want the host name %q, %v", got, want, err)
	}
	runtime.LockOSThread() // for good: the thread has a host name of its own from here on
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		lab.Unavailable(t, "no host name of our own: "+err.Error())
	}
	if err := unix.Sethostname([]byte("renamed")); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "renamed" {
		t.Errorf("after the host name changed the name is %q, want renamed", got)
	}
}
