package daemon

import (
	"context"
	"errors"

	"portsyncd/config"
	"portsyncd/internal/syslog"
	"portsyncd/portsync"
	"portsyncd/systemd"
)

// watchReloads reads the configuration again at each SIGHUP. The service manager
// is notified only if the daemon is ready: before that, READY=1 would end the
// start too early.
func (d *Process) watchReloads(ctx context.Context) {
	d.InEffect = d.Cfg
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.reloads:
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

// Reload applies the settings that can change while running and logs those that
// cannot. A file with errors changes no setting. The HTTP server reads its files
// again in any case.
func (d *Process) reload() {
	defer d.reconfigure()
	next, err := d.Reread()
	if err != nil {
		logConfigErrors(d.log, err)
		d.log.Error("configuration not reloaded; keeping the settings in effect", "file", d.File)
		return
	}
	inEffect, changes := d.InEffect.Reload(next)
	d.InEffect = inEffect
	applied := 0
	for _, c := range changes {
		switch {
		case c.Live:
			applied++
			d.log.Log(context.Background(), syslog.LevelNotice, "setting changed", "key", c.Key, "from", c.Old, "to", c.New)
		case c.Why != "":
			d.log.Warn("setting needs a restart", "key", c.Key, "from", c.Old, "to", c.New, "reason", c.Why)
		default:
			d.log.Warn("setting needs a restart", "key", c.Key, "from", c.Old, "to", c.New)
		}
	}
	d.loop.Reload(settings(&d.InEffect))
	d.memory.Reload(memorySettings(&d.InEffect))
	d.live.Store(live(&d.InEffect.Metrics))
	file := d.File
	if !Exists(file) {
		file = "none"
	}
	d.log.Log(context.Background(), syslog.LevelNotice, "configuration read", "file", file,
		"changes", applied, "need_restart", len(changes)-applied)
}

var errNothingSet = errors.New("the file sets nothing: it may have been cut short; restart to go back to the defaults")

// Reread loads the configuration file. Once settings of a file are in effect, a
// file that is absent or sets nothing is an error, even if no file is required:
// an editor or a full disk may have left it so.
func (d *Process) Reread() (config.Config, error) {
	configured := !d.InEffect.SetsNothing()
	next, err := LoadConfig(d.File, d.required || configured)
	if err == nil && configured && next.SetsNothing() {
		err = errNothingSet
	}
	return next, err
}

func settings(cfg *config.Config) portsync.Settings {
	return portsync.Settings{
		AuditInterval: cfg.Health.AuditInterval,
		MaxStall:      cfg.Health.MaxStall,

		MaxFailureRate: cfg.Health.MaxFailureRatePercent / 100,
	}
}
