package config

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portsyncd/config/toml"
)

// TestLoad checks that Load reads a file and that origins contain its path.
func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portsyncd.conf")
	if err := os.WriteFile(path, []byte("daemon.enabled = false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || c.Daemon.Enabled || c.Origin("daemon.enabled") != path+":1" {
		t.Errorf("Load = %+v, %v", c.Daemon, err)
	}
}

// TestLoadAbsentFile checks that Load returns the defaults and fs.ErrNotExist.
func TestLoadAbsentFile(t *testing.T) {
	c, err := Load(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, fs.ErrNotExist) || !c.Daemon.Enabled {
		t.Errorf("Load = %+v, %v, want defaults and fs.ErrNotExist", c.Daemon, err)
	}
}

// TestLoadOtherThanFile checks that Load fails without blocking for a FIFO, device, socket or
// directory.
func TestLoadOtherThanFile(t *testing.T) {
	dir := t.TempDir()
	fifo, socket := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]string{dir: "a directory", fifo: "a named pipe", socket: "a socket", "/dev/zero": "a device"} {
		_, err := Load(path)
		if err == nil || !strings.HasSuffix(err.Error(), `" is `+want+", not a regular file") {
			t.Errorf("Load(%q): %v, want %s", path, err, want)
		}
		var errs Errors
		if errors.As(err, &errs) {
			t.Errorf("Load(%q): error is of type Errors", path)
		}
	}
}

// TestLoadSizeLimit checks that a file of toml.MaxSize bytes is read and a larger one is an error.
func TestLoadSizeLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portsyncd.conf")
	for size, valid := range map[int]bool{toml.MaxSize: true, toml.MaxSize + 1: false, 3 * toml.MaxSize: false} {
		if err := os.WriteFile(path, bytes.Repeat([]byte{'\n'}, size), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if valid && err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if want := path + ":1:1: file is larger than 1048576 bytes"; !valid && (err == nil || err.Error() != want) {
			t.Errorf("%d bytes: %v, want %s", size, err, want)
		}
	}
}
