package portsync

import (
	"time"

	"portsyncd/internal/warmrestart"
)

// Recorder keeps what has to survive the process. Its methods return at once: the loop
// never waits for a disk. warmrestart.Recorder is one.
type Recorder interface {
	// HasState reports whether a good state file of this boot was found.
	HasState() bool
	// DiscardState tells the recorder that the state file does not match the databases.
	DiscardState()
	// RecordRestart stores the record of this start, once its initial sync is complete.
	RecordRestart(warmrestart.Restart)
	// RecordPorts stores the current ports, in any order. The recorder owns the slice.
	RecordPorts([]warmrestart.Port)
}

// The ports are passed to the Recorder recordDelay after a change, so that a burst is one
// record, and at most every recordEvery, since flash wears out.
const (
	recordDelay = 50 * time.Millisecond
	recordEvery = time.Second
)

// recorder owns the time at which the ports are passed to the Recorder.
type recorder struct {
	*base
	at   int64 // when they are passed; never if they have not changed
	last int64 // when they last were
}

func newRecorder(b *base) recorder {
	return recorder{base: b, at: never, last: -int64(recordEvery)} // the first change does not wait
}

// changed follows a change of a port.
func (r *recorder) changed(now int64) {
	if r.at == never {
		r.at = max(now+int64(recordDelay), r.last+int64(recordEvery))
	}
}

// finish passes the ports at the end of the process, if they have changed.
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
			ports = append(ports, warmrestart.Port{Name: p.Name, Index: p.Index, Admin: p.Admin, Oper: p.Oper,
				MTU: p.MTU, CarrierUp: p.CarrierUp, CarrierDown: p.CarrierDown})
		}
	}
	r.Recorder.RecordPorts(ports)
}
