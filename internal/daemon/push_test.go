package daemon

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
)

// TestPushInstance checks that the instance label is push.instance, or else the host name, also
// after the host name changes.
func TestPushInstance(t *testing.T) {
	var d Daemon
	d.Config.Push.Instance = "leaf1"
	if got := d.pushInstance()(); got != "leaf1" {
		t.Errorf("with push.instance: got %q, want leaf1", got)
	}
	d.Config.Push.Instance = ""
	name := d.pushInstance()
	want, err := os.Hostname()
	if got := name(); err != nil || got != want {
		t.Errorf("without push.instance: got %q, want the host name %q, %v", got, want, err)
	}
	runtime.LockOSThread() // never unlocked: the thread keeps its own host name
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		lab.Unavailable(t, "cannot make a UTS namespace: "+err.Error())
	}
	if err := unix.Sethostname([]byte("renamed")); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "renamed" {
		t.Errorf("after the host name changed: got %q, want renamed", got)
	}
}
