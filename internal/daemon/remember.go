package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"portsyncd/config"
	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// remember reads what survived the last restart.
func (d *Process) remember(families *portsync.Metrics) {
	sampler := portsync.Sampler{Status: d.status, Metrics: families}
	c := warmrestart.Config{
		Writer: "portsyncd " + Release, Log: d.component("state"), Families: warmrestart.NewFamilies(d.set),
		Sample: func(restarts warmrestart.Counters) []byte {
			return sampler.Append(nil, time.Now(), d.monitor.Health(), restarts)
		},
		Text: d.appendExport, JSON: d.set.AppendJSON,
		Troubled: func() { d.monitor.Wake() },
		Settings: memorySettings(&d.Cfg),
	}
	if !d.Cfg.Daemon.Enabled {
		c.Sample = nil // there is nothing to sample
	}
	if d.Cfg.WarmRestart.Enabled {
		c.StateFile = d.Cfg.WarmRestart.StateFile
	}
	if d.Cfg.Metrics.Enabled {
		c.StoragePath = d.Cfg.Metrics.StoragePath
		c.MadeDirs = madeDirs(&d.Cfg, os.Getenv("STATE_DIRECTORY"))
	}
	d.memory = warmrestart.Open(c)
}

// madeDirs returns the directories on the path of the exports that no setting names. The
// mode of systemd's state directory is systemd's business.
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

// appendExport appends what node_exporter's textfile collector serves: our own
// families, since it has go_* and process_* of itself.
func (d *Process) appendExport(b []byte) []byte { return d.set.AppendTextOf(b, "portsyncd_") }

// memorySettings are the settings of the files that a reload can change.
func memorySettings(cfg *config.Config) warmrestart.Settings {
	m := &cfg.Metrics
	return warmrestart.Settings{
		SaveInterval: m.SaveInterval, Retention: m.Retention, MaxFileSize: m.MaxFileSize,
		KeepRestarts: cfg.WarmRestart.HistoryMaxRestarts,
		ExportText:   m.ExportFormat != config.JSON,
		ExportJSON:   m.ExportFormat != config.Prometheus,
	}
}

// saveFor is how long the end of the process waits for the disk. A disk that
// hangs must not keep it from ending in time; what was saved before is good.
const saveFor = 2 * time.Second

// keepMemory has the files written, until the returned function is called, which
// saves what is left, and that a signal ended main if one did.
func (d *Process) keepMemory(main context.Context) (saveRest func()) {
	ctx, cancel := context.WithCancel(context.Background())
	saved := make(chan struct{})
	go func() { d.memory.Run(ctx); close(saved) }()
	return func() {
		if errors.As(context.Cause(main), new(endSignal)) {
			d.memory.Stopping()
		}
		cancel()
		select {
		case <-saved:
		case <-time.After(saveFor):
			d.log.Warn("disk does not answer; ending before all is saved", "waited", saveFor)
		}
	}
}
