package warmrestart

import (
	"errors"
	"io/fs"

	"portsyncd/internal/snapshot"
)

// lockFirst acquires the lock on the storage directory before any file is read. It returns false if
// another process holds the lock.
func (rec *Recorder) lockFirst() bool {
	if rec.cfg.Lock == nil {
		return true
	}
	err := rec.cfg.Lock.Acquire()
	// Another process can write metrics.json before this one makes a missing directory.
	rec.unread = errors.Is(err, snapshot.ErrLocked) || errors.Is(err, fs.ErrNotExist)
	return !errors.Is(err, snapshot.ErrLocked)
}

// lock acquires the lock on the storage directory before a write. It returns an error if another
// process holds the lock. Other locking errors do not prevent the write.
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

// loadMetricsLate reads metrics.json when that was not possible at startup, and adds the events
// that this process has counted since then.
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
