package snapshot

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestEnsureDir checks creation, modes and errors of directories.
func TestEnsureDir(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "there"), 0o711))
	must(t, os.Chmod(filepath.Join(dir, "there"), 0o711))
	must(t, os.Symlink("there", filepath.Join(dir, "link")))
	must(t, os.Symlink("nothing", filepath.Join(dir, "dangling")))
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))

	f := func(path, want string) {
		t.Helper()
		if !filepath.IsAbs(path) && path != "" && path != "relative/path" {
			path = filepath.Join(dir, path)
		}
		err := EnsureDir(path, 0o750)
		if want == "" {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if want = strings.ReplaceAll(want, "DIR", dir); err == nil || err.Error() != want {
			t.Errorf("error\n%v\nwant\n%s", err, want)
		}
	}
	f("there", "")
	f("link", "")
	f("link/a/b/", "")
	f("new/er/est", "")
	f("", `invalid directory "": must be an absolute path`)
	f("relative/path", `invalid directory "relative/path": must be an absolute path`)
	f("file", `create directory "DIR/file": "DIR/file" is a file, not a directory`)
	f("file/a/b", `create directory "DIR/file/a/b": "DIR/file" is a file, not a directory`)
	f("dangling", `create directory "DIR/dangling": "DIR/dangling" is a broken symbolic link, not a directory`)
	f("loop", `create directory "DIR/loop": stat DIR/loop: too many levels of symbolic links`)
	f("/proc/nothing", `create directory "/proc/nothing": mkdir /proc/nothing: no such file or directory`)

	for name, want := range map[string]fs.FileMode{"there": 0o711, "there/a": 0o750, "there/a/b": 0o750, "new": 0o750, "new/er/est": 0o750} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

// TestBootID checks the boot ID of this system and invalid ones.
func TestBootID(t *testing.T) {
	id, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := BootID(); id != again {
		t.Errorf("%s, then %s", id, again)
	}
	path := filepath.Join(t.TempDir(), "boot_id")
	for _, text := range []string{"", "\n", "x", id[:35], id + "0", id + "\n\n", strings.Repeat("z", 36), strings.Repeat("0", 1<<16)} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if id, err := readBootID(path); err == nil {
			t.Errorf("%.50q is taken for %s", text, id)
		}
	}
}
