package warmrestart

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/snapshot"
)

// task holds a file that Run writes and the result of the last attempt to write it.
type task struct {
	what  string // name of the file in messages
	path  string // "" if the file is disabled
	write func() (wrote bool, err error)

	dirty   bool            // the file must be written
	err     error           // result of the last attempt
	next    time.Time       // earliest time of the next attempt
	pause   backoff.Backoff // between the last attempt and next
	attempt time.Time       // time of the last attempt
}

// Pauses after failed writes, and between writes of constantly changing ports.
const (
	minPause = time.Second
	maxPause = time.Minute
)

// backOff schedules the next attempt to write the file. The pause before it doubles with each
// attempt, and is reset if the last attempt was more than 2*maxPause ago.
func (t *task) backOff(now time.Time) {
	if now.Sub(t.attempt) > 2*maxPause {
		t.pause.Reset()
	}
	t.attempt, t.next = now, now.Add(t.pause.Next())
}

// Modes of the directories that the Recorder creates. Other users, such as node_exporter, must be
// able to list and read the exports in the storage directory; its private files are protected by
// their own modes. Directories that are not on the path of the exports are closed to other users.
const (
	openDirMode    = 0o755
	privateDirMode = 0o750
)

// dirMode returns the mode for creating the directory of a file.
func (rec *Recorder) dirMode(file int) fs.FileMode {
	if file != fileState {
		return openDirMode
	}
	storage, err := filepath.Rel(filepath.Dir(rec.cfg.StateFile), rec.cfg.StoragePath)
	if rec.cfg.StoragePath == "" || err != nil || !filepath.IsLocal(storage) {
		return privateDirMode
	}
	return openDirMode
}

func (rec *Recorder) makeTasks() {
	rec.tasks = [numFiles]task{
		fileState:   {what: "the state file", write: rec.writePorts},
		fileMetrics: {what: "the metrics", write: rec.writeMetrics},
		fileHistory: {what: "the history", write: rec.writeSample},
		fileText:    {what: "the export for Prometheus", write: rec.writeText},
		fileJSON:    {what: "the export as JSON", write: rec.writeJSON},
	}
	for i := range rec.tasks {
		rec.tasks[i].pause = backoff.Backoff{Min: minPause, Max: maxPause}
	}
	rec.tasks[fileState].path = rec.cfg.StateFile
	if rec.cfg.StoragePath != "" {
		for file, name := range map[int]string{fileMetrics: metricsFile, fileHistory: historyFile, fileText: textFile, fileJSON: jsonFile} {
			rec.tasks[file].path = filepath.Join(rec.cfg.StoragePath, name)
		}
	}
}

// markDirty schedules a write of the file. It does nothing if the file is disabled.
func (rec *Recorder) markDirty(file int) {
	rec.setDirty(file, rec.tasks[file].path != "")
}

// Run reads the stored files and then writes the files until ctx is done. Before it returns, it writes
// the remaining dirty files. It wakes up when data changes, once per save interval, and to retry
// failed writes.
func (rec *Recorder) Run(ctx context.Context) {
	rec.load()
	rec.removeExports()
	sampled := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		rec.writeDirty()
		timer.Reset(time.Until(rec.nextWrite(sampled)))
		select {
		case <-ctx.Done():
			rec.flush()
			return
		case r := <-rec.restarts:
			rec.addRestart(r)
		case ports := <-rec.changes:
			rec.setPorts(ports)
		case <-rec.wake:
			rec.discardState()
		case s := <-rec.reloads:
			rec.configure(s)
			rec.removeExports()
		case <-timer.C:
		}
		if now := time.Now(); now.Sub(sampled) >= rec.cfg.SaveInterval {
			sampled = now
			rec.onInterval()
		}
	}
}

// nextWrite returns when the next sample or retry is due. sampled is the time of the last sample.
func (rec *Recorder) nextWrite(sampled time.Time) time.Time {
	due := sampled.Add(rec.cfg.SaveInterval)
	for i := range rec.tasks {
		if t := &rec.tasks[i]; t.dirty && t.next.Before(due) {
			due = t.next
		}
	}
	return due
}

// addRestart counts a start and stores its record.
func (rec *Recorder) addRestart(r Restart) {
	r.RecoveredFrom, r.LastAlive, r.Ended = rec.recoveredFrom, rec.lastAlive, rec.previousEnd
	rec.body.add(r)
	rec.body.trim(rec.cfg.KeepRestarts)
	rec.publishRestarts()
	if rec.cfg.OnChange != nil {
		rec.cfg.OnChange()
	}
	rec.markDirty(fileMetrics)
	if !rec.tasks[fileMetrics].dirty {
		rec.expose()
	}
}

