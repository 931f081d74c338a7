package portsync

import (
	"time"

	"portsyncd/internal/backoff"
)

// Minimum and maximum pause between lookups of ports.
const recheckMin, recheckMax = 50 * time.Millisecond, 500 * time.Millisecond

// rechecker schedules lookups of ports in APPL_DB that no link message will trigger; see
// Port.uncertain.
type rechecker struct {
	at    int64
	pause backoff.Backoff
}

func newRechecker() rechecker {
	return rechecker{at: never, pause: backoff.Backoff{Min: recheckMin, Max: recheckMax}}
}

// schedule schedules a lookup, unless one is already scheduled. The pause before it grows with each
// call.
func (r *rechecker) schedule(now int64) {
	if r.at == never {
		r.at = now + int64(r.pause.Next())
	}
}

// reset resets the pause to its minimum.
func (r *rechecker) reset() { r.pause.Reset() }

// begin clears the schedule, because the scheduled lookup has started.
func (r *rechecker) begin() { r.at = never }

// recheckRows looks up ports that were accepted before APPL_DB lost its rows or that were written
// for orchagent again, because no link message shows when orchagent has processed them. It also
// looks up ports whose row was refused.
func (l *Loop) recheckRows(now int64) {
	l.recheck.begin()
	for _, p := range l.state.ports {
		if p.uncertain() {
			l.writes.rewrite(p, now)
		}
	}
}

// uncertain reports whether the port has an interface but no row, and whether the row may have to
// be written without a further link message.
func (p *Port) uncertain() bool { return p.Index != 0 && (p.recheck || p.reproduced || p.refused) }
