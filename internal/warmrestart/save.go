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
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
	"portsyncd/internal/syslog"
)

// This file is how each of the files is written. The functions return whether the file
// had to be written.

// writePorts sets the state file aside if it is stale, and then writes it if
// there is something to write.
func (m *Memory) writePorts() (bool, error) {
	if m.stale.Load() {
		if err := m.ports.SetAside(); err != nil {
			return false, err
		}
		m.stale.Store(false)
	}
	if m.latest == nil {
		return false, nil
	}
	slices.SortFunc(m.latest, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) }) // the same ports, the same file
	for i := range m.latest {
		m.latest[i].NameHex = HexUnlessUTF8(m.latest[i].Name)
	}
	body := encode(portsBody{Ports: m.latest})
	wrote, err := m.ports.SaveChanged(body)
	if err == nil {
		m.latest = nil
	}
	return wrote, err
}

func (m *Memory) writeMetrics() (bool, error) {
	body := encode(&m.body)
	err := m.metrics.Save(body)
	m.based = m.based || err == nil
	return err == nil, err
}

func (m *Memory) writeSample() (bool, error) {
	err := m.history.Append(m.cfg.Sample(m.body.Counters))
	return err == nil, err
}

func (m *Memory) writeText() (bool, error) { return m.export(textFile, m.cfg.Text) }
func (m *Memory) writeJSON() (bool, error) { return m.export(jsonFile, m.cfg.JSON) }

// exportMode is for node_exporter, which runs as another user.
const exportMode = 0o644

func (m *Memory) export(name string, render func([]byte) []byte) (bool, error) {
	path := filepath.Join(m.cfg.StoragePath, name)
	err := snapshot.WriteFile(path, render(nil), exportMode)
	if err == nil && !m.checked {
		m.checked = true
		m.openMadeDirs()
		if dir := closedDir(path); dir != "" {
			m.cfg.Log.Log(context.Background(), syslog.LevelNotice, "other users cannot read the exports; the directory keeps them out", "directory", dir)
		}
	}
	return err == nil, err
}

// openMadeDirs gives directories that an earlier version made the mode that they are made
// with now, so that other users can read the exports after an upgrade. Any other mode,
// and any other owner, is the administrator's choice.
func (m *Memory) openMadeDirs() {
	for _, dir := range m.cfg.MadeDirs {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) != nil || st.Mode != unix.S_IFDIR|privateDirMode || int(st.Uid) != os.Geteuid() {
			continue
		}
		if err := os.Chmod(dir, openDirMode); err != nil {
			m.cfg.Log.Log(context.Background(), syslog.LevelNotice, "cannot open a directory of an earlier version to readers of the exports", "error", err)
			continue
		}
		m.cfg.Log.Log(context.Background(), syslog.LevelNotice, "directory of an earlier version opened to readers of the exports", "directory", dir)
	}
}

// closedDir returns the directory that keeps other users from a file, "" if none does:
// the one that has the file has to be readable, those above it searchable.
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

// removeExports removes the exports that are not wanted any more: values that
// nobody brings up to date are worse than none.
func (m *Memory) removeExports() {
	if m.cfg.StoragePath == "" {
		return
	}
	for _, e := range []struct {
		file   int
		name   string
		wanted bool
	}{{fileText, textFile, m.cfg.ExportText}, {fileJSON, jsonFile, m.cfg.ExportJSON}} {
		if e.wanted {
			continue
		}
		m.setOwed(e.file, false)
		m.tell(e.file, nil)
		err := os.Remove(filepath.Join(m.cfg.StoragePath, e.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			m.cfg.Log.Warn("an export that is not wanted any more stays", "error", err)
		}
	}
}

// prune removes what is too old or too much. What cannot be removed is left to
// the next time.
func (m *Memory) prune() {
	if m.cfg.StateFile != "" {
		m.ports.Prune()
	}
	if m.cfg.StoragePath != "" {
		m.metrics.Prune()
		m.history.Prune()
	}
}

// encode is for what always has a form: names, numbers, times.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// sampleTime reads the time of a line of the history.
func sampleTime(line []byte) (time.Time, bool) {
	var s struct {
		Time time.Time `json:"time"`
	}
	if json.Unmarshal(line, &s) != nil || s.Time.IsZero() {
		return time.Time{}, false
	}
	return s.Time, true
}