// discardState schedules setting the discarded state file aside.
func (rec *Recorder) discardState() {
	if rec.hasState {
		rec.cfg.Log.Info("databases were flushed; renaming the outdated state file", "file", rec.ports.Path)
		rec.markDirty(fileState)
	}
}

func (rec *Recorder) setPorts(ports []Port) {
	rec.pendingPorts = ports
	rec.markDirty(fileState)
}

// onInterval schedules the writes that are due once per save interval and removes old files.
func (rec *Recorder) onInterval() {
	if rec.cfg.Sample != nil {
		rec.markDirty(fileHistory)
	}
	if rec.cfg.ExportText {
		rec.markDirty(fileText)
	}
	if rec.cfg.ExportJSON {
		rec.markDirty(fileJSON)
	}
	rec.prune()
}

// writeDirty writes the dirty files whose pause has elapsed.
func (rec *Recorder) writeDirty() {
	for i := range rec.tasks {
		if t := &rec.tasks[i]; t.dirty && !time.Now().Before(t.next) {
			rec.writeFile(i)
		}
	}
}

// writeFile writes one file. If that fails, the file stays dirty and is retried after a pause.
func (rec *Recorder) writeFile(file int) {
	t, f := &rec.tasks[file], rec.cfg.Families
	rec.busySince.Store(time.Now().UnixNano())
	err := snapshot.EnsureDir(filepath.Dir(t.path), rec.dirMode(file))
	wrote := false
	if err == nil {
		err = rec.lock()
	}
	if err == nil {
		wrote, err = t.write()
	}
	rec.busySince.Store(0)
	rec.setDirty(file, err != nil)
	switch {
	case err != nil:
		f.failures.At(file).Inc()
		t.backOff(time.Now())
	case file == fileState:
		t.backOff(time.Now()) // limit flash wear if ports flap for a long time
	default:
		t.pause.Reset()
		t.next = time.Time{}
	}
	if wrote {
		f.saves.At(file).Inc()
		f.savedAt.At(file).Set(unixSeconds(time.Now()))
		f.size.At(file).Set(rec.sizeOf(t.path))
	}
	rec.setResult(file, err)
	if file == fileMetrics {
		rec.expose()
	}
}

// sizeOf returns the size of a file in bytes, or 0 if the file cannot be read.
func (rec *Recorder) sizeOf(path string) int64 {
	fsys := rec.cfg.FS
	if fsys == nil {
		fsys = snapshot.OS
	}
	info, err := fsys.Lstat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// setResult stores the result of a write and updates Problems. Each cause is logged only once until
// writes to all files succeed again.
func (rec *Recorder) setResult(file int, err error) {
	t := &rec.tasks[file]
	if err == nil && t.err == nil {
		return
	}
	t.err = err
	if err != nil && !slices.Contains(rec.loggedCauses, snapshot.Cause(err)) {
		rec.loggedCauses = append(rec.loggedCauses, snapshot.Cause(err))
		rec.cfg.Log.Error("cannot write "+t.what+"; retrying", "error", err)
	}
	var failures []snapshot.Failure
	for i := range rec.tasks {
		if t := &rec.tasks[i]; t.err != nil {
			failures = append(failures, snapshot.Failure{What: t.what, Path: t.path, Err: t.err})
		}
	}
	rec.failures.Store(&failures)
	if rec.cfg.OnChange != nil {
		rec.cfg.OnChange()
	}
	if len(failures) > 0 {
		rec.cfg.Families.diskFaulty.Set(1)
		return
	}
	rec.cfg.Families.diskFaulty.Set(0)
	rec.loggedCauses = nil
	rec.cfg.Log.Warn("writing files resumed")
}

// flush receives pending data and makes one attempt to write the state file and metrics.json if
// they are dirty.
func (rec *Recorder) flush() {
	for more := true; more; {
		select {
		case r := <-rec.restarts:
			rec.addRestart(r)
		case ports := <-rec.changes:
			rec.setPorts(ports)
		case <-rec.wake:
			rec.discardState()
		default:
			more = false
		}
	}
	if rec.stopping.Load() {
		rec.body.Stopped = time.Now().UTC()
		rec.markDirty(fileMetrics)
	}
	for _, file := range []int{fileState, fileMetrics} {
		if rec.tasks[file].dirty {
			rec.writeFile(file)
		}
	}
}
