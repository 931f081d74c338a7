package main

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/lab"
)

// mountHung mounts a file system whose daemon never answers, until the test ends: each
// system call about a file in it waits, as with a network file system whose server is
// gone.
func (c *cell) mountHung(at string) {
	c.t.Helper()
	c.must("make the mount point", os.MkdirAll(at, 0o755))
	daemon, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		lab.Unavailable(c.t, fmt.Sprintf("no mount that hangs: %v", err))
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", daemon.Fd(), os.Getuid(), os.Getgid())
	c.must("mount", unix.Mount("hung", at, "fuse", 0, options))
	c.t.Cleanup(func() { daemon.Close() })
}

// TestStopWithUnreadableFiles: a FIFO, or a file on a mount that does not answer, in
// place of a file that the daemon reads is named in the log, and does not delay the end
// by SIGTERM past 5 s.
func TestStopWithUnreadableFiles(t *testing.T) {
	kinds := []struct{ name, log string }{
		{"fifo", "is a named pipe"},
		{"hung", "the file system does not answer"},
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
				c := newCell(t)
				if c == nil {
					return
				}
				path := c.dir + "/fifo"
				if kind.name == "hung" {
					c.mountHung(c.dir + "/hung")
					path = c.dir + "/hung/file"
				} else {
					c.must("make a FIFO", unix.Mkfifo(path, 0o666))
				}
				conf := path
				if use.config != "" {
					conf = c.config(fmt.Sprintf(use.config, path))
				}
				d := c.start(launch{args: []string{"-c", conf}})
				c.awaitLog(0, patience, use.log, kind.log)
				began := time.Now()
				d.signal(syscall.SIGTERM)
				if status := d.wait(5 * time.Second); status.Signal() != syscall.SIGTERM {
					t.Errorf("wait status %#x after %v, want the end by SIGTERM", int(status), time.Since(began))
				}
			})
		}
	}
}
