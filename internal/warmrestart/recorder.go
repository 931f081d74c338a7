package warmrestart

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"portsyncd/internal/snapshot"
)

// Config configures a [Recorder].
type Config struct {
	StateFile   string // absolute path of the state file; "" disables it
	StoragePath string // absolute path of the directory for all other files; "" disables them
	// MadeDirs are the directories on the path of the exports that the daemon chose, not the
	// administrator. Earlier versions created them with mode 0750.
	MadeDirs []string
	// Lock is the lock of StoragePath. While another process has it, no file is read or written.
	// nil: the directory is not locked.
	Lock     *snapshot.DirLock
	Writer   string // name and version of the program
	Log      *slog.Logger
	Families *Families
	FS       snapshot.FS // nil means snapshot.OS

	// Sample returns one line of the history: a JSON object with the member "time" and these
	// counters. Run calls it once per save interval. If it is nil, no history is written.
	Sample func(Counters) []byte
	// Text and JSON append the metrics in the formats of the exports. Run calls them.
	Text, JSON func(b []byte) []byte
	// OnChange, unless nil, is called by Run after the results of Problems or Restarts
	// changed. It must not block.
	OnChange func()

	Settings
}

// Settings are the part of Config that Reload can change.
type Settings struct {
	SaveInterval time.Duration // between two samples and exports; above 0
	Retention    time.Duration // age at which history and backups are removed
	MaxFileSize  int64         // size in bytes at which a new history file begins
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

// Recorder stores what has to survive a restart. Open creates it, and Run writes its files.
type Recorder struct {
	cfg    Config
	bootID string

	// The goroutine that calls HasState and DiscardState owns hasState.
	hasState      bool      // a good state file of this boot was found
	loadedPorts   []Port    // of that file
	recoveredFrom string    // backup that replaced the state file; "" if none
	previousEnd   string    // how the previous process ended, as in Restart.Ended
	lastAlive     time.Time // last sign of life of the previous process; zero if unknown

	restarts chan Restart
	changes  chan []Port
	reloads  chan Settings
	wake     chan struct{}
	discard  atomic.Bool // the state file has to be set aside
	stopping atomic.Bool // the process is ending because it was asked to

	// Run owns the following fields.
	body           metricsBody
	loaded         metricsBody // body that the last check of metrics.json decoded, while loading
	persisted      bool        // metrics.json was read or written, so that a restart would read it
	pendingPorts   []Port      // ports to write; nil if there are none
	unread         bool        // metrics.json is to be read once the lock is acquired
	late           bool        // it is being read after the start
	exportsChecked bool        // the modes of the directories of the exports were checked
	ports          snapshot.File
	metrics        snapshot.File
	history        snapshot.Log
	tasks          [numFiles]task
	loggedCauses   []error // causes of the present problems that are in the log

	// Any goroutine may read the following fields.
	dirtyTimes [numFiles]dirtyTime
	problems   atomic.Pointer[[]string]
	published  atomic.Pointer[[]Restart] // body.Restarts
	busySince  atomic.Int64              // start of the write in progress, nanoseconds since 1970; 0 if none
}

// openTimeout is how long Open waits for the disk.
const openTimeout = 5 * time.Second

// Open reads the stored files. Damaged files are set aside and counted, and a backup or an
// empty state replaces them. If the disk does not respond within openTimeout, the Recorder
// starts empty and writes nothing.
func Open(cfg Config) *Recorder {
	rec, loaded := newRecorder(cfg), make(chan struct{})
	go func() {
		rec.load()
		close(loaded)
	}()
	select {
	case <-loaded:
		rec.configure(cfg.Settings)
		rec.expose()
		return rec
	case <-time.After(openTimeout):
		return openWithoutDisk(cfg)
	}
}

// openWithoutDisk returns a Recorder that reads and writes no files.
func openWithoutDisk(cfg Config) *Recorder {
	cfg.Log.Error("disk does not respond; starting without stored state and storing nothing", "timeout", openTimeout)
	cfg.StateFile, cfg.StoragePath, cfg.Lock = "", "", nil
	rec := newRecorder(cfg)
	rec.configure(cfg.Settings)
	rec.cfg.Families.diskFaulty.Set(1)
	rec.problems.Store(&[]string{"the disk did not answer when the process started"})
	rec.expose()
	return rec
}

func newRecorder(cfg Config) *Recorder {
	rec := &Recorder{
		cfg:      cfg,
		body:     newMetricsBody(),
		restarts: make(chan Restart, 4),
		changes:  make(chan []Port, 1),
		reloads:  make(chan Settings, 1),
		wake:     make(chan struct{}, 1),
	}
	rec.makeTasks()
	return rec
}

// configure applies settings.
func (rec *Recorder) configure(s Settings) {
	rec.cfg.Settings = s
	rec.ports.Keep = snapshot.Limits{Count: 5, Age: s.Retention, Bytes: 32 << 20}
	// Room for the copies of two contents: backups of metrics.json are for recovery, not history.
	rec.metrics.Keep = snapshot.Limits{Count: 2 * metricsCopies, Age: s.Retention, Spare: metricsCopies, Bytes: 32 << 20}
	rec.history.MaxFileSize = s.MaxFileSize
	rec.history.MaxSpan = s.Retention / 8 // a file is removed as a whole, once all of it is too old
	rec.history.Keep = snapshot.Limits{Count: 1 << 20, Age: s.Retention}
	if rec.body.trim(s.KeepRestarts) {
		rec.markDirty(fileMetrics)
	}
	rec.publishRestarts()
}

// Ports returns the ports of a good state file of this boot, or nil. The result belongs to the
// caller. Ports must be called before Run, and once.
func (rec *Recorder) Ports() []Port {
	ports := rec.loadedPorts
	rec.loadedPorts = nil
	return ports
}

// Previous returns how the previous process ended, as in Restart.Ended, and its last sign of life,
// which is zero if there is no record of it.
func (rec *Recorder) Previous() (ended string, alive time.Time) {
	return rec.previousEnd, rec.lastAlive
}

// HasState reports whether a good state file of this boot was found and has not been
// discarded. HasState and DiscardState must be called from the same goroutine.
func (rec *Recorder) HasState() bool { return rec.hasState }

// DiscardState tells the Recorder that the state file does not match the databases. Run sets
// the file aside before it writes any ports.
func (rec *Recorder) DiscardState() {
	if !rec.hasState {
		return
	}
	rec.hasState = false
	rec.cfg.Log.Info("databases were flushed; setting the outdated state file aside", "file", rec.ports.Path)
	rec.discard.Store(true)
	select {
	case rec.wake <- struct{}{}:
	default:
	}
}

// RecordRestart stores the record of this start and adds it to the counters. It may be
// called from any goroutine, once per process.
func (rec *Recorder) RecordRestart(r Restart) {
	r.RecoveredFrom, r.LastAlive, r.Ended = rec.recoveredFrom, rec.lastAlive, rec.previousEnd
	select {
	case rec.restarts <- r:
	default: // more calls than a process has starts
	}
}

// RecordStop notes that the process was asked to end, so that the next start does not count
// as one after a crash. It may be called from any goroutine, before Run's context ends.
func (rec *Recorder) RecordStop() { rec.stopping.Store(true) }

// RecordPorts stores the current ports, in any order. The Recorder takes ownership of the
// slice. Only one goroutine may call RecordPorts.
func (rec *Recorder) RecordPorts(ports []Port) { replaceValue(rec.changes, ports) }

// Reload applies new settings. Only one goroutine may call Reload.
func (rec *Recorder) Reload(s Settings) { replaceValue(rec.reloads, s) }

// replaceValue sends v in place of a value that was not received yet. c must have a buffer
// of one and a single sender; then the send does not block.
func replaceValue[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// Restarts returns the stored records, oldest first. The caller must not modify them. It may
// be called from any goroutine and does not block.
func (rec *Recorder) Restarts() []Restart {
	if all := rec.published.Load(); all != nil {
		return *all
	}
	return nil
}

// publishRestarts makes the present records the result of Restarts. The slice is clipped, so
// that a later append does not write to it.
func (rec *Recorder) publishRestarts() {
	all := slices.Clip(rec.body.Restarts)
	rec.published.Store(&all)
}

// diskTimeout is how long one write may take before Problems reports it.
const diskTimeout = 10 * time.Second

// Problems returns one sentence for each file that cannot be written, with the reason, or nil
// if there is none. It may be called from any goroutine.
func (rec *Recorder) Problems() []string {
	var all []string
	if now := rec.problems.Load(); now != nil {
		all = *now
	}
	if since := rec.busySince.Load(); since != 0 {
		if busy := time.Duration(time.Now().UnixNano() - since); busy > diskTimeout {
			all = append(all[:len(all):len(all)], "the disk has not answered for "+busy.Truncate(time.Second).String())
		}
	}
	return all
}

// expose sets the metrics to the stored counters. It does nothing while metrics.json has
// older values, since a restart would make the counters decrease.
func (rec *Recorder) expose() {
	if rec.persisted && rec.tasks[fileMetrics].dirty {
		return
	}
	if err := rec.cfg.Families.show(&rec.body); err != nil {
		panic(err) // the body and the histogram have the same bounds
	}
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
