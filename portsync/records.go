package portsync

import (
	"time"

	"portsyncd/internal/warmrestart"
)

// Recorder stores the data that must be kept across restarts. Its methods return immediately, so
// the loop never waits for a disk. They are called only by the loop. warmrestart.Recorder implements
// Recorder. It is an interface because that type hands the data to its own goroutine: with a fake,
// tests see in which turn the loop passes what.
type Recorder interface {
	// HasState reports whether a valid state file of the current boot was found.
	HasState() bool
	// DiscardState notifies the recorder that the state file does not match the databases.
	DiscardState()
	// RecordRestart stores the record of the current start. It is called when the initial sync is
	// complete.
	RecordRestart(warmrestart.Restart)
	// RecordPorts stores the current ports, in any order. The recorder takes ownership of the
	// slice.
	RecordPorts([]warmrestart.Port)
}

// After a change, the ports are passed to the Recorder with a delay of recordDelay, so that a burst
// of changes causes one write. They are passed at most once per recordEvery to reduce flash wear.
const (
	recordDelay = 50 * time.Millisecond
	recordEvery = time.Second
)

// recorder schedules when the ports are passed to the Recorder.
type recorder struct {
	*base
	at   int64 // when to pass the ports; never if they have not changed
	last int64 // when the ports were last passed
}

func newRecorder(b *base) recorder {
	return recorder{base: b, at: never, last: -int64(recordEvery)} // the first change does not wait
}

// changed records that a port has changed.
func (r *recorder) changed(now int64) {
	if r.at == never {
		r.at = max(now+int64(recordDelay), r.last+int64(recordEvery))
	}
}

// finish passes the ports on shutdown if they have changed.
func (r *recorder) finish(now int64) {
	if r.at != never {
		r.write(now)
	}
}

// write passes a copy of the ports that have a row to the Recorder.
func (r *recorder) write(now int64) {
	r.at, r.last = never, now
	if r.Recorder == nil {
		return
	}
	ports := make([]warmrestart.Port, 0, len(r.state.ports))
	for _, p := range r.state.ports {
		if p.Accepted {
			ports = append(ports, warmrestart.Port{Name: p.Name, LinkState: p.LinkState})
		}
	}
	r.Recorder.RecordPorts(ports)
}
