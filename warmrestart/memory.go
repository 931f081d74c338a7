package warmrestart

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"portsyncd/snapshot"
)

// Config says what is remembered and where.
type Config struct {
	StateFile   string // of the ports; "" to remember none
	StoragePath string // directory of metrics.json and the history; "" to keep none
	Writer      string // name and version of the program
	Log         *slog.Logger
	Families    *Families

	// Sample makes one line of the history, a JSON object; nil: none is kept.
	Sample func() []byte
	// Text and JSON render the metrics for the exports.
	Text, JSON func(b []byte) []byte

	Settings
}

// Settings can change while running.
type Settings struct {
	SaveInterval time.Duration // between two samples, and two looks for changes
	Retention    time.Duration // age at which history is removed
	MaxFileSize  int64         // bytes at which the history begins a new file
	KeepRestarts int           // restart records kept
	ExportText   bool          // write portsyncd.prom
	ExportJSON   bool          // write metrics-export.json
}

// Names of the files under StoragePath.
const (
	metricsFile = "metrics.json"
	historyFile = "history.jsonl"
	textFile    = "portsyncd.prom"
	jsonFile    = "metrics-export.json"
)

// Backups kept of each whole file.
var keepBackups = snapshot.Limits{Count: 5, Age: 30 * 24 * time.Hour, Bytes: 32 << 20, Spare: 1}

// Memory is what the daemon remembers. Open makes it, Run keeps it; the other
// methods may be called from any goroutine, but Open and Remembered belong to
// the start.
type Memory struct {
	cfg    Config
	bootID string

	ports   snapshot.File
	metrics snapshot.File
	history snapshot.Log

	body       metricsBody
	remembered bool   // the ports are of this boot
	recovered  string // the backup that stood in for the state file
	durable    bool   // body is on the disk
	based      bool   // there is, or was, something on the disk to come back to

	restarts chan Restart
	changes  chan []Port
	reloads  chan Settings
	forget   chan struct{}

	latest []Port // not saved yet; nil if nothing is
	pause  time.Duration
	faulty atomic.Bool
}

// Open reads what there is. It never fails: what is damaged is set aside and
// counted, and a backup or nothing takes its place.
func Open(cfg Config) *Memory {
	m := &Memory{
		cfg:      cfg,
		restarts: make(chan Restart, 4),
		changes:  make(chan []Port, 1),
		reloads:  make(chan Settings, 1),
		forget:   make(chan struct{}, 1),
	}
	m.body = metricsBody{Sync: durations{Bounds: syncBounds, Counts: make([]uint64, len(syncBounds)+1)}}
	id, err := snapshot.BootID()
	if err != nil {
		cfg.Log.Warn("the boot has no identifier, no start will be warm by the state file", "error", err)
	}
	m.bootID = id
	if cfg.StateFile != "" {
		m.ports = m.file(cfg.StateFile, portsSchema, checkPorts)
		m.loadPorts()
	}
	if cfg.StoragePath != "" {
		m.metrics = m.file(filepath.Join(cfg.StoragePath, metricsFile), metricsSchema, checkMetrics)
		m.loadMetrics()
		m.history = snapshot.Log{Path: filepath.Join(cfg.StoragePath, historyFile), At: sampleTime}
	}
	m.configure(cfg.Settings)
	m.expose()
	return m
}

func (m *Memory) file(path string, schema int, check func(int, []byte) error) snapshot.File {
	return snapshot.File{Path: path, Schema: schema, Writer: m.cfg.Writer, BootID: m.bootID,
		Keep: keepBackups, Check: check}
}

// configure takes settings into use.
func (m *Memory) configure(s Settings) {
	m.cfg.Settings = s
	m.body.trim(s.KeepRestarts)
	m.history.MaxFileSize = s.MaxFileSize
	m.history.MaxSpan = s.Retention / 8 // a file goes as a whole once all of it is too old
	m.history.Keep = snapshot.Limits{Count: 1 << 20, Age: s.Retention, Spare: 1}
}

// loadPorts finds out whether the ports of this boot are remembered.
func (m *Memory) loadPorts() {
	got, err := m.ports.Load()
	m.report(&got, err, m.cfg.StateFile)
	switch {
	case err != nil:
	case m.bootID == "" || got.BootID != m.bootID:
		m.cfg.Log.Info("the state file is of another boot", "file", got.Source)
	default:
		m.remembered = true
		m.cfg.Families.savedAt.At(fileState).Set(unix(got.SavedAt))
	}
	if err == nil && got.Recovered {
		m.recovered = got.Source
	}
}

