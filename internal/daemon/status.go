package daemon

import (
	"os"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/statusview"
)

// processStart is the start time of this process.
var processStart = time.Now()

// statusRestarts is the largest number of restarts in a status document.
const statusRestarts = 50

// appendStatus appends the JSON document of /status. It may be called from any goroutine.
func (d *Daemon) appendStatus(b []byte) []byte { return d.statusAt(time.Now()).AppendJSON(b) }

// appendPorts appends the document of /ports. It may be called from any goroutine.
func (d *Daemon) appendPorts(b []byte) []byte {
	return statusview.AppendPorts(b, d.status.Ports(time.Now()))
}

// Numbers of events on the pages.
const (
	pageEvents     = 20
	portPageEvents = 100
)

// appendPage appends the HTML page of /. It may be called from any goroutine.
func (d *Daemon) appendPage(b []byte) []byte {
	s := d.statusAt(time.Now())
	s.Events = d.journal.Query(&journal.Filter{Limit: pageEvents}, processStart).Events
	return s.AppendPage(b)
}

// portPage returns a function that appends the HTML page of the named port, or nil if there is no
// such port. It may be called from any goroutine.
func (d *Daemon) portPage(name string) func(b []byte) []byte {
	p, found := d.status.Port(name, time.Now())
	if !found {
		return nil
	}
	return func(b []byte) []byte {
		now := time.Now()
		if is, found := d.status.Port(name, now); found { // the request may have waited
			p = is
		}
		return d.statusAt(now).AppendPortPage(b, &p, statusview.PortHistory{
			Hour:   d.journal.Query(&journal.Filter{Ports: []string{name}, Since: now.Add(-time.Hour)}, processStart),
			Recent: d.journal.Query(&journal.Filter{Ports: []string{name}, Limit: portPageEvents}, processStart),
		})
	}
}

// statusAt returns the current state of the daemon. now must be the current time. statusAt may be
// called from any goroutine and does not delay the event loop.
func (d *Daemon) statusAt(now time.Time) *statusview.Status {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	restarts := d.recorder.Restarts()
	return &statusview.Status{
		Schema: statusview.StatusSchema, Time: now.UTC(), Version: Release, Host: host,
		// SONiC sets NAMESPACE_ID in the containers of a multi-ASIC switch.
		Instance: os.Getenv("NAMESPACE_ID"), PID: os.Getpid(), Process: processStart.UTC(),
		Health:   d.monitor.Health(),
		View:     d.status.View(now),
		Restarts: restarts[max(0, len(restarts)-statusRestarts):],
	}
}
