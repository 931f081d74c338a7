package warmrestart

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portsyncd/internal/snapshot"
)

// Config configures a [Recorder].
type Config struct {
	StateFile   string // absolute path of the state file; "" disables it
	StoragePath string // absolute path of the directory for all other files; "" disables them
	// MadeDirs lists the directories on the path of the exports that were chosen by the daemon
	// rather than the administrator. Earlier versions created them with mode 0750.
	MadeDirs []string
	// Lock is the lock of StoragePath. While another process holds it, no file is read or written.
	// If Lock is nil, the directory is not locked.
	Lock     *snapshot.DirLock
	Writer   string // name and version of the program
	Log      *slog.Logger
	Families *Families
	FS       snapshot.FS // nil means snapshot.OS

	// Sample returns one line of the history: a JSON object that contains the member "time" and the
	// given counters. Run calls Sample once per save interval. If Sample is nil, no history is
	// written.
	Sample func(Counters) []byte
	// Text and JSON append the metrics in the export formats. They are called by Run.
	Text, JSON func(b []byte) []byte
	// OnChange is called by Run after the result of Problems or Restarts changes. It must not
	// block. It may be nil.
	OnChange func()

	Settings
}

// Settings holds the configuration that Reload can change.
type Settings struct {
	SaveInterval time.Duration // time between samples and between exports; must be positive
	Retention    time.Duration // maximum age of history files and backups
	MaxFileSize  int64         // size in bytes at which a new history file is started
	KeepRestarts int           // number of restart records to keep
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

// Recorder stores the data that must survive a restart. New creates a Recorder, and Run reads and
// writes its files.
type Recorder struct {
	cfg    Config
	bootID string

	// The following fields are written while the files are read.
	readOnce      sync.Once
	stateRead     chan struct{} // closed when the state file has been read
	loaded        chan struct{} // closed when all files have been read
	found         Counters      // of the state file, to be added to those of metrics.json
	mayRead       bool          // no other process has the lock
	hasState      bool          // a good state file of this boot was found
	loadedPorts   []Port        // ports in that file
	recoveredFrom string        // backup that replaced the state file; "" if none
	previousEnd   string        // how the previous process ended, as in Restart.Ended
	lastAlive     time.Time     // when the previous process was last known to be running; zero if unknown

	restarts chan Restart
	changes  chan []Port
	reloads  chan Settings
	wake     chan struct{}

	discarded bool        // owned by the goroutine that calls HasState and DiscardState
	discard   atomic.Bool // the state file must be set aside
	stopping  atomic.Bool // the process was asked to stop

	// Run owns the following fields.
	body           metricsBody
	decoded        metricsBody // body decoded by the last check of metrics.json
	persisted      bool        // metrics.json was read or written, so a restart will read it
	pendingPorts   []Port      // ports to write; nil if there are none
	unread         bool        // read metrics.json when the lock is acquired
	late           bool        // metrics.json is being read after startup
	exportsChecked bool        // the modes of the directories of the exports were checked
	ports          snapshot.File
	metrics        snapshot.File
	history        snapshot.Log
	tasks          [numFiles]task
	loggedCauses   []error // causes of current problems that have been logged

	// Any goroutine may read the following fields.
	dirtyTimes  [numFiles]dirtyTime
	failures    atomic.Pointer[[]snapshot.Failure]
	loadingLate atomic.Bool               // the stored files could not be read in time and are still being read
	published   atomic.Pointer[[]Restart] // body.Restarts
	busySince   atomic.Int64              // start of the write in progress, nanoseconds since 1970; 0 if none
}

// LoadTimeout is the time allowed for reading the stored files at startup. If the disk takes longer,
// the daemon starts without them.
const LoadTimeout = 5 * time.Second

// New returns a Recorder. It does not access the disk, so that the start of the daemon does not
// wait for files that are not needed yet. HasState reads the state file, and Run reads all files.
func New(cfg Config) *Recorder {
	rec := &Recorder{
		cfg:      cfg,
		body:     newMetricsBody(),
		restarts: make(chan Restart, 4),
		changes:  make(chan []Port, 1),
		reloads:  make(chan Settings, 1),
		wake:     make(chan struct{}, 1),

		stateRead: make(chan struct{}),
		loaded:    make(chan struct{}),
	}
	rec.makeTasks()
	return rec
}

// configure applies settings.
func (rec *Recorder) configure(s Settings) {
	rec.cfg.Settings = s
	rec.ports.Keep = snapshot.Limits{Count: 5, Age: s.Retention, Bytes: 32 << 20}
	// Keep the copies of two versions. Backups of metrics.json are for recovery, not history.
	rec.metrics.Keep = snapshot.Limits{Count: 2 * metricsCopies, Age: s.Retention, Spare: metricsCopies, Bytes: 32 << 20}
	rec.history.MaxFileSize = s.MaxFileSize
	rec.history.MaxSpan = s.Retention / 8 // a file is removed only when all its samples are too old
	rec.history.Keep = snapshot.Limits{Count: 1 << 20, Age: s.Retention}
	if rec.body.trim(s.KeepRestarts) {
		rec.markDirty(fileMetrics)
	}
	rec.publishRestarts()
}

// Loaded returns a channel that is closed when Run has read the stored files.
func (rec *Recorder) Loaded() <-chan struct{} { return rec.loaded }

// Ports returns the ports in the state file, or nil if there is no valid state file from the
// current boot. The caller owns the result. Ports must be called at most once, after Loaded is
// closed.
func (rec *Recorder) Ports() []Port {
	ports := rec.loadedPorts
	rec.loadedPorts = nil
	return ports
}

// Previous returns how the previous process ended (see Restart.Ended) and when it was last known to
// be running, which is zero if unknown. It must be called after Loaded is closed.
func (rec *Recorder) Previous() (ended string, alive time.Time) {
	return rec.previousEnd, rec.lastAlive
}

// HasState reports whether there is a valid state file from the current boot that has not been
// discarded. If the file has not been read yet, HasState reads it. It returns false if the disk does
// not respond within LoadTimeout. HasState and DiscardState must be called from the same goroutine.
func (rec *Recorder) HasState() bool {
	rec.beginReading()
	select {
	case <-rec.stateRead:
		return rec.hasState && !rec.discarded
	case <-time.After(LoadTimeout):
		return false
	}
}

// DiscardState marks a state file of the current boot as inconsistent with the databases. Run sets
// the file aside before it writes any ports.
func (rec *Recorder) DiscardState() {
	if rec.discarded {
		return
	}
	rec.discarded = true
	rec.discard.Store(true)
	select {
	case rec.wake <- struct{}{}:
	default:
	}
}

// RecordRestart stores the record of this start and counts it. It must be called at most once per
// process and is safe for concurrent use.
func (rec *Recorder) RecordRestart(r Restart) {
	select {
	case rec.restarts <- r:
	default: // called more than once
	}
}

// RecordStop records that the process was asked to stop, so the next start is not counted as
// following a crash. It must be called before Run's context is done and is safe for concurrent use.
func (rec *Recorder) RecordStop() { rec.stopping.Store(true) }

// RecordPorts stores the current ports, which may be in any order. The Recorder takes ownership of
// the slice. Only one goroutine may call RecordPorts.
func (rec *Recorder) RecordPorts(ports []Port) { replaceValue(rec.changes, ports) }

// Reload applies new settings. Only one goroutine may call Reload.
func (rec *Recorder) Reload(s Settings) { replaceValue(rec.reloads, s) }

// replaceValue sends v on c and discards any unreceived value. It does not block if c has a buffer
// of one and a single sender.
func replaceValue[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// Restarts returns the stored records, oldest first. The caller must not modify them. Restarts does
// not block and is safe for concurrent use.
func (rec *Recorder) Restarts() []Restart {
	if all := rec.published.Load(); all != nil {
		return *all
	}
	return nil
}

// publishRestarts updates the result of Restarts. It clips the slice so that later appends do not
// write to the published array.
func (rec *Recorder) publishRestarts() {
	all := slices.Clip(rec.body.Restarts)
	rec.published.Store(&all)
}

// diskTimeout is the duration after which Problems reports a write as stuck.
const diskTimeout = 10 * time.Second

// Problems returns one sentence for each reason why files cannot be written or read. others are the
// failures of files that another component writes. Problems is safe for concurrent use.
func (rec *Recorder) Problems(others ...snapshot.Failure) []string {
	var failures []snapshot.Failure
	if now := rec.failures.Load(); now != nil {
		failures = *now
	}
	all := snapshot.DescribeFailures(slices.Concat(failures, others))
	if rec.loadingLate.Load() {
		all = append(all, "the disk did not answer when the process started")
	}
	if since := rec.busySince.Load(); since != 0 {
		if busy := time.Duration(time.Now().UnixNano() - since); busy > diskTimeout {
			all = append(all, "the disk has not answered for "+busy.Truncate(time.Second).String())
		}
	}
	return all
}

// expose sets the metrics to the stored counters. It does nothing while metrics.json contains older
// values, because the counters would then decrease after a restart.
func (rec *Recorder) expose() {
	if rec.persisted && rec.tasks[fileMetrics].dirty {
		return
	}
	if err := rec.cfg.Families.show(&rec.body); err != nil {
		panic(err) // the body and the histogram have the same bounds
	}
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
