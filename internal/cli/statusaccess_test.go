package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
