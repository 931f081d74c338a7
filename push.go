package main

import (
	"context"
	"os"

	"portsyncd/push"
)

// push sends samples to the database of [push] until ctx ends. Where there is
// none, or none that can be, it returns.
func (d *process) push(ctx context.Context, families *push.Families) {
	c := &d.cfg.Push
	if c.URL == "" {
		return
	}
	instance := c.Instance
	if instance == "" {
		name, err := os.Hostname()
		if err != nil {
			d.log.Warn("no host name to push metrics with; set push.instance", "error", err)
		}
		instance = name
	}
	pusher, err := push.New(push.Config{
		URL: c.URL, Interval: c.Interval, Instance: instance,
		AuthorizationFile: c.AuthorizationFile, CAFile: c.CAFile, Device: c.Device,
		Gzip: c.Gzip, QueueBatches: c.QueueBatches, UserAgent: "portsyncd/" + release,
	}, d.set, families, d.log)
	if err != nil {
		d.log.Error("metrics are not pushed", "error", err)
		return
	}
	pusher.Run(ctx)
}
