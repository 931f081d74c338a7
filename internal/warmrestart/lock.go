package warmrestart

import (
	"errors"
	"io/fs"

	"portsyncd/internal/snapshot"
)

// lockFirst acquires the lock of the storage path before the files are read. It returns false if
// another process has it.
func (rec *Recorder) lockFirst() bool {
	if rec.cfg.Lock == nil {
		return true
	}
	err := rec.cfg.Lock.Acquire()
	// Another process can write metrics.json before this one makes a missing directory.
	rec.unread = errors.Is(err, snapshot.ErrLocked) || errors.Is(err, fs.ErrNotExist)
	return !errors.Is(err, snapshot.ErrLocked)
}

// lock acquires the lock of the storage path before a write. It returns an error if another process
// has it. Other errors do not prevent writes.
func (rec *Recorder) lock() error {
	if rec.cfg.Lock == nil || rec.cfg.StoragePath == "" {
		return nil
	}
	if err := snapshot.EnsureDir(rec.cfg.StoragePath, openDirMode); err != nil {
		return nil // the write of a file in the directory reports it
	}
	if err := rec.cfg.Lock.Acquire(); errors.Is(err, snapshot.ErrLocked) {
		return err
	}
	if rec.unread {
		rec.loadMetricsLate()
	}
	return nil
}

// loadMetricsLate reads metrics.json and adds what this process has counted since its start.
func (rec *Recorder) loadMetricsLate() {
	own := rec.body
	rec.unread, rec.late = false, true
	rec.body = newMetricsBody()
	rec.loadMetrics(own.Counters)
	rec.late = false
	rec.body.Stopped = own.Stopped
	rec.body.Restarts = append(rec.body.Restarts, own.Restarts...)
	rec.body.Sync.addAll(&own.Sync)
	rec.body.trim(rec.cfg.KeepRestarts)
	rec.publishRestarts()
	rec.markDirty(fileMetrics)
}
