package warmrestart

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"portsyncd/internal/snapshot"
)

// load reads the stored files. It sets corrupt files aside, counts them, and uses a backup or an
// empty state instead. If the disk takes longer than LoadTimeout, Problems reports this until the
// files have been read. load must only be called by Run.
func (rec *Recorder) load() {
	select {
	case <-rec.loaded:
		return
	default:
	}
	reported := make(chan struct{})
	late := time.AfterFunc(LoadTimeout, func() {
		rec.reportSlowDisk()
		close(reported)
	})
	rec.beginReading()
	<-rec.stateRead
	switch {
	case !rec.mayRead:
		rec.markDirty(fileMetrics) // so that Run tries again at once, and reports the other process
	case rec.cfg.StoragePath != "":
		rec.loadMetrics(rec.found)
	default:
		rec.body.Counters.add(rec.found)
	}
	rec.configure(rec.cfg.Settings)
	rec.expose()
	if !late.Stop() {
		<-reported
		rec.loadingLate.Store(false)
		rec.cfg.Families.diskFaulty.Set(0)
		rec.cfg.Log.Warn("disk responds again; the stored files were read late")
	}
	close(rec.loaded)
	if rec.cfg.OnChange != nil {
		rec.cfg.OnChange()
	}
}

// reportSlowDisk reports that the stored files cannot be read in time.
func (rec *Recorder) reportSlowDisk() {
	rec.cfg.Log.Error("disk does not respond; starting without stored data", "timeout", LoadTimeout)
	rec.cfg.Families.diskFaulty.Set(1)
	rec.loadingLate.Store(true)
	if rec.cfg.OnChange != nil {
		rec.cfg.OnChange()
	}
}

// beginReading starts to read the state file, unless this has been started already. The file is
// read on a separate goroutine, which closes stateRead.
func (rec *Recorder) beginReading() {
	rec.readOnce.Do(func() {
		go func() {
			rec.readState()
			close(rec.stateRead)
		}()
	})
}

// readState prepares the files and reads the state file.
func (rec *Recorder) readState() {
	id, err := snapshot.BootID()
	if err != nil {
		rec.cfg.Log.Warn("cannot read the boot ID; ignoring the state file", "error", err)
	}
	rec.bootID = id
	rec.history = snapshot.Log{Path: filepath.Join(rec.cfg.StoragePath, historyFile), At: sampleTime, FS: rec.cfg.FS}
	rec.ports = rec.file(rec.cfg.StateFile, portsSchema, rec.keepPorts)
	rec.metrics = rec.file(filepath.Join(rec.cfg.StoragePath, metricsFile), metricsSchema, decodeInto(&rec.decoded))
	rec.metrics.Copies, rec.metrics.Older = metricsCopies, olderMetrics
	rec.mayRead = rec.lockFirst()
	if rec.mayRead && rec.cfg.StateFile != "" {
		rec.found = rec.loadPorts()
	}
}

func (rec *Recorder) file(path string, schema int, check func(int, []byte) error) snapshot.File {
	return snapshot.File{Path: path, Schema: schema, Writer: rec.cfg.Writer, BootID: rec.bootID, Check: check, FS: rec.cfg.FS}
}

// keepPorts checks the body of a state file and stores its ports in loadedPorts.
func (rec *Recorder) keepPorts(_ int, body []byte) (err error) {
	rec.loadedPorts, err = decodePorts(body)
	return err
}

// loadPorts reads the state file and sets hasState. It returns the numbers of corrupt and recovered
// files to add to the counters.
func (rec *Recorder) loadPorts() (found Counters) {
	got, err := rec.ports.Load()
	found = rec.logLoad(&got, err, rec.ports.Path)
	if err != nil {
		rec.loadedPorts = nil
		return found
	}
	rec.sawAlive(got.SavedAt)
	if got.Recovered {
		rec.recoveredFrom = got.Source
	}
	if rec.bootID == "" || got.BootID != rec.bootID {
		rec.loadedPorts = nil
		rec.cfg.Log.Info("state file is from another boot; ignoring it", "file", got.Source)
		return found
	}
	rec.hasState = true
	rec.cfg.Families.savedAt.At(fileState).Set(unixSeconds(got.SavedAt))
	return found
}

// metricsCopies is the number of copies kept beside metrics.json. The newest sample of the
// history has the counters as well.
const metricsCopies = 2

// olderMetrics reports whether the body of metrics.json has lower counters than that of its newest
// copy.
func olderMetrics(body, newest []byte) bool {
	var a, b metricsBody
	return decodeInto(&a)(metricsSchema, body) == nil && decodeInto(&b)(metricsSchema, newest) == nil && a.Counters.raise(b.Counters)
}

