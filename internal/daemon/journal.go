package daemon

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"portsyncd/config"
	"portsyncd/internal/journal"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// storage tells the health monitor which of the daemon's files cannot be written.
type storage struct {
	*warmrestart.Recorder
	journal atomic.Pointer[snapshot.Failure] // why events cannot be written; nil if they can be written
}

// Problems returns one sentence for each reason why files cannot be written. It may be called from any
// goroutine.
func (s *storage) Problems() []string {
	if f := s.journal.Load(); f != nil {
		return s.Recorder.Problems(*f)
	}
	return s.Recorder.Problems()
}

// openJournal creates the journal. It reads no file; runJournal does.
func (d *Daemon) openJournal() {
	d.storage = &storage{Recorder: d.recorder}
	o := journal.Options{Base: time.Now(), Log: d.component("journal"), Settings: journalSettings(&d.Config)}
	o.BootID = func() string {
		id, _ := snapshot.BootID() // the recorder logs the error
		return id
	}
	if d.Config.Metrics.Enabled {
		o.Dir, o.Lock = d.Config.Metrics.StoragePath, d.lockStorage()
	}
	o.Troubled = func(err error) {
		if err == nil {
			d.storage.journal.Store(nil)
		} else {
			d.storage.journal.Store(&snapshot.Failure{What: "events", Path: filepath.Join(o.Dir, journal.FileName), Err: err})
		}
		d.monitor.Wake()
	}
	d.portLog = newPortLog(d.Logs, d.component("port"))
	o.Recorded = d.portLog.add
	d.journal = journal.New(o)
}

// beginJournal records the start of the process and restores the states of the ports that the
// previous process stored, if loaded is set.
func (d *Daemon) beginJournal(loaded bool) {
	start := journal.Event{Kind: journal.Start, New: Release, Reason: "the disk does not respond, so it is not known how the previous process ended"}
	if loaded {
		start.Reason = d.startReason()
		for _, p := range d.recorder.Ports() {
			d.journal.Restore(p.Name, journal.PortState{Present: true, Counted: true, LinkState: p.LinkState})
		}
	}
	d.journal.Begin(start)
}

// lockStorage returns the lock on the storage directory, or nil if no storage path is configured.
// All components share this lock, because a second lock would conflict with the first.
func (d *Daemon) lockStorage() *snapshot.DirLock {
	if path := d.Config.Metrics.StoragePath; d.lock == nil && path != "" {
		d.lock = &snapshot.DirLock{Path: path}
	}
	return d.lock
}

// startReason describes how the previous process ended.
func (d *Daemon) startReason() string {
	switch end, alive := d.recorder.Previous(); {
	case end == warmrestart.Stopped:
		return "the previous process was stopped"
	case end == warmrestart.Rebooted:
		return "the system was rebooted"
	case !alive.IsZero():
		return "the previous process crashed or was killed, after " + alive.UTC().Format(time.RFC3339)
	}
	return "there is no record of an earlier process"
}

// journalSettings returns the settings of the journal that a reload can change.
func journalSettings(cfg *config.Config) journal.Settings {
	return journal.Settings{Retention: cfg.Metrics.Retention, MaxFileSize: cfg.Metrics.MaxFileSize}
}

// eventsQuery parses a URL query and returns a function that appends the /events document for it.
// It may be called from any goroutine.
func (d *Daemon) eventsQuery(query string) (func(b []byte) []byte, error) {
	f, err := journal.ParseQuery(query, time.Now())
	if err != nil {
		return nil, err
	}
	aliased, unknown := findPorts(f.Ports, d.status.Ports(time.Now()))
	f.Ports = append(f.Ports, aliased...)
	return func(b []byte) []byte {
		doc := d.journal.Query(&f, processStart)
		doc.AliasPorts, doc.UnknownPorts = aliased, unknown
		return doc.AppendJSON(b)
	}, nil
}

// findPorts returns the names of the ports that have one of the given names as their alias, and the
// given names that are neither the name nor the alias of a port.
func findPorts(names []string, ports []portsync.PortView) (aliased, unknown []string) {
	for _, name := range names {
		found := false
		for i := range ports {
			p := &ports[i]
			found = found || p.Name == name
			if p.Name != name && p.Alias == name && name != "" {
				aliased, found = append(aliased, p.Name), true
			}
		}
		if !found {
			unknown = append(unknown, name)
		}
	}
	return aliased, unknown
}

// recordHealth records a change of the health state.
func (d *Daemon) recordHealth(was, is portsync.Health) {
	d.journal.Add(journal.Event{Kind: journal.Health, Old: was.Status, New: is.Status, Reason: reasonTexts(&is)})
}

// recordReload adds a reload event to the journal. err is the reason why the configuration was not
// applied, or nil.
func (d *Daemon) recordReload(applied, restart int, err error) {
	reason := fmt.Sprintf("settings changed: %d, settings that need a restart: %d", applied, restart)
	if err != nil {
		reason = "not applied: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	d.journal.Add(journal.Event{Kind: journal.Reload, Reason: reason})
}

// runJournal reads the stored events and then writes new ones, and the log lines about them, until
// ctx is done.
func (d *Daemon) runJournal(ctx context.Context) {
	d.beginJournal(d.waitStored(ctx))
	go d.portLog.run()
	d.journal.Run(ctx)
	d.portLog.end()
}
