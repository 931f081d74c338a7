package warmrestart

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
	"portsyncd/internal/syslog"
)

// The write functions of the tasks report whether they wrote to the disk.

// writePorts sets a discarded state file aside and then writes the pending ports.
func (rec *Recorder) writePorts() (bool, error) {
	if rec.discard.Load() && rec.hasState {
		if err := rec.ports.SetAside(); err != nil {
			return false, err
		}
		rec.discard.Store(false)
	}
	if rec.pendingPorts == nil {
		return false, nil
	}
	// Sort the ports so that SaveChanged skips the write if they have not changed.
	slices.SortFunc(rec.pendingPorts, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) })
	for i := range rec.pendingPorts {
		rec.pendingPorts[i].NameHex = HexUnlessUTF8(rec.pendingPorts[i].Name)
	}
	wrote, err := rec.ports.SaveChanged(encode(portsBody{Ports: rec.pendingPorts}))
	if err == nil {
		rec.pendingPorts = nil
	}
	return wrote, err
}

func (rec *Recorder) writeMetrics() (bool, error) {
	err := rec.metrics.Save(encode(&rec.body))
	rec.persisted = rec.persisted || err == nil
	return err == nil, err
}

func (rec *Recorder) writeSample() (bool, error) {
	err := rec.history.Append(rec.cfg.Sample(rec.body.Counters))
	return err == nil, err
}

func (rec *Recorder) writeText() (bool, error) { return rec.export(textFile, rec.cfg.Text) }
func (rec *Recorder) writeJSON() (bool, error) { return rec.export(jsonFile, rec.cfg.JSON) }

// exportMode makes the exports readable for node_exporter, which runs as another user.
const exportMode = 0o644

func (rec *Recorder) export(name string, render func([]byte) []byte) (bool, error) {
	path := filepath.Join(rec.cfg.StoragePath, name)
	err := snapshot.WriteFile(path, render(nil), exportMode)
	if err == nil && !rec.exportsChecked {
		rec.exportsChecked = true
		rec.openMadeDirs()
		if dir := closedDir(path); dir != "" {
			rec.notice("other users cannot read the exports because of the mode of a directory", "directory", dir)
		}
	}
	return err == nil, err
}

func (rec *Recorder) notice(msg string, args ...any) {
	rec.cfg.Log.Log(context.Background(), syslog.LevelNotice, msg, args...)
}

// openMadeDirs updates the mode of directories created by earlier versions, so that other users can
// read the exports after an upgrade. It does not change directories whose mode or owner was
// modified by the administrator.
func (rec *Recorder) openMadeDirs() {
	for _, dir := range rec.cfg.MadeDirs {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) != nil || st.Mode != unix.S_IFDIR|privateDirMode || int(st.Uid) != os.Geteuid() {
			continue
		}
		if err := os.Chmod(dir, openDirMode); err != nil {
			rec.notice("cannot change the mode of a directory so that other users can read the exports", "error", err)
			continue
		}
		rec.notice("changed the mode of a directory of an earlier version so that other users can read the exports", "directory", dir)
	}
}

// closedDir returns the directory whose mode prevents other users from reading the file at path, or
// "" if there is none. Other users need read and search permission for the file's directory and
// search permission for its parents.
func closedDir(path string) string {
	want := fs.FileMode(0o005)
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&want != want {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
		want = 0o001
	}
}

// removeExports removes the files of disabled exports, so that readers do not mistake old values
// for current ones.
func (rec *Recorder) removeExports() {
	if rec.cfg.StoragePath == "" || rec.lock() != nil {
		return
	}
	for _, e := range []struct {
		file    int
		name    string
		enabled bool
	}{{fileText, textFile, rec.cfg.ExportText}, {fileJSON, jsonFile, rec.cfg.ExportJSON}} {
		if e.enabled {
			continue
		}
		rec.setDirty(e.file, false)
		rec.setResult(e.file, nil)
		err := os.Remove(filepath.Join(rec.cfg.StoragePath, e.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			rec.cfg.Log.Warn("cannot remove a disabled export", "error", err)
		}
	}
}

// prune removes files beyond the retention limits. Failed removals are retried at the next save
// interval.
func (rec *Recorder) prune() {
	if rec.lock() != nil {
		return
	}
	if rec.cfg.StateFile != "" {
		rec.ports.Prune()
	}
	if rec.cfg.StoragePath != "" {
		rec.metrics.Prune()
		rec.history.Prune()
	}
}

// encode returns v as JSON. It panics if v cannot be encoded.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
