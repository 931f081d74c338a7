package daemon

import (
	"context"
	"errors"

	"portsyncd/config"
	"portsyncd/internal/syslog"
	"portsyncd/portsync"
	"portsyncd/systemd"
)

// watchReloads reloads the configuration on each SIGHUP until ctx is done. It notifies the service
// manager only if the daemon is ready, because READY=1 ends the startup phase.
func (d *Daemon) watchReloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.Reloads:
			if !d.status.Ready() {
				d.reload()
				continue
			}
			d.notify(systemd.Reloading())
			d.reload()
			d.notify(systemd.Ready)
		}
	}
}

// reload applies the settings that can change at run time and logs the settings that require a
// restart. If the file has errors, no setting is changed. The HTTP server reloads its certificates
// in any case.
func (d *Daemon) reload() {
	defer d.reconfigureHTTP()
	next, err := d.readAgain()
	if err != nil {
		d.recordReload(0, 0, err)
		logConfigErrors(d.log, err)
		d.log.Error("configuration not reloaded; keeping the settings in effect", "file", d.ConfigFile)
		return
	}
	inEffect, changes := d.inEffect.Reload(next)
	d.inEffect = inEffect
	applied := 0
	for _, c := range changes {
		switch {
		case c.Live:
			applied++
			d.log.Log(context.Background(), syslog.LevelNotice, "setting changed", "key", c.Key, "from", c.Old, "to", c.New)
		case c.Why != "":
			d.log.Warn("setting requires a restart", "key", c.Key, "from", c.Old, "to", c.New, "reason", c.Why)
		default:
			d.log.Warn("setting requires a restart", "key", c.Key, "from", c.Old, "to", c.New)
		}
	}
	d.Logs.SetFormat(logFormat(&d.inEffect))
	d.loop.Reload(loopSettings(&d.inEffect))
	d.recorder.Reload(recorderSettings(&d.inEffect))
	d.journal.Reload(journalSettings(&d.inEffect))
	d.recordReload(applied, len(changes)-applied, nil)
	d.live.Store(liveSettings(&d.inEffect.Metrics))
	file := d.ConfigFile
	if !FileExists(file) {
		file = "none"
	}
	d.log.Log(context.Background(), syslog.LevelNotice, "configuration reloaded", "file", file,
		"changes", applied, "need_restart", len(changes)-applied)
}

var errNothingSet = errors.New("the file contains no settings and may have been truncated; restart to use the defaults")

// readAgain reads the configuration file for a reload. If the previous configuration came from the
// file, readAgain returns an error for a missing file or a file without settings, because an editor
// or a full disk may have truncated it.
func (d *Daemon) readAgain() (config.Config, error) {
	configured := !d.inEffect.SetsNothing()
	next, err := LoadConfig(d.ConfigFile, d.ConfigRequired || configured)
	if err == nil && configured && next.SetsNothing() {
		err = errNothingSet
	}
	return next, err
}

// loopSettings returns the settings of the event loop that a reload can change.
func loopSettings(cfg *config.Config) portsync.Settings {
	return portsync.Settings{
		AuditInterval: cfg.Health.AuditInterval,
		MaxStall:      cfg.Health.MaxStall,

		MaxFailureRate: cfg.Health.MaxFailureRatePercent / 100,
	}
}
