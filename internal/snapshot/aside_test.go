package snapshot

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

// TestSetAside checks that the file and its backups are renamed and not loaded afterwards.
func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	f := saver(filepath.Join(dir, "state.json"), nil)
	f.Now = noon
	if err := f.SetAside(); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	for n := 1; n <= 3; n++ {
		mustSave(t, f, n)
	}
	if err := f.SetAside(); err != nil {
		t.Fatal(err)
	}
	wantNames(t, dir, "state.json.stale-000003-"+noonStamp, "state.json.stale-000004-"+noonStamp, "state.json.stale-000005-"+noonStamp)
	if _, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("load: %v", err)
	}
	mustSave(t, f, 4)
	wantNames(t, dir, "state.json", "state.json.stale-000004-"+noonStamp, "state.json.stale-000005-"+noonStamp)
}

// TestCutSetAside interrupts SetAside at each system call, and checks that Load finds the current
// content or nothing.
func TestCutSetAside(t *testing.T) {
	eachCut(t, func(t *testing.T, c *cutter) {
		path := filepath.Join(t.TempDir(), "state.json")
		for n := 1; n <= 3; n++ {
			mustSave(t, saver(path, quick()), n)
		}
		err := saver(path, c).SetAside()
		got, lerr := saver(path, OS).Load()
		if gone := errors.Is(lerr, fs.ErrNotExist); !gone && (err == nil || string(got.Body) != string(body(3))) {
			t.Errorf("set aside: %v; then loaded %s, %v", err, got.Body, lerr)
		}
	})
}

// TestPowerCutSetAside cuts the power during SetAside, and checks that nothing is found after it
// returned.
func TestPowerCutSetAside(t *testing.T) {
	disk := newMemFS()
	f := saver("/state.json", disk)
	for n := 1; n <= 3; n++ {
		mustSave(t, f, n)
	}
	must(t, f.SetAside())
	disk.survivors(func(after *memFS) {
		if got, err := saver(f.Path, after).Load(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("loaded %s, %v", got.Body, err)
		}
	})
}