// loadMetrics takes up the counters where they were left.
func (m *Memory) loadMetrics() {
	got, err := m.metrics.Load()
	m.report(&got, err, m.metrics.Path)
	if err != nil {
		return
	}
	found := m.body.Counters // what loading itself has counted
	var body metricsBody
	if err := json.Unmarshal(got.Body, &body); err != nil {
		m.cfg.Log.Error("cannot use the stored metrics", "file", got.Source, "error", err)
		return
	}
	if !slices.Equal(body.Sync.Bounds, syncBounds) {
		body.Sync = m.body.Sync // counted by other bounds
	}
	m.body, m.based, m.durable = body, true, true
	if found != (Counters{}) {
		m.body.Counters.CorruptionsDetected += found.CorruptionsDetected
		m.body.Counters.StateRecoveries += found.StateRecoveries
		m.durable = false
	}
	m.cfg.Families.savedAt.At(fileMetrics).Set(unix(got.SavedAt))
}

// report counts and logs what was wrong with a file.
func (m *Memory) report(got *snapshot.Loaded, err error, path string) {
	for _, p := range got.Problems {
		switch {
		case errors.Is(p.Err, snapshot.ErrCorrupt):
			m.body.Counters.CorruptionsDetected++
			m.cfg.Log.Error("a file is damaged", "file", p.Path, "error", p.Err, "aside", p.Aside)
		case !errors.Is(p.Err, fs.ErrNotExist):
			m.cfg.Log.Error("a file cannot be used", "file", p.Path, "error", p.Err, "aside", p.Aside)
		}
	}
	switch {
	case err == nil && got.Recovered:
		m.body.Counters.StateRecoveries++
		m.cfg.Log.Warn("a backup stands in", "file", path, "backup", got.Source, "saved", got.SavedAt)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		m.cfg.Log.Error("nothing is remembered", "file", path, "error", err)
	}
}

// Remembered reports whether a good state file of this boot was found.
func (m *Memory) Remembered() bool { return m.remembered }

// Faulty reports whether files cannot be written at present.
func (m *Memory) Faulty() bool { return m.faulty.Load() }

// Restarted takes the record of this start.
func (m *Memory) Restarted(r Restart) {
	r.RecoveredFrom = m.recovered
	select {
	case m.restarts <- r:
	default: // a process has one start
	}
}

// PortsChanged takes the ports as they are now; the slice is Memory's from here.
func (m *Memory) PortsChanged(ports []Port) {
	select {
	case <-m.changes: // the one before was not taken yet and is out of date
	default:
	}
	m.changes <- ports
}

// Stale says that the state file does not belong to what the databases show: it
// is set aside.
func (m *Memory) Stale() {
	select {
	case m.forget <- struct{}{}:
	default:
	}
}

// Reload hands new settings over.
func (m *Memory) Reload(s Settings) {
	select {
	case <-m.reloads:
	default:
	}
	m.reloads <- s
}

// expose shows the counters, unless a restart could bring lower ones back.
func (m *Memory) expose() {
	if m.based && !m.durable {
		return
	}
	if err := m.cfg.Families.show(&m.body); err != nil {
		m.cfg.Log.Error("cannot show the stored metrics", "error", err)
	}
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// Run owns the files until ctx ends, and then saves what is left.
func (m *Memory) Run(ctx context.Context) {
	m.makeDirectories()
	m.saveMetrics()
	interval := time.NewTimer(m.cfg.SaveInterval)
	defer interval.Stop()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			m.finish()
			return
		case r := <-m.restarts:
			m.body.add(r, m.cfg.KeepRestarts)
			m.durable = false
			m.saveMetrics()
		case ports := <-m.changes:
			m.latest = ports
			m.savePorts()
		case <-m.forget:
			m.setAside()
		case s := <-m.reloads:
			m.configure(s)
			interval.Reset(s.SaveInterval)
		case <-interval.C:
			m.periodic()
			interval.Reset(m.cfg.SaveInterval)
		case <-retry:
			m.again()
		}
		retry = nil
		if m.pause > 0 {
			retry = time.After(m.pause)
		}
	}
}
