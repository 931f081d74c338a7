package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestVanishedFile checks that a reload accepts a missing optional file only as long as no
// settings of the file are in effect.
func TestVanishedFile(t *testing.T) {
	d := New(Options{ConfigFile: filepath.Join(t.TempDir(), "portsyncd.conf")})
	if _, err := d.readAgain(); err != nil {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(d.ConfigFile, []byte("[health]\nmax_stall_seconds = 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	next, err := d.readAgain()
	if err != nil {
		t.Fatal(err)
	}
	d.inEffect, _ = d.inEffect.Reload(next)
	if err := os.Remove(d.ConfigFile); err != nil {
		t.Fatal(err)
	}
	if _, err := d.readAgain(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the file was removed: %v, want %v", err, fs.ErrNotExist)
	}
}
