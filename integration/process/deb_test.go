package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// TestPurgeOfMountPoints purges the Debian package while the state directory, or a directory in
// it, is a mount point. The purge must delete the contents and name what cannot be removed.
func TestPurgeOfMountPoints(t *testing.T) {
	switchtest.RequireCommand(t, "rm")
	if !lab.InNamespace(t) {
		return
	}
	const state = "/var/lib/sonic/portsyncd"
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("hide the state of this machine", lab.MountTmpfs("/var/lib/sonic"))
	must("hide its warmboot", switchtest.HideDir("/var/warmboot"))
	must("hide its configuration", switchtest.HideDir("/etc/sonic"))
	purge := func() string {
		t.Helper()
		out, err := exec.Command("/bin/sh", "deploy/deb/postrm", "purge").CombinedOutput()
		if err != nil {
			t.Fatalf("postrm purge: %v: %s", err, out)
		}
		return string(out)
	}
	fill := func(dirs ...string) {
		t.Helper()
		for _, dir := range dirs {
			must("make a directory", os.MkdirAll(dir, 0o755))
			must("make a file", os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
		}
	}
	fill(state, state+"/metrics")
	if out := purge(); out != "" {
		t.Errorf("without mount points: %s", out)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("without mount points, the directory is left")
	}
	for _, at := range []string{state, state + "/metrics"} {
		must("make the mount point", os.MkdirAll(at, 0o755))
		must("mount", lab.MountTmpfs(at))
		fill(state, state+"/metrics")
		if out := purge(); out != "" {
			t.Errorf("with %s mounted: %s", at, out)
		}
		if left, err := filepath.Glob(at + "/*"); err != nil || len(left) > 0 {
			t.Errorf("with %s mounted: %q are left, %v", at, left, err)
		}
		fill(at)
		must("make it read-only", unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		if out := purge(); !strings.Contains(out, "cannot remove "+state+": "+at+"/file remains") {
			t.Errorf("with %s read-only: %q", at, out)
		}
		must("unmount", unix.Unmount(at, 0))
	}
}
