package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"portsyncd/config"
	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// openRecorder creates the Recorder. It reads no file; startStorage and the start decision do.
func (d *Daemon) openRecorder(families *portsync.Metrics) {
	sampler := portsync.Sampler{Status: d.status, Metrics: families}
	c := warmrestart.Config{
		Writer: "portsyncd " + Release, Log: d.component("state"), Families: warmrestart.NewFamilies(d.set),
		Sample: func(restarts warmrestart.Counters) []byte {
			return sampler.Append(nil, time.Now(), d.monitor.Health(), restarts)
		},
		Text: d.appendExport, JSON: d.set.AppendJSON,
		OnChange: func() { d.monitor.Wake() },
		Settings: recorderSettings(&d.Config),
	}
	if !d.Config.Daemon.Enabled {
		c.Sample = nil // the event loop is not running
	}
	if d.Config.WarmRestart.Enabled {
		c.StateFile = d.Config.WarmRestart.StateFile
	}
	if d.Config.Metrics.Enabled {
		c.StoragePath = d.Config.Metrics.StoragePath
		c.Lock = d.lockStorage()
		c.MadeDirs = madeDirs(&d.Config, os.Getenv("STATE_DIRECTORY"))
	}
	d.recorder = warmrestart.New(c)
}

// madeDirs returns the directories of the default storage path that the daemon must create, parents
// first. The parent is not included if it is stateDirectory, which systemd creates.
func madeDirs(cfg *config.Config, stateDirectory string) []string {
	if cfg.IsSet("metrics.storage_path") {
		return nil
	}
	storage := cfg.Metrics.StoragePath
	if parent := filepath.Dir(storage); parent != filepath.Clean(stateDirectory) {
		return []string{parent, storage}
	}
	return []string{storage}
}

// appendExport appends the metrics for node_exporter's textfile collector. It omits go_* and
// process_*, because node_exporter exposes its own.
func (d *Daemon) appendExport(b []byte) []byte { return d.set.AppendTextOf(b, "portsyncd_") }

// recorderSettings returns the settings of the stored files that a reload can change.
func recorderSettings(cfg *config.Config) warmrestart.Settings {
	m := &cfg.Metrics
	return warmrestart.Settings{
		SaveInterval: m.SaveInterval, Retention: m.Retention, MaxFileSize: m.MaxFileSize,
		KeepRestarts: cfg.WarmRestart.HistoryMaxRestarts,
		ExportText:   m.ExportFormat != config.JSON,
		ExportJSON:   m.ExportFormat != config.Prometheus,
	}
}

// saveTimeout is the time allowed for the last save on shutdown, so that a disk that hangs does not
// delay the shutdown. Files saved earlier remain valid.
const saveTimeout = 2 * time.Second

// startDelay is the maximum time that work which is not needed to configure the ports waits until the
// port configuration is written. orchagent waits for that configuration.
const startDelay = 50 * time.Millisecond

// waitStarted waits until the port configuration is written or cannot be written at once, for at most
// startDelay.
func (d *Daemon) waitStarted(ctx context.Context) {
	select {
	case <-d.loop.Started():
	case <-time.After(startDelay):
	case <-ctx.Done():
	}
}

// waitStored waits until the stored files have been read. It returns false if the disk does not
// respond in time or ctx is done.
func (d *Daemon) waitStored(ctx context.Context) bool {
	select {
	case <-d.recorder.Loaded():
		return true
	case <-time.After(warmrestart.LoadTimeout):
		return false
	case <-ctx.Done():
		return false
	}
}

// startStorage starts the goroutines that read and write the stored files and the events. The
// returned function saves all data once more and stops them. If a signal ended the context main, it
// also records that the stop was requested.
func (d *Daemon) startStorage(main context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	writers.Go(func() {
		d.waitStarted(ctx)
		d.recorder.Run(ctx)
	})
	writers.Go(func() {
		d.waitStarted(ctx)
		d.runJournal(ctx)
	})
	saved := make(chan struct{})
	go func() { writers.Wait(); close(saved) }()
	return func() {
		if errors.As(context.Cause(main), new(stopSignal)) {
			d.recorder.RecordStop()
		}
		cancel()
		select {
		case <-saved:
		case <-time.After(saveTimeout):
			d.log.Warn("disk does not respond; stopping without saving the latest data", "timeout", saveTimeout)
		}
	}
}
