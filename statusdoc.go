package main

import (
	"os"
	"time"

	"portsyncd/insight"
	"portsyncd/portsync"
)

// began is when the process did.
var began = time.Now()

// statusRestarts is how many restarts a status has at most.
const statusRestarts = 50

// appendStatus appends the document of /status. It may be called from any
// goroutine.
func (d *process) appendStatus(b []byte) []byte { return d.statusAt(time.Now()).AppendJSON(b) }

// appendPage appends the page at /. It may be called from any goroutine.
func (d *process) appendPage(b []byte) []byte { return d.statusAt(time.Now()).AppendPage(b) }

// statusAt returns the daemon as it is at a time of day, the present one. It may
// be called from any goroutine, and disturbs nothing.
func (d *process) statusAt(now time.Time) *insight.Status {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	restarts := d.memory.Restarts()
	return &insight.Status{
		Schema: insight.StatusSchema, Time: now.UTC(), Version: release, Host: host,
		// The variable tells the instances of a multi-ASIC box apart.
		Instance: os.Getenv("NAMESPACE_ID"), PID: os.Getpid(), Process: began.UTC(),
		Health:   d.verdict(),
		View:     d.status.View(now),
		Restarts: restarts[max(0, len(restarts)-statusRestarts):],
	}
}

// verdict is the health of the loop and of the disk.
func (d *process) verdict() portsync.Health {
	h := d.health()
	v := portsync.Health{Status: h.Status, Score: 100, Since: began, Reasons: []portsync.HealthReason{}}
	for _, r := range h.Reasons {
		v.Reasons = append(v.Reasons, portsync.HealthReason{Code: "reason", Severity: h.Status, Text: r, Since: began})
	}
	return v
}
