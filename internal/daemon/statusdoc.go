package daemon

import (
	"os"
	"time"

	"portsyncd/internal/statusview"
)

// began is when the process did.
var began = time.Now()

// statusRestarts is how many restarts a status has at most.
const statusRestarts = 50

// appendStatus appends the document of /status. It may be called from any
// goroutine.
func (d *Process) appendStatus(b []byte) []byte { return d.statusAt(time.Now()).AppendJSON(b) }

// appendPage appends the page at /. It may be called from any goroutine.
func (d *Process) appendPage(b []byte) []byte { return d.statusAt(time.Now()).AppendPage(b) }

// statusAt returns the daemon as it is at a time of day, the present one. It may
// be called from any goroutine, and disturbs nothing.
func (d *Process) statusAt(now time.Time) *statusview.Status {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	restarts := d.memory.Restarts()
	return &statusview.Status{
		Schema: statusview.StatusSchema, Time: now.UTC(), Version: Release, Host: host,
		// The variable tells the instances of a multi-ASIC box apart.
		Instance: os.Getenv("NAMESPACE_ID"), PID: os.Getpid(), Process: began.UTC(),
		Health:   d.monitor.Health(),
		View:     d.status.View(now),
		Restarts: restarts[max(0, len(restarts)-statusRestarts):],
	}
}
