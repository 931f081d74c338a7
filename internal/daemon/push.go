package daemon

import (
	"context"
	"os"

	"portsyncd/internal/push"
)

// pushMetrics sends samples to push.url until ctx is done. It returns immediately if no URL is
// configured or the settings are invalid.
func (d *Daemon) pushMetrics(ctx context.Context, families *push.Families) {
	c := &d.Config.Push
	if c.URL == "" {
		return
	}
	pusher, err := push.New(push.Config{
		URL: c.URL, Interval: c.Interval, Instance: d.pushInstance(),
		AuthorizationFile: c.AuthorizationFile, CAFile: c.CAFile, Device: c.Device,
		Gzip: c.Gzip, QueueBatches: c.QueueBatches, UserAgent: "portsyncd/" + Release,
	}, d.set, families, d.component("push"))
	if err != nil {
		d.log.Error("cannot start pushing metrics; metrics are not pushed", "error", err)
		return
	}
	pusher.Run(ctx)
}

// pushInstance returns a function that returns the instance label of pushed samples: push.instance
// if set, or otherwise the current host name, which SONiC may set after the daemon has started. The
// function must be used by one goroutine only.
func (d *Daemon) pushInstance() func() string {
	if name := d.Config.Push.Instance; name != "" {
		return func() string { return name }
	}
	last := ""
	return func() string {
		name, err := os.Hostname()
		if err != nil {
			if last == "" {
				d.log.Warn("cannot read the host name for pushed metrics; set push.instance", "error", err)
			}
			return last
		}
		last = name
		return name
	}
}
