package warmrestart

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"portsyncd/internal/snapshot"
)

// chore is one file that is written from time to time, and how that goes.
type chore struct {
	what  string // the file in words
	path  string // "" if the file is not kept
	write func() (wrote bool, err error)

	owed  bool
	err   error         // of the last try
	next  time.Time     // not before this
	pause time.Duration // until then, at the last try
	tried time.Time
}

// Pauses after a disk that failed, and between saves of what changes without end.
const (
	pauseMin = time.Second
	pauseMax = time.Minute
)

// rest has the next try wait, for longer each time, unless the last one was long
// ago.
func (c *chore) rest(now time.Time) {
	if now.Sub(c.tried) > 2*pauseMax {
		c.pause = 0
	}
	c.pause = min(max(2*c.pause, pauseMin), pauseMax)
	c.tried, c.next = now, now.Add(c.pause)
}

// Modes of directories that are made. The storage path has the exports, which other users
// read and list, node_exporter for one; what is private there is so by its own mode. A
// directory that is not on the way to it keeps out whoever is neither its owner nor in its
// group.
const (
	openDirMode    = 0o755
	privateDirMode = 0o750
)

// dirMode returns the mode of a file's directory, should it have to be made.
func (m *Memory) dirMode(file int) fs.FileMode {
	if file != fileState {
		return openDirMode
	}
	to, err := filepath.Rel(filepath.Dir(m.cfg.StateFile), m.cfg.StoragePath)
	if m.cfg.StoragePath == "" || err != nil || !filepath.IsLocal(to) {
		return privateDirMode
	}
	return openDirMode
}

func (m *Memory) makeChores() {
	m.chores = [numFiles]chore{
		fileState:   {what: "the state file", write: m.writePorts},
		fileMetrics: {what: "the metrics", write: m.writeMetrics},
		fileHistory: {what: "the history", write: m.writeSample},
		fileText:    {what: "the export for Prometheus", write: m.writeText},
		fileJSON:    {what: "the export as JSON", write: m.writeJSON},
	}
	m.chores[fileState].path = m.cfg.StateFile
	if m.cfg.StoragePath != "" {
		for file, name := range map[int]string{fileMetrics: metricsFile, fileHistory: historyFile, fileText: textFile, fileJSON: jsonFile} {
			m.chores[file].path = filepath.Join(m.cfg.StoragePath, name)
		}
	}
}

// owe has a file written at the next opportunity, if it is kept at all.
func (m *Memory) owe(file int) {
	m.setOwed(file, m.chores[file].path != "")
}

// Run owns the files until ctx ends, and then saves what is left. It wakes up
// when something changed, once each save interval, and to try again what failed.
func (m *Memory) Run(ctx context.Context) {
	m.removeExports()
	sampled := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		m.work()
		timer.Reset(time.Until(m.due(sampled)))
		select {
		case <-ctx.Done():
			m.finish()
			return
		case r := <-m.restarts:
			m.restarted(r)
		case ports := <-m.changes:
			m.changed(ports)
		case <-m.wake:
			m.owe(fileState)
		case s := <-m.reloads:
			m.configure(s)
			m.removeExports()
		case <-timer.C:
		}
		if now := time.Now(); now.Sub(sampled) >= m.cfg.SaveInterval {
			sampled = now
			m.periodic()
		}
	}
}

// due is when work has something to do next.
func (m *Memory) due(sampled time.Time) time.Time {
	due := sampled.Add(m.cfg.SaveInterval)
	for i := range m.chores {
		if c := &m.chores[i]; c.owed && c.next.Before(due) {
			due = c.next
		}
	}
	return due
}

// restarted counts a start.
func (m *Memory) restarted(r Restart) {
	m.body.add(r)
	m.body.trim(m.cfg.KeepRestarts)
	m.publish()
	if m.cfg.Troubled != nil {
		m.cfg.Troubled() // there may be too many
	}
	m.owe(fileMetrics)
	if !m.chores[fileMetrics].owed {
		m.expose()
	}
}

func (m *Memory) changed(ports []Port) {
	m.latest = ports
	m.owe(fileState)
}

// periodic is what each save interval brings.
func (m *Memory) periodic() {
	if m.cfg.Sample != nil {
		m.owe(fileHistory)
	}
	if m.cfg.ExportText {
		m.owe(fileText)
	}
	if m.cfg.ExportJSON {
		m.owe(fileJSON)
	}
	m.prune()
}

// work writes what is owed and not in a pause.
func (m *Memory) work() {
	for i := range m.chores {
		if c := &m.chores[i]; c.owed && !time.Now().Before(c.next) {
			m.try(i)
		}
	}
}

// try writes one file, and if that fails leaves it owed, for after a pause.
func (m *Memory) try(file int) {
	c, f := &m.chores[file], m.cfg.Families
	m.writing.Store(time.Now().UnixNano())
	err := snapshot.EnsureDir(filepath.Dir(c.path), m.dirMode(file))
	wrote := false
	if err == nil {
		wrote, err = c.write()
	}
	m.writing.Store(0)
	m.setOwed(file, err != nil)
	switch {
	case err != nil:
		f.failures.At(file).Inc()
		c.rest(time.Now())
	case file == fileState:
		c.rest(time.Now()) // ports may flap all day, and flash wears
	default:
		c.pause, c.next = 0, time.Time{}
	}
	if wrote {
		f.saves.At(file).Inc()
		f.savedAt.At(file).Set(unixSeconds(time.Now()))
		f.size.At(file).Set(m.sizeOf(c.path))
	}
	m.tell(file, err)
	if file == fileMetrics {
		m.expose()
	}
}

// sizeOf returns the size of a file that was just written, 0 if it is gone again.
func (m *Memory) sizeOf(path string) int64 {
	info, err := m.fs().Lstat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (m *Memory) fs() snapshot.FS {
	if m.cfg.FS == nil {
		return snapshot.OS
	}
	return m.cfg.FS
}

// tell takes note of how a try went. Each cause of trouble is logged once, until
// all files can be written again.
func (m *Memory) tell(file int, err error) {
	c := &m.chores[file]
	if err == nil && c.err == nil {
		return
	}
	c.err = err
	if err != nil && !slices.Contains(m.logged, cause(err)) {
		m.logged = append(m.logged, cause(err))
		m.cfg.Log.Error("cannot write; retrying", "what", c.what, "error", err)
	}
	var trouble []string
	for i := range m.chores {
		if c := &m.chores[i]; c.err != nil {
			trouble = append(trouble, "cannot write "+c.what+": "+c.err.Error())
		}
	}
	m.trouble.Store(&trouble)
	if m.cfg.Troubled != nil {
		m.cfg.Troubled()
	}
	if len(trouble) > 0 {
		m.cfg.Families.diskFaulty.Set(1)
		return
	}
	m.cfg.Families.diskFaulty.Set(0)
	m.logged = nil
	m.cfg.Log.Warn("files can be written again")
}

// cause is what the kernel said; nil if the trouble is of another kind.
func cause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return nil
}

// finish saves what is left when the process ends, each file with one try.
func (m *Memory) finish() {
	for more := true; more; {
		select {
		case r := <-m.restarts:
			m.restarted(r)
		case ports := <-m.changes:
			m.changed(ports)
		case <-m.wake:
			m.owe(fileState)
		default:
			more = false
		}
	}
	if m.stopped.Load() {
		m.body.Stopped = time.Now().UTC()
		m.owe(fileMetrics)
	}
	for _, file := range []int{fileState, fileMetrics} {
		if m.chores[file].owed {
			m.try(file)
		}
	}
}
