package daemon

import (
	"context"
	"os"

	"portsyncd/internal/push"
)

// push sends samples to the database of [push] until ctx ends. Where there is
// none, or none that can be, it returns.
func (d *Process) push(ctx context.Context, families *push.Families) {
	c := &d.Cfg.Push
	if c.URL == "" {
		return
	}
	pusher, err := push.New(push.Config{
		URL: c.URL, Interval: c.Interval, Instance: d.pushInstance(),
		AuthorizationFile: c.AuthorizationFile, CAFile: c.CAFile, Device: c.Device,
		Gzip: c.Gzip, QueueBatches: c.QueueBatches, UserAgent: "portsyncd/" + Release,
	}, d.set, families, d.component("push"))
	if err != nil {
		d.log.Error("metrics are not pushed", "error", err)
		return
	}
	pusher.Run(ctx)
}

// pushInstance returns the function that names this switch in what is pushed:
// push.instance, or else the host name at that moment, since SONiC sets the host name
// after the daemon has started.
func (d *Process) pushInstance() func() string {
	if name := d.Cfg.Push.Instance; name != "" {
		return func() string { return name }
	}
	last := ""
	return func() string {
		name, err := os.Hostname()
		if err != nil {
			if last == "" {
				d.log.Warn("cannot read the host name to push metrics with; set push.instance", "error", err)
			}
			return last
		}
		last = name
		return name
	}
}
