package security

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// foreignFiles are files of another user that the daemon must not change.
type foreignFiles struct {
	t    *testing.T
	dir  string
	made []string
}

const foreignText = "root:x:0:0:somebody's file\nwithout a line break at its end"

// add makes another file and returns its path.
func (v *foreignFiles) add() string {
	v.t.Helper()
	path := fmt.Sprintf("%s/%d", v.dir, len(v.made))
	if err := os.WriteFile(path, []byte(foreignText), 0o600); err != nil {
		v.t.Fatal(err)
	}
	v.made = append(v.made, path)
	return path
}

// check fails the test if a file has changed.
func (v *foreignFiles) check(when string) {
	v.t.Helper()
	for _, path := range v.made {
		text, err := os.ReadFile(path)
		info, serr := os.Lstat(path)
		if err != nil || serr != nil || string(text) != foreignText || info.Mode() != 0o600 {
			v.t.Fatalf("%s: the foreign file is %q, %v, %v", when, text, info, errors.Join(err, serr))
		}
	}
}

// traps are what a user who may write to the state directory can put in place of a file that the
// daemon reads or writes.
var traps = []struct {
	name string
	set  func(path, victim string) error
}{
	{"symbolic link", func(path, victim string) error { return os.Symlink(victim, path) }},
	{"hard link", func(path, victim string) error { return os.Link(victim, path) }},
	{"symbolic link to nothing", func(path, victim string) error { return os.Symlink(victim+"-absent", path) }},
	{"named pipe", func(path, _ string) error { return unix.Mkfifo(path, 0o666) }},
	{"directory", func(path, _ string) error { return os.MkdirAll(path+"/full", 0o755) }},
	{"link to a device", func(path, _ string) error { return os.Symlink("/dev/zero", path) }},
}

// written are the files that the daemon keeps.
func written(sw *switchtest.StorageSwitch) []string {
	return []string{sw.StatePath, sw.StorageDir + "/metrics.json", sw.StorageDir + "/history.jsonl",
		sw.StorageDir + "/portsyncd.prom", sw.StorageDir + "/metrics-export.json"}
}

// TestTrapsInStateDirectory puts each trap in place of each file, and of a backup, before the
// start and while the daemon writes. The daemon must follow no link, not block in open, change no
// foreign file, and finally have its own regular files with mode 0640.
func TestTrapsInStateDirectory(t *testing.T) {
	switchtest.Parallel(t)
	for _, trap := range traps {
		t.Run(strings.ReplaceAll(trap.name, " ", "_"), func(t *testing.T) {
			sw := switchtest.NewWithStorage(t)
			if sw == nil {
				return
			}
			v := &foreignFiles{t: t, dir: sw.Dir + "/elsewhere"}
			sw.Mkdir(v.dir)
			sw.NoError("make the directories", errors.Join(os.MkdirAll(filepath.Dir(sw.StatePath), 0o755), os.MkdirAll(sw.StorageDir, 0o755)))
			for _, path := range append(written(sw), sw.StatePath+".backup-000001", sw.StorageDir+"/history-000001-20260101T000000Z.jsonl") {
				sw.NoError("set a trap", trap.set(path, v.add()))
			}
			sw.WriteSettings("", "save_interval_secs = 1\nexport_format = \"both\"")
			d := sw.BringUpSaved(switchtest.FewPorts)
			sw.AwaitRestarts(1)
			awaitSaved(sw, "history")
			for _, path := range written(sw) { // while it runs, between two saves
				aside := fmt.Sprintf("%s/was-%d", v.dir, rand.Int64())
				if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				trap.set(path, v.add()) // the daemon may have been faster
			}
			sw.IPLink("link set " + switchtest.PortName(0) + " mtu 1400")
			sw.AwaitRecovery(trap.name)
			switchtest.Eventually(t, switchtest.Timeout, func() string {
				if got := sw.SavedPorts(); len(got) != switchtest.FewPorts || got[0].MTU != 1400 {
					return fmt.Sprintf("the state file has %+v", got)
				}
				return ""
			})
			d.Kill()
			v.check(trap.name)
			if info, err := os.Lstat(sw.StatePath); err != nil || info.Mode() != 0o640 {
				t.Errorf("%s: %v, %v, want a regular file of mode 0640", sw.StatePath, info.Mode(), err)
			}
			d = sw.StartConfigured()
			switchtest.NewClient(t, switchtest.HTTPAddress).AwaitValue("portsyncd_warm_restarts", 1)
			v.check("the next start")
			sw.CheckSelfReport(d)
			for n := range v.made {
				if _, err := os.Lstat(fmt.Sprintf("%s/%d-absent", v.dir, n)); err == nil {
					t.Error("a file was made behind a symbolic link")
				}
			}
		})
	}
}

