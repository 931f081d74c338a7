package portsync

import (
	"time"

	"portsyncd/internal/backoff"
)

// Pauses between lookups of ports.
const recheckMin, recheckMax = 50 * time.Millisecond, 500 * time.Millisecond

// rechecker owns the time at which ports are looked up again that no link message will
// report: see uncertain.
type rechecker struct {
	at    int64
	pause backoff.Backoff
}

func newRechecker() rechecker {
	return rechecker{at: never, pause: backoff.Backoff{Min: recheckMin, Max: recheckMax}}
}

// schedule schedules a lookup after a pause that grows, unless one is scheduled.
func (r *rechecker) schedule(now int64) {
	if r.at == never {
		r.at = now + int64(r.pause.Next())
	}
}

// reset makes the next pause short.
func (r *rechecker) reset() { r.pause.Reset() }

// begin follows the time of a lookup.
func (r *rechecker) begin() { r.at = never }

// recheckRows looks up ports again that were accepted before APPL_DB lost its rows or that
// were produced again, since no link message reports when orchagent pops them, and those
// whose row was refused.
func (l *Loop) recheckRows(now int64) {
	l.recheck.begin()
	for _, p := range l.state.ports {
		if p.uncertain() {
			l.writes.add(Action{Kind: Publish, Port: p}, now)
		}
	}
}

// uncertain reports whether the port has an interface and no row, and may be due one at any
// time without a link message.
func (p *Port) uncertain() bool { return p.Index != 0 && (p.recheck || p.reproduced || p.refused) }
