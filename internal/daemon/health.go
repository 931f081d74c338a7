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

// disabledText explains the health state if daemon.enabled is false.
const disabledText = "daemon.enabled is false: ports are not synchronized"

// health returns the response of /healthz. Only an unhealthy daemon is reported as not OK, because
// a degraded daemon still synchronizes ports. It may be called from any goroutine.
func (d *Daemon) health() metrics.Health {
	h := d.monitor.Health()
	response := metrics.Health{
		OK: h.Status != portsync.Unhealthy, Status: h.Status,
		Detail: fmt.Sprintf("score %d of 100", h.Score),
	}
	if h.Status == portsync.Disabled {
		response.Detail = disabledText
	}
	for i := range h.Reasons {
		response.Reasons = append(response.Reasons, h.Reasons[i].String())
	}
	response.Document = struct {
		OK bool `json:"ok"`
		portsync.Health
	}{response.OK, h}
	return response
}

// readiness returns the response of /readyz. It may be called from any goroutine.
func (d *Daemon) readiness() metrics.Health {
	if !d.Config.Daemon.Enabled {
		return metrics.Health{OK: true, Status: portsync.Disabled, Detail: disabledText}
	}
	if !d.status.Ready() {
		return metrics.Health{Status: "starting", Reasons: []string{"the initial sync is not complete"}}
	}
	return metrics.Health{OK: true, Status: "ready"}
}

// reportHealth writes a change of the health state to the log and to the status line of the service
// manager. It first waits until READY=1 has been sent, because that message also sets the status
// line. A change to degraded is logged as a notice rather than a warning, because a config reload
// or a port breakout degrades the daemon briefly.
func (d *Daemon) reportHealth(ctx context.Context, was, is portsync.Health) {
	select {
	case <-d.readySent:
	case <-ctx.Done():
		return
	}
	level := syslog.LevelNotice
	if is.Status == portsync.Unhealthy && is.Score <= was.Score {
		level = slog.LevelError
	}
	if is.Status == was.Status {
		d.log.Log(ctx, level, "health reasons changed", "status", is.Status,
			"score", is.Score, "reasons", is.Codes())
	} else {
		d.log.Log(ctx, level, "health is "+is.Status, "previous", was.Status,
			"score", is.Score, "reasons", is.Codes())
	}
	if is.Status == portsync.Healthy {
		d.notify(systemd.Status("%s", d.loop.Summary()))
		return
	}
	d.notify(systemd.Status("%s, score %d: %s", is.Status, is.Score, reasonTexts(&is)))
}

// reasonTexts returns the texts of the health reasons on one line.
func reasonTexts(h *portsync.Health) string {
	texts := make([]string, len(h.Reasons))
	for i := range h.Reasons {
		texts[i] = h.Reasons[i].String()
	}
	return strings.Join(texts, "; ")
}
