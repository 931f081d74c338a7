package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/snapshot"
)

// TestRealDisk checks a full and a read-only tmpfs: the last good file stays, and saves work again
// afterwards.
func TestRealDisk(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=256k,nr_inodes=100"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	dir := filepath.Join(disk, "portsyncd")
	if err := snapshot.EnsureDir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	file := &snapshot.File{Path: filepath.Join(dir, "state.json"), Schema: 1, Keep: snapshot.Limits{Count: 2}}
	history := &snapshot.Log{Path: filepath.Join(dir, "history.jsonl"), Keep: snapshot.Limits{Count: 2}}
	export := filepath.Join(dir, "portsyncd.prom")
	body := func(word string) []byte { return []byte(`"` + strings.Repeat(word, 1000) + `"`) }
	save := func(word string) error {
		return errors.Join(
			file.Save(body(word)),
			history.Append(body(word)),
			snapshot.WriteFile(export, body(word), 0o644))
	}
	wantSaved := func(word string, lines int) {
		t.Helper()
		if loaded, err := file.Load(); err != nil || string(loaded.Body) != string(body(word)) || loaded.Recovered {
			t.Errorf("loaded %.8s..., %v; want %q", loaded.Body, err, word)
		}
		if text, err := os.ReadFile(export); string(text) != string(body(word)) || err != nil {
			t.Errorf("exported %.8s..., %v; want %q", text, err, word)
		}
		if stats, err := history.Read(time.Time{}, func([]byte) error { return nil }); stats.Lines != lines || err != nil {
			t.Errorf("history: %+v, %v; want %d lines", stats, err, lines)
		}
	}
	wantError := func(errno syscall.Errno) {
		t.Helper()
		for _, err := range []error{
			file.Save(body("bad ")),
			history.Append([]byte(`"` + strings.Repeat("bad ", 10_000) + `"`)),
			snapshot.WriteFile(export, body("bad "), 0o644),
		} {
			if !errors.Is(err, errno) {
				t.Errorf("%v; want %v", err, errno)
			}
		}
	}
	if err := save("one "); err != nil {
		t.Fatal(err)
	}

	// Whatever else there is takes all space.
	filler := filepath.Join(disk, "filler")
	fill, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for size := 64 << 10; size > 0; {
		if _, err := fill.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	fill.Close()
	wantError(unix.ENOSPC)
	wantSaved("one ", 1)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 4 { // and the backup
		t.Errorf("left: %v, %v", entries, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := save("two "); err != nil {
		t.Fatal(err)
	}
	wantSaved("two ", 2)

	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	wantError(unix.EROFS)
	wantSaved("two ", 2)
	if err := snapshot.EnsureDir(dir, 0o750); !errors.Is(err, unix.EROFS) {
		t.Errorf("directory: %v; want %v", err, unix.EROFS)
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if err := save("six "); err != nil {
		t.Fatal(err)
	}
	wantSaved("six ", 3)
}