// loadMetrics reads metrics.json and the end of the history, and adds found to the counters.
// It also determines how the previous process ended.
func (rec *Recorder) loadMetrics(found Counters) {
	got, err := rec.metrics.Load()
	found.add(rec.logLoad(&got, err, rec.metrics.Path))
	if err == nil {
		rec.body, rec.persisted = rec.decoded, true
		if !slices.Equal(rec.body.Sync.Bounds, syncBounds) {
			rec.body.Sync = newMetricsBody().Sync // counts of other buckets cannot be converted
		}
		switch {
		case rec.late: // a process that ran meanwhile wrote it
		case rec.bootID != "" && got.BootID != "" && got.BootID != rec.bootID:
			rec.previousEnd = Rebooted
		case !rec.body.Stopped.IsZero():
			rec.previousEnd = Stopped
		}
		rec.sawAlive(got.SavedAt)
		rec.cfg.Families.savedAt.At(fileMetrics).Set(unixSeconds(got.SavedAt))
	}
	rec.decoded = metricsBody{}
	stored := rec.body.Counters
	rec.loadHistory(metricsLost(&got, err))
	rec.body.Counters.add(found)
	if err != nil || rec.body.Counters != stored || !rec.body.Stopped.IsZero() {
		rec.markDirty(fileMetrics)
	}
	rec.body.Stopped = time.Time{} // this process has not been stopped yet
}

// metricsLost reports whether a load lost the newest counters because metrics.json and all copies
// of its content are corrupt or cannot be read.
func metricsLost(got *snapshot.Loaded, err error) bool {
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return got.Recovered && got.Tried > metricsCopies
}

// loadHistory reads the last sample of the history. If the sample's counters are higher than those
// of metrics.json, it uses the sample's. lost is the result of metricsLost.
func (rec *Recorder) loadHistory(lost bool) {
	line, err := rec.history.Last()
	if err != nil {
		rec.cfg.Log.Warn("cannot read the last sample", "error", err)
	}
	if at, ok := sampleTime(line); ok {
		rec.sawAlive(at)
	}
	s, ok := lastSample(line)
	switch {
	case ok && rec.body.Counters.raise(s.Restarts):
		rec.cfg.Log.Warn("metrics.json is older than the history; using the counters of the newest sample; newer restart records and sync durations are lost",
			"sample", s.Time)
	case lost:
		rec.cfg.Log.Error("metrics.json and its newest copies cannot be used; counters, restart records and sync durations of the newest starts may be lost", "file", rec.metrics.Path)
	default:
		return
	}
	grow(&rec.body.Counters.Losses, 1)
}

// lastSample decodes the last line of the history. It returns false if the counters do not
// match their checksum.
func lastSample(line []byte) (*Sample, bool) {
	s, ok := decodeSample(line)
	return s, ok && s != nil && s.RestartsSum == s.Restarts.Checksum()
}

// sampleTime returns the time of a line of the history.
func sampleTime(line []byte) (time.Time, bool) {
	var s struct {
		Time time.Time `json:"time"`
	}
	if json.Unmarshal(line, &s) != nil || s.Time.IsZero() {
		return time.Time{}, false
	}
	return s.Time, true
}

// sawAlive records a time at which the previous process was running. A time in the future is
// ignored, because it was written before the clock was set back.
func (rec *Recorder) sawAlive(at time.Time) {
	if !rec.late && at.After(rec.lastAlive) && !at.After(time.Now()) {
		rec.lastAlive = at
	}
}

// logLoad logs the problems that occurred while a file was loaded. It returns the numbers of
// corrupt and recovered files to add to the counters.
func (rec *Recorder) logLoad(got *snapshot.Loaded, err error, path string) (found Counters) {
	for _, p := range got.Problems {
		switch {
		case errors.Is(p.Err, snapshot.ErrCorrupt):
			rec.cfg.Log.Error("ignoring corrupt file", "file", p.Path, "error", p.Err, "moved_to", p.Aside)
		case !errors.Is(p.Err, fs.ErrNotExist):
			rec.cfg.Log.Error("ignoring unusable file", "file", p.Path, "error", p.Err, "moved_to", p.Aside)
		}
	}
	if more := got.Tried - len(got.Problems); more > 0 {
		rec.cfg.Log.Error("ignoring more unusable files", "file", path, "count", more)
	}
	found.CorruptionsDetected = uint64(got.Corrupt)
	switch {
	case err == nil && got.Recovered:
		found.StateRecoveries, found.CorruptionsRecovered = 1, uint64(got.Corrupt)
		rec.cfg.Log.Warn("using a backup", "file", path, "backup", got.Source, "saved", got.SavedAt)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		rec.cfg.Log.Error("no usable file or backup; starting with empty data", "file", path, "error", err)
	}
	return found
}
