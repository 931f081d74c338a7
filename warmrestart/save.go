package warmrestart

import (
	"encoding/json"
	"path/filepath"
	"time"

	"portsyncd/snapshot"
)

// Pauses after a disk that failed.
const (
	pauseMin = time.Second
	pauseMax = time.Minute
)

const dirMode = 0o750

// makeDirectories makes the directories of all files.
func (m *Memory) makeDirectories() {
	if m.cfg.StateFile != "" {
		m.done(fileState, 0, snapshot.EnsureDir(filepath.Dir(m.cfg.StateFile), dirMode), false)
	}
	if m.cfg.StoragePath != "" {
		m.done(fileMetrics, 0, snapshot.EnsureDir(m.cfg.StoragePath, dirMode), false)
	}
}

// done takes note of one write, and reports whether it succeeded.
func (m *Memory) done(file int, size int, err error, wrote bool) bool {
	f := m.cfg.Families
	if err != nil {
		f.failures.At(file).Inc()
		f.diskFaulty.Set(1)
		if !m.faulty.Swap(true) {
			m.cfg.Log.Error("cannot write, the last good file stays, trying again", "file", fileNames[file], "error", err)
		}
		m.pause = min(max(2*m.pause, pauseMin), pauseMax)
		return false
	}
	if wrote {
		f.saves.At(file).Inc()
		f.savedAt.At(file).Set(unix(time.Now()))
		f.size.At(file).Set(int64(size))
	}
	return true
}

// recovered ends a time in which nothing could be written.
func (m *Memory) recover() {
	if m.faulty.Swap(false) {
		m.cfg.Log.Warn("files can be written again")
	}
	m.cfg.Families.diskFaulty.Set(0)
	m.pause = 0
}

// saveMetrics makes the counters durable and then exposes them.
func (m *Memory) saveMetrics() bool {
	if m.cfg.StoragePath != "" && !m.durable {
		body, err := json.Marshal(&m.body)
		if err == nil {
			err = m.metrics.Save(body)
		}
		m.durable = m.done(fileMetrics, len(body), err, true)
		m.based = m.based || m.durable
	}
	m.expose()
	return m.durable || m.cfg.StoragePath == ""
}

// savePorts writes the state file if there is something to write.
func (m *Memory) savePorts() bool {
	if m.cfg.StateFile == "" || m.latest == nil {
		return true
	}
	body, err := json.Marshal(portsBody{Ports: m.latest})
	wrote := false
	if err == nil {
		wrote, err = m.ports.SaveChanged(body)
	}
	if !m.done(fileState, len(body), err, wrote) {
		return false
	}
	m.latest = nil
	return true
}

// setAside takes a state file out of the way that another life of the switch
// left behind.
func (m *Memory) setAside() {
	if m.cfg.StateFile == "" || !m.remembered {
		return
	}
	m.remembered = false
	m.cfg.Log.Info("the state file is stale and set aside: the databases were flushed", "file", m.cfg.StateFile)
	m.done(fileState, 0, m.ports.SetAside(), false)
}

// periodic is what each save interval brings: a sample, and the exports.
func (m *Memory) periodic() bool {
	ok := m.savePorts()
	ok = m.saveMetrics() && ok
	if m.cfg.StoragePath == "" {
		return ok
	}
	if m.cfg.Sample != nil {
		line := m.cfg.Sample()
		ok = m.done(fileHistory, len(line), m.history.Append(line), true) && ok
		if _, err := m.history.Prune(); err != nil {
			ok = m.done(fileHistory, 0, err, false) && ok
		}
	}
	if m.cfg.ExportText {
		ok = m.export(textFile, m.cfg.Text) && ok
	}
	if m.cfg.ExportJSON {
		ok = m.export(jsonFile, m.cfg.JSON) && ok
	}
	if ok && m.pause > 0 {
		m.recover()
	}
	return ok
}

// exportMode lets node_exporter read, which runs as another user.
const exportMode = 0o644

func (m *Memory) export(name string, render func([]byte) []byte) bool {
	data := render(nil)
	err := snapshot.WriteFile(filepath.Join(m.cfg.StoragePath, name), data, exportMode)
	return m.done(fileExport, len(data), err, true)
}

// again tries what failed before.
func (m *Memory) again() {
	m.makeDirectories()
	ports, metrics := m.savePorts(), m.saveMetrics()
	if ports && metrics {
		m.recover()
	}
}

// finish saves what is left, once, when the process ends.
func (m *Memory) finish() {
	for {
		select {
		case r := <-m.restarts:
			m.body.add(r, m.cfg.KeepRestarts)
			m.durable = false
			continue
		case ports := <-m.changes:
			m.latest = ports
			continue
		default:
		}
		break
	}
	m.savePorts()
	m.saveMetrics()
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
