package main

import (
	"context"

	"portsyncd/config"
	"portsyncd/portsync"
	"portsyncd/syslog"
	"portsyncd/systemd"
)

// watchReloads re-reads the configuration at each SIGHUP. The service manager is
// told once the daemon is ready: before that, READY=1 would mean too much.
func (d *process) watchReloads(ctx context.Context) {
	d.latest = d.cfg
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

// reload takes over what can change while running and names what cannot. A file
// with errors changes nothing.
func (d *process) reload() {
	next, err := loadConfig(d.file, d.required)
	if err != nil {
		logConfigErrors(d.log, err)
		d.log.Error("the configuration stays as it was", "file", d.file)
		return
	}
	changes := d.latest.Diff(next)
	d.latest = next
	for _, c := range changes {
		if c.Live {
			d.log.Log(context.Background(), syslog.LevelNotice, "setting changed", "key", c.Key, "from", c.Old, "to", c.New)
		} else {
			d.log.Warn("setting needs a restart", "key", c.Key, "from", c.Old, "to", c.New)
		}
	}
	d.loop.Reload(settings(&next))
	d.memory.Reload(memorySettings(&next))
	d.live.Store(live(&next.Metrics))
	d.reconfigure()
	d.log.Log(context.Background(), syslog.LevelNotice, "configuration read", "file", d.file, "changes", len(changes))
}

func settings(cfg *config.Config) portsync.Settings {
	return portsync.Settings{
		AuditInterval: cfg.Health.AuditInterval,
		MaxStall:      cfg.Health.MaxStall,

		MaxFailureRate: cfg.Health.MaxFailureRatePercent / 100,
	}
}