// awaitSaved waits until this daemon has written a file.
func awaitSaved(sw *switchtest.StorageSwitch, file string) {
	sw.T.Helper()
	series := fmt.Sprintf("portsyncd_snapshot_saves_total{file=%q}", file)
	client := switchtest.NewClient(sw.T, switchtest.HTTPAddress)
	switchtest.Eventually(sw.T, switchtest.Timeout, func() string {
		if client.Scrape().Samples[series] == 0 {
			return series + " is still 0"
		}
		return ""
	})
}

// TestModesOfFiles checks with different umasks that only root and its group can read the daemon's
// files, that others can read only the exports, and that nobody else can write.
func TestModesOfFiles(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	socket := sw.Dir + "/http/socket"
	sw.Mkdir(filepath.Dir(socket))
	sw.WriteSettings("", fmt.Sprintf("save_interval_secs = 1\nexport_format = \"both\"\nlisten = \"unix:%s\"", socket))
	sw.ConfigurePorts(1)
	d := sw.StartCommand(switchtest.StartOptions{}, "/bin/sh", "-c", `umask 0; exec "$0" "$@"`, sw.Binary, "-c", sw.ConfigPath)
	d.AwaitReady()
	sw.AddInterfaces(1)
	for _, path := range written(sw) {
		want := fs.FileMode(0o640)
		if strings.HasSuffix(path, ".prom") || strings.HasSuffix(path, "-export.json") {
			want = 0o644
		}
		awaitMode(sw, path, want)
	}
	awaitMode(sw, socket, fs.ModeSocket|0o660)
	awaitMode(sw, filepath.Dir(sw.StatePath), fs.ModeDir|0o750)
	awaitMode(sw, sw.StorageDir, fs.ModeDir|0o755)
}

// awaitMode waits until path exists with a mode.
func awaitMode(sw *switchtest.StorageSwitch, path string, want fs.FileMode) {
	sw.T.Helper()
	switchtest.Eventually(sw.T, switchtest.Timeout, func() string {
		info, err := os.Lstat(path)
		if err != nil {
			return err.Error()
		}
		if info.Mode() != want {
			return fmt.Sprintf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return ""
	})
}

// TestFilesReplacedWhileSaving replaces files by links as fast as it can while the daemon saves,
// to hit the time between a check and the open.
func TestFilesReplacedWhileSaving(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	v := &foreignFiles{t: t, dir: sw.Dir + "/elsewhere"}
	sw.Mkdir(v.dir)
	sw.WriteSettings("", "save_interval_secs = 1\nexport_format = \"both\"")
	d := sw.BringUpSaved(switchtest.FewPorts)
	sw.AwaitRestarts(1)
	stop := sw.ChurnPorts(0, switchtest.FewPorts)
	swaps := 0
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); swaps++ {
		path, trap := written(sw)[swaps%5], traps[rand.N(2)] // a link of either kind
		temp := fmt.Sprintf("%s/link-%d", sw.Dir, swaps)
		if swaps%97 == 0 {
			v.add()
		}
		sw.NoError("make a link", trap.set(temp, v.made[rand.N(len(v.made))]))
		sw.NoError("swap", os.Rename(temp, path))
		if swaps%50 == 0 {
			time.Sleep(time.Millisecond) // let the daemon run
		}
	}
	stop()
	v.check(fmt.Sprintf("%d swaps", swaps))
	sw.AwaitRecovery(fmt.Sprintf("%d swaps", swaps))
	sw.CheckSelfReport(d)
	d.EndBySignal(syscall.SIGTERM, "after the swaps")
	v.check("the end")
	if text, err := os.ReadFile(sw.StatePath); err != nil || bytes.Contains(text, []byte("somebody's")) {
		t.Errorf("the state file is %q, %v", text, err)
	}
}
