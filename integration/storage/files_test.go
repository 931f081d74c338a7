package storage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// mountHung mounts a file system that never answers until the test ends, like a network file
// system without its server. Each system call on a file in it blocks.
func mountHung(sw *switchtest.Switch, at string) {
	sw.T.Helper()
	sw.NoError("make the mount point", os.MkdirAll(at, 0o755))
	daemon, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		lab.Unavailable(sw.T, fmt.Sprintf("cannot mount a file system that hangs: %v", err))
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", daemon.Fd(), os.Getuid(), os.Getgid())
	sw.NoError("mount", unix.Mount("hung", at, "fuse", 0, options))
	sw.T.Cleanup(func() { daemon.Close() })
}

// TestStopWithUnreadableFiles puts a FIFO, or a file on a hung mount, in place of each file that
// the daemon reads. The log must name the problem, and SIGTERM must end the daemon within 5 s, under
// the race detector within a multiple of that.
func TestStopWithUnreadableFiles(t *testing.T) {
	switchtest.Parallel(t)
	kinds := []struct{ name, log string }{
		{"fifo", "is a named pipe"},
		{"hung", "file system does not respond"},
	}
	uses := []struct{ name, config, log string }{
		{"map", "[database]\nconfig_file = %q\n", "waiting for Redis"},
		{"authorities", "[push]\nurl = 'https://127.0.0.1/write'\ninterval_secs = 1\nca_file = %q\n", "cannot push metrics"},
		{"authorization", "[push]\nurl = 'http://127.0.0.1/write'\ninterval_secs = 1\nauthorization_file = %q\n", "cannot push metrics"},
		{"configuration", "", "configuration"},
	}
	for _, kind := range kinds {
		for _, use := range uses {
			t.Run(kind.name+"_"+use.name, func(t *testing.T) {
				sw := switchtest.New(t)
				if sw == nil {
					return
				}
				path := sw.Dir + "/fifo"
				if kind.name == "hung" {
					mountHung(sw, sw.Dir+"/hung")
					path = sw.Dir + "/hung/file"
				} else {
					sw.NoError("make a FIFO", unix.Mkfifo(path, 0o666))
				}
				conf := path
				if use.config != "" {
					conf = sw.WriteConfig(fmt.Sprintf(use.config, path))
				}
				d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
				sw.AwaitLog(0, switchtest.Timeout*switchtest.RaceFactor, use.log, kind.log)
				began := time.Now()
				d.Signal(syscall.SIGTERM)
				if status := d.Wait(switchtest.ExitTimeout * switchtest.RaceFactor); status.Signal() != syscall.SIGTERM {
					t.Errorf("wait status %#x after %v, want the end by SIGTERM", int(status), time.Since(began))
				}
			})
		}
	}
}

// TestExportsForOthers checks with the default paths and with systemd's StateDirectory that
// another user can list and read the exports, as node_exporter does, and cannot read private
// files.
func TestExportsForOthers(t *testing.T) {
	for _, command := range []string{"true", "cat", "ls"} {
		switchtest.RequireCommand(t, command)
	}
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	if os.Getuid() != 0 {
		t.Fatal("the test is not root in its namespaces")
	}
	asOther := func(name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
		}
		return nil
	}
	if err := asOther("true"); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		lab.Unavailable(t, "no other user in these namespaces: "+err.Error())
	}
	sw.ConfigurePorts(1)
	plugged := false
	for dir, env := range map[string][]string{
		"/var/lib/sonic/portsyncd": nil,
		"/var/lib/sonic/service":   {"STATE_DIRECTORY=/var/lib/sonic/service"},
	} {
		if env != nil { // as systemd makes it
			sw.NoError("make the state directory", os.Mkdir(dir, 0o755))
		} else if _, err := os.Stat("/var/warmboot"); err == nil {
			dir = "/var/warmboot/portsyncd"
		}
		d := sw.Start(switchtest.StartOptions{Args: []string{"-c", sw.WriteConfig("[metrics]\nsave_interval_secs = 1\nexport_format = 'both'\n")}, Env: env})
		d.AwaitReady()
		if !plugged {
			plugged = true
			sw.AddInterfaces(1)
		}
		for _, name := range []string{"portsyncd.prom", "metrics-export.json"} {
			switchtest.Eventually(t, switchtest.Timeout, func() string {
				if err := asOther("cat", dir+"/metrics/"+name); err != nil {
					return err.Error()
				}
				return ""
			})
		}
		if err := asOther("ls", dir+"/metrics"); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"port_state.json", "metrics/metrics.json", "metrics/history.jsonl"} {
			switchtest.Eventually(t, switchtest.Timeout, func() string {
				if _, err := os.Stat(dir + "/" + name); err != nil {
					return err.Error()
				}
				return ""
			})
			if asOther("cat", dir+"/"+name) == nil {
				t.Errorf("another user reads %s/%s", dir, name)
			}
		}
		d.Kill()
	}
}
