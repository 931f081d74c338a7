package warmrestart

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"portsyncd/internal/snapshot"
)

// Config says what is remembered and where.
type Config struct {
	StateFile   string // absolute path, of the ports; "" to remember none
	StoragePath string // absolute path of the directory for all else; "" to keep nothing
	// MadeDirs are directories on the path of the exports that the daemon, not the
	// administrator, has chosen. Earlier versions made them with mode 0750.
	MadeDirs []string
	Writer   string // name and version of the program
	Log      *slog.Logger
	Families *Families
	FS       snapshot.FS // nil means that of the machine

	// Sample makes one line of the history, a JSON object, which is to have the
	// field "time" and the counters; nil: no history is kept. Run calls it.
	Sample func(Counters) []byte
	// Text and JSON append the metrics for the exports. Run calls them.
	Text, JSON func(b []byte) []byte
	// Troubled, unless nil, is called by Run when Trouble or Restarts return something
	// else. It must not wait.
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
	ended      string    // how the process before ended, as in Restart
	lastAlive  time.Time // last sign of life of the process before; zero: none

	restarts chan Restart
	changes  chan []Port
	reloads  chan Settings
	wake     chan struct{}
	stale    atomic.Bool // the state file is to be set aside
	stopped  atomic.Bool // the process ends on purpose

	// What follows belongs to Run.
	body    metricsBody
	loaded  metricsBody // what the last check of metrics.json decoded, while loading
	based   bool        // there is, or was, something on the disk to come back to
	latest  []Port      // not saved yet; nil if nothing is
	checked bool        // whether other users can read the exports
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
	cfg.Log.Error("disk does not answer; starting without stored state and storing nothing", "waited", openFor)
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
	m.metrics = m.file(filepath.Join(m.cfg.StoragePath, metricsFile), metricsSchema, decodeInto(&m.loaded))
	m.metrics.Copies = metricsCopies
	var found Counters
	if m.cfg.StateFile != "" {
		found = m.loadPorts()
	}
	if m.cfg.StoragePath != "" {
		m.loadMetrics(found)
	} else {
		m.body.Counters.add(found)
	}
}

func (m *Memory) file(path string, schema int, check func(int, []byte) error) snapshot.File {
	return snapshot.File{Path: path, Schema: schema, Writer: m.cfg.Writer, BootID: m.bootID, Check: check, FS: m.cfg.FS}
}

// configure takes settings into use.
func (m *Memory) configure(s Settings) {
	m.cfg.Settings = s
	m.ports.Keep = snapshot.Limits{Count: 5, Age: s.Retention, Bytes: 32 << 20}
	// Of two contents, which are there to go back to, not to be kept for long.
	m.metrics.Keep = snapshot.Limits{Count: 2 * metricsCopies, Age: s.Retention, Spare: metricsCopies, Bytes: 32 << 20}
	m.history.MaxFileSize = s.MaxFileSize
	m.history.MaxSpan = s.Retention / 8 // a file goes as a whole once all of it is too old
	m.history.Keep = snapshot.Limits{Count: 1 << 20, Age: s.Retention}
	if m.body.trim(s.KeepRestarts) {
		m.owe(fileMetrics)
	}
	m.publish()
}

// loadPorts finds out whether the ports of this boot are remembered, and returns how to
// count what was wrong with the state file.
func (m *Memory) loadPorts() (found Counters) {
	got, err := m.ports.Load()
	found = m.report(&got, err, m.ports.Path)
	if err != nil {
		return found
	}
	m.wasAlive(got.SavedAt)
	if got.Recovered {
		m.recovered = got.Source
	}
	if m.bootID == "" || got.BootID != m.bootID {
		m.cfg.Log.Info("state file is of another boot", "file", got.Source)
		return found
	}
	m.remembered = true
	m.cfg.Families.savedAt.At(fileState).Set(unixSeconds(got.SavedAt))
	return found
}

// metricsCopies is how many copies of metrics.json are kept beside it. The newest sample
// of the history may have the counters too.
const metricsCopies = 2

