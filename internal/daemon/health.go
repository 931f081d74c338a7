package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"portsyncd/internal/syslog"
	"portsyncd/metrics"
	"portsyncd/portsync"
	"portsyncd/systemd"
)

// Health is the answer to /healthz: what is unhealthy is no success, so that
// whoever looks at the status alone is told of faults and not of mere oddities.
func (d *Process) health() metrics.Health {
	h := d.monitor.Health()
	answer := metrics.Health{
		OK: h.Status != portsync.Unhealthy, Status: h.Status,
		Detail: fmt.Sprintf("score %d of 100", h.Score),
	}
	if h.Status == portsync.Disabled {
		answer.Detail = DisabledText
	}
	for i := range h.Reasons {
		answer.Reasons = append(answer.Reasons, h.Reasons[i].String())
	}
	answer.Document = struct {
		OK bool `json:"ok"`
		portsync.Health
	}{answer.OK, h}
	return answer
}

// DisabledText is what daemon.enabled = false means.
const DisabledText = "daemon.enabled is false: ports are not synchronised"

func (d *Process) readiness() metrics.Health {
	if !d.Cfg.Daemon.Enabled {
		return metrics.Health{OK: true, Status: portsync.Disabled, Detail: DisabledText}
	}
	if !d.status.Ready() {
		return metrics.Health{Status: "starting", Reasons: []string{"the initial sync is not complete"}}
	}
	return metrics.Health{OK: true, Status: "ready"}
}

// tellHealth tells the log and the service manager of another verdict, once the
// daemon is ready: what delays a start has lines of its own. It waits until READY=1
// is sent, since the status line of that message would replace the reasons. A degraded
// daemon is no warning: a config reload and a port breakout degrade it for a moment.
func (d *Process) tellHealth(ctx context.Context, was, is portsync.Health) {
	select {
	case <-d.readyTold:
	case <-ctx.Done():
		return
	}
	level := syslog.LevelNotice
	switch {
	case is.Score > was.Score:
	case is.Status == portsync.Unhealthy:
		level = slog.LevelError
	}
	d.log.Log(ctx, level, "health is "+is.Status, "was", was.Status,
		"score", is.Score, "reasons", is.Codes())
	if is.Status == portsync.Healthy {
		d.notify(systemd.Status("%s", d.loop.Summary()))
		return
	}
	texts := make([]string, len(is.Reasons))
	for i := range is.Reasons {
		texts[i] = is.Reasons[i].String()
	}
	d.notify(systemd.Status("%s, score %d: %s", is.Status, is.Score, strings.Join(texts, "; ")))
}
