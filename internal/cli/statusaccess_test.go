package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
)

// TestStatusOfRunningDaemon checks that the error for an address without a daemon names a daemon with
// the configured storage path, which may still listen on the addresses of its start.
func TestStatusOfRunningDaemon(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "portsyncd.conf")
	text := fmt.Sprintf("[metrics]\nlisten = \"unix:%s/none\"\nstorage_path = %q\n", dir, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(want string, args ...string) {
		t.Helper()
		var stderr bytes.Buffer
		code := Run(append([]string{"status", "-c", conf}, args...), io.Discard, &stderr)
		if code != ExitNoDaemon || !strings.Contains(stderr.String(), want) {
			t.Errorf("status %d, %q; want %d and %q", code, &stderr, ExitNoDaemon, want)
		}
	}
	check("check that portsyncd is running (address set by metrics.listen, ")
	lock := snapshot.DirLock{Path: dir}
	if err := lock.Acquire(); err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	check(fmt.Sprintf("portsyncd is running as process %d but does not respond there: if metrics.listen was changed, restart portsyncd", os.Getpid()))
	check("check that portsyncd is running (address set by --address)", "--address", "unix:"+dir+"/none")
}

// TestFilesAreFIFOs checks that the commands refuse a FIFO without a writer instead of waiting for one.
func TestFilesAreFIFOs(t *testing.T) {
	dir := t.TempDir()
	fifo, conf := filepath.Join(dir, "fifo"), filepath.Join(dir, "portsyncd.conf")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("[push]\nurl = \"http://localhost/write\"\nauthorization_file = %q\n", fifo)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
	}{
		{"authority", []string{"status", "--ca", fifo}},
		{"certificate", []string{"status", "--cert", fifo, "--key", conf}},
		{"key", []string{"status", "--cert", conf, "--key", fifo}},
		{"token", []string{"status", "--token-file", fifo}},
		{"token of events", []string{"events", "--address", "127.0.0.1:1", "--token-file", fifo}},
		{"file in the configuration", []string{"check-config", conf}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			ended := make(chan struct{})
			go func() {
				Run(test.args, &out, &out)
				close(ended)
			}()
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				t.Fatal("the command waits for a writer of the FIFO")
			}
			if !strings.Contains(out.String(), "is a named pipe, not a regular file") {
				t.Errorf("output %q, want that the file is a named pipe", &out)
			}
		})
	}
}