// loadMetrics takes up the counters where they were left and adds found to them. It finds
// out how the process before ended.
func (m *Memory) loadMetrics(found Counters) {
	got, err := m.metrics.Load()
	found.add(m.report(&got, err, m.metrics.Path))
	if err == nil {
		m.body, m.based = m.loaded, true
		if !slices.Equal(m.body.Sync.Bounds, syncBounds) {
			m.body.Sync = newMetricsBody().Sync // counted by other bounds
		}
		switch {
		case m.bootID != "" && got.BootID != "" && got.BootID != m.bootID:
			m.ended = Rebooted
		case !m.body.Stopped.IsZero():
			m.ended = Stopped
		}
		m.wasAlive(got.SavedAt)
		m.cfg.Families.savedAt.At(fileMetrics).Set(unixSeconds(got.SavedAt))
	}
	m.loaded = metricsBody{}
	stored := m.body.Counters
	m.loadHistory(metricsLost(&got, err))
	m.body.Counters.add(found)
	if err != nil || m.body.Counters != stored || !m.body.Stopped.IsZero() {
		m.owe(fileMetrics)
	}
	m.body.Stopped = time.Time{} // before this process can end in another way
}

// metricsLost reports whether there were counters newer than those that a load found:
// the file and all copies of its content are damaged.
func metricsLost(got *snapshot.Loaded, err error) bool {
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return got.Recovered && got.Tried > metricsCopies
}

// loadHistory looks when the last sample was taken, and takes its counters where they
// are ahead of those of metrics.json. lost says that metrics.json had newer ones.
func (m *Memory) loadHistory(lost bool) {
	line, err := m.history.Last()
	if err != nil {
		m.cfg.Log.Warn("cannot read the last sample", "error", err)
	}
	if at, ok := sampleTime(line); ok {
		m.wasAlive(at)
	}
	s, ok := lastSample(line)
	switch {
	case ok && m.body.Counters.raise(s.Restarts):
		m.cfg.Log.Warn("metrics.json is behind the history; took the counters of its newest sample, records and durations of the newest starts are lost",
			"sample", s.Time)
	case lost:
		m.cfg.Log.Error("metrics.json and its newest copies are damaged; counters, records and durations of the newest starts may be lost", "file", m.metrics.Path)
	default:
		return
	}
	grow(&m.body.Counters.Losses, 1)
}

// lastSample returns the sample of the last line, if its counters are what was written.
func lastSample(line []byte) (*Sample, bool) {
	var r lineReader
	s, ok := r.read(line)
	return s, ok && s != nil && s.RestartsSum == s.Restarts.Checksum()
}

// wasAlive notes a sign of life of the process before. One from the future is of
// a clock that has been set back since.
func (m *Memory) wasAlive(at time.Time) {
	if at.After(m.lastAlive) && !at.After(time.Now()) {
		m.lastAlive = at
	}
}

// report logs what was wrong with a file and returns how to count it.
func (m *Memory) report(got *snapshot.Loaded, err error, path string) (found Counters) {
	for _, p := range got.Problems {
		switch {
		case errors.Is(p.Err, snapshot.ErrCorrupt):
			m.cfg.Log.Error("file is damaged", "file", p.Path, "error", p.Err, "aside", p.Aside)
		case !errors.Is(p.Err, fs.ErrNotExist):
			m.cfg.Log.Error("cannot use file", "file", p.Path, "error", p.Err, "aside", p.Aside)
		}
	}
	if more := got.Tried - len(got.Problems); more > 0 {
		m.cfg.Log.Error("more files cannot be used", "file", path, "count", more)
	}
	found.CorruptionsDetected = uint64(got.Corrupt)
	switch {
	case err == nil && got.Recovered:
		found.StateRecoveries, found.CorruptionsRecovered = 1, uint64(got.Corrupt)
		m.cfg.Log.Warn("using a backup", "file", path, "backup", got.Source, "saved", got.SavedAt)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		m.cfg.Log.Error("no good file and no good backup; starting without", "file", path, "error", err)
	}
	return found
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
	r.RecoveredFrom, r.LastAlive, r.Ended = m.recovered, m.lastAlive, m.ended
	select {
	case m.restarts <- r:
	default: // a process has one start
	}
}

// Stopping says that the process ends because it was asked to, so that the next start
// does not count as one after a crash. It may be called from any goroutine, before Run's
// context ends.
func (m *Memory) Stopping() { m.stopped.Store(true) }

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
