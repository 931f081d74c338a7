package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDirLock checks that a directory has one owner at a time, that the refusal names the
// directory, and that a directory that was replaced is locked again.
func TestDirLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "storage")
	first, second := DirLock{Path: dir}, DirLock{Path: dir}
	defer first.Release()
	defer second.Release()
	if err := first.Acquire(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing directory: %v, want that it does not exist", err)
	}
	must(t, os.Mkdir(dir, 0o750))
	must(t, first.Acquire())
	must(t, first.Acquire())
	err := second.Acquire()
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second owner: %v, want ErrLocked with the directory", err)
	}
	first.Release()
	must(t, second.Acquire())
	if err := first.Acquire(); !errors.Is(err, ErrLocked) {
		t.Errorf("former owner: %v, want ErrLocked", err)
	}

	must(t, os.Rename(dir, dir+"-old"))
	must(t, second.Acquire()) // the directory was not replaced yet
	must(t, os.Mkdir(dir, 0o750))
	must(t, second.Acquire())
	if err := first.Acquire(); !errors.Is(err, ErrLocked) {
		t.Errorf("the directory that replaced it: %v, want ErrLocked", err)
	}
	wantNames(t, dir)
}
