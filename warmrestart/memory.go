package warmrestart

import (
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
	StateFile   string // absolute path, of the ports; "" to remember none
	StoragePath string // absolute path of the directory for all else; "" to keep nothing
	Writer      string // name and version of the program
	Log         *slog.Logger
	Families    *Families
	FS          snapshot.FS // nil means that of the machine

	// Sample makes one line of the history, a JSON object, which is to have the
	// field "time" and the counters; nil: no history is kept. Run calls it.
	Sample func(Counters) []byte
	// Text and JSON append the metrics for the exports. Run calls them.
	Text, JSON func(b []byte) []byte
	// Troubled, unless nil, is called by Run when there is something else to say in
	// Trouble. It must not wait.
	Troubled func()

	Settings
}

// Settings can change while running.
type Settings struct {
	SaveInterval time.Duration // between two samples and exports, above 0
	Retention    time.Duration // age at which history and backups are removed
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

// Memory is what the daemon remembers. Open makes it and Run keeps it.
type Memory struct {
	cfg    Config
	bootID string

	// Remembered and Stale are called by the same goroutine, which owns these.
	remembered bool      // the state file is of this boot
	recovered  string    // the backup that stood in for the state file
	lastAlive  time.Time // last sign of life of the process before; zero: none

	restarts chan Restart
	changes  chan []Port
	reloads  chan Settings
	wake     chan struct{}
	stale    atomic.Bool // the state file is to be set aside

	// What follows belongs to Run.
	body    metricsBody
	based   bool   // there is, or was, something on the disk to come back to
	latest  []Port // not saved yet; nil if nothing is
	ports   snapshot.File
	metrics snapshot.File
	history snapshot.Log
	chores  [numFiles]chore
	logged  []error // causes of the present trouble that the log has

	debts   [numFiles]debt
	trouble atomic.Pointer[[]string]
	known   atomic.Pointer[[]Restart] // body.Restarts, for others
	writing atomic.Int64              // since when the disk has been busy with one file, nanoseconds since 1970; 0: it is not
}

// openFor is how long the start waits for the disk.
const openFor = 5 * time.Second

// Open reads what there is. It never fails: what is damaged is set aside and
// counted, and a backup or nothing takes its place. From a disk that does not
// answer nothing is remembered, and nothing is written to it in this run.
func Open(cfg Config) *Memory {
	m, loaded := newMemory(cfg), make(chan struct{})
	go func() {
		m.load()
		close(loaded)
	}()
	select {
	case <-loaded:
		m.configure(cfg.Settings)
		m.expose()
		return m
	case <-time.After(openFor):
		return withoutDisk(cfg)
	}
}

// withoutDisk returns a Memory that keeps nothing.
func withoutDisk(cfg Config) *Memory {
	cfg.Log.Error("the disk does not answer, nothing is remembered", "waited", openFor)
	cfg.StateFile, cfg.StoragePath = "", ""
	m := newMemory(cfg)
	m.configure(cfg.Settings)
	m.cfg.Families.diskFaulty.Set(1)
	m.trouble.Store(&[]string{"the disk did not answer when the process started"})
	m.expose()
	return m
}

func newMemory(cfg Config) *Memory {
	m := &Memory{
		cfg:      cfg,
		body:     newMetricsBody(),
		restarts: make(chan Restart, 4),
		changes:  make(chan []Port, 1),
		reloads:  make(chan Settings, 1),
		wake:     make(chan struct{}, 1),
	}
	m.makeChores()
	return m
}

// load reads the files.
func (m *Memory) load() {
	id, err := snapshot.BootID()
	if err != nil {
		m.cfg.Log.Warn("the boot has no identifier, no start will be warm by the state file", "error", err)
	}
	m.bootID = id
	m.history = snapshot.Log{Path: filepath.Join(m.cfg.StoragePath, historyFile), At: sampleTime, FS: m.cfg.FS}
	m.ports = m.file(m.cfg.StateFile, portsSchema, checkPorts)
	m.metrics = m.file(filepath.Join(m.cfg.StoragePath, metricsFile), metricsSchema, checkMetrics)
	if m.cfg.StateFile != "" {
		m.loadPorts()
	}
	if m.cfg.StoragePath != "" {
		m.loadMetrics()
		m.loadHistory()
	}
}

func (m *Memory) file(path string, schema int, check func(int, []byte) error) snapshot.File {
	return snapshot.File{Path: path, Schema: schema, Writer: m.cfg.Writer, BootID: m.bootID, Check: check, FS: m.cfg.FS}
}

// configure takes settings into use.
func (m *Memory) configure(s Settings) {
	m.cfg.Settings = s
	m.ports.Keep = snapshot.Limits{Count: 5, Age: s.Retention, Bytes: 32 << 20}
	m.metrics.Keep = m.ports.Keep
	m.history.MaxFileSize = s.MaxFileSize
	m.history.MaxSpan = s.Retention / 8 // a file goes as a whole once all of it is too old
	m.history.Keep = snapshot.Limits{Count: 1 << 20, Age: s.Retention}
	if m.body.trim(s.KeepRestarts) {
		m.owe(fileMetrics)
	}
	m.publish()
}

// loadPorts finds out whether the ports of this boot are remembered.
func (m *Memory) loadPorts() {
	got, err := m.ports.Load()
	m.report(&got, err, m.ports.Path)
	if err != nil {
		return
	}
	m.wasAlive(got.SavedAt)
	if got.Recovered {
		m.recovered = got.Source
	}
	if m.bootID == "" || got.BootID != m.bootID {
		m.cfg.Log.Info("the state file is of another boot", "file", got.Source)
		return
	}
	m.remembered = true
	m.cfg.Families.savedAt.At(fileState).Set(unixSeconds(got.SavedAt))
}

// loadMetrics takes up the counters where they were left.
func (m *Memory) loadMetrics() {
	got, err := m.metrics.Load()
	m.report(&got, err, m.metrics.Path)
	counted := m.body.Counters // by loading itself
	if err == nil {
		var body metricsBody
		if err := json.Unmarshal(got.Body, &body); err != nil {
			panic(err) // checkMetrics has read it
		}
		if !slices.Equal(body.Sync.Bounds, syncBounds) {
			body.Sync = m.body.Sync // counted by other bounds
		}
		m.body, m.based = body, true
		m.body.Counters.CorruptionsDetected += counted.CorruptionsDetected
		m.body.Counters.StateRecoveries += counted.StateRecoveries
		m.wasAlive(got.SavedAt)
		m.cfg.Families.savedAt.At(fileMetrics).Set(unixSeconds(got.SavedAt))
	}
	if err != nil || counted != (Counters{}) {
		m.owe(fileMetrics)
	}
}

// loadHistory looks when the last sample was taken.
func (m *Memory) loadHistory() {
	line, err := m.history.Last()
	if err != nil {
		m.cfg.Log.Warn("the last sample cannot be read", "error", err)
	}
	if at, ok := sampleTime(line); ok {
		m.wasAlive(at)
	}
}

// wasAlive notes a sign of life of the process before. One from the future is of
// a clock that has been set back since.
func (m *Memory) wasAlive(at time.Time) {
	if at.After(m.lastAlive) && !at.After(time.Now()) {
		m.lastAlive = at
	}
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

// Remembered reports whether a good state file of this boot was found. It and
// Stale belong to one goroutine.
func (m *Memory) Remembered() bool { return m.remembered }

// Stale says that the state file does not belong to what the databases show: it
// is set aside, before any later PortsChanged is written.
func (m *Memory) Stale() {
	if !m.remembered {
		return
	}
	m.remembered = false
	m.cfg.Log.Info("the databases were flushed, the state file is stale and set aside", "file", m.ports.Path)
	m.stale.Store(true)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Restarted takes the record of this start. It may be called from any goroutine.
func (m *Memory) Restarted(r Restart) {
	r.RecoveredFrom, r.LastAlive = m.recovered, m.lastAlive
	select {
	case m.restarts <- r:
	default: // a process has one start
	}
}

// Restarts returns the records that are kept, newest last. Nobody may write to
// them. It may be called from any goroutine, and waits for nothing.
func (m *Memory) Restarts() []Restart {
	if known := m.known.Load(); known != nil {
		return *known
	}
	return nil
}

// publish shows the records. What is appended to them later is beyond their end.
func (m *Memory) publish() {
	known := slices.Clip(m.body.Restarts)
	m.known.Store(&known)
}

// PortsChanged takes the ports as they are now, in any order; the slice is
// Memory's from here. It is called by one goroutine.
func (m *Memory) PortsChanged(ports []Port) { replace(m.changes, ports) }

// Reload hands new settings over. It is called by one goroutine.
func (m *Memory) Reload(s Settings) { replace(m.reloads, s) }

// replace puts v in place of what was not taken yet and is out of date. c has
// room for one, and one goroutine sends, so it never blocks.
func replace[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// stuckAfter is how long the disk may take with one file before that is trouble.
const stuckAfter = 10 * time.Second

// Trouble says what cannot be written at present and why, a sentence for each
// file; nil if all is well. It may be called from any goroutine.
func (m *Memory) Trouble() []string {
	var all []string
	if now := m.trouble.Load(); now != nil {
		all = *now
	}
	if since := m.writing.Load(); since != 0 {
		if busy := time.Duration(time.Now().UnixNano() - since); busy > stuckAfter {
			all = append(all[:len(all):len(all)], "the disk has not answered for "+busy.Truncate(time.Second).String())
		}
	}
	return all
}

// expose shows the counters, unless a restart could bring lower ones back.
func (m *Memory) expose() {
	if m.based && m.chores[fileMetrics].owed {
		return
	}
	if err := m.cfg.Families.show(&m.body); err != nil {
		panic(err) // the buckets were counted by the same bounds
	}
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
