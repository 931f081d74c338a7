package netlinkraw

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// dumpTracker tracks the dump requests of a Conn, and whether the dump in progress was interrupted. The
// kernel answers one dump at a time.
//
// RequestLinkDump writes issued. The receiving goroutine owns the other fields.
type dumpTracker struct {
	port   uint32        // port ID of the socket
	issued atomic.Uint32 // sequence number of the newest request, 0 if none
	any    bool          // all dumps count as requested, for Batch.Load

	seq         uint32 // sequence number of the dump in progress
	interrupted bool   // a part of it had NLM_F_DUMP_INTR

	losses bool   // messages were lost at least once
	lossAt uint32 // sequence number of the newest request at the last loss
}

// lose records that messages were lost, so that dumps requested so far may lack links.
func (d *dumpTracker) lose() { d.losses, d.lossAt = true, d.issued.Load() }

// lossy reports whether messages were lost after dump seq was requested. A loss that was detected after
// the request counts, even if it happened before.
func (d *dumpTracker) lossy(seq uint32) bool { return d.losses && d.lossAt-seq < 1<<31 }

// issue returns the sequence number for a new request. It is never 0, the number of unsolicited messages.
func (d *dumpTracker) issue() uint32 {
	for {
		if seq := d.issued.Add(1); seq != 0 {
			return seq
		}
	}
}

// part reports whether a message belongs to a dump of this socket, and updates the state of that dump.
// known is false if the message has the port ID of this socket but was not requested.
func (d *dumpTracker) part(h header) (ours, known bool) {
	if h.flags&unix.NLM_F_MULTI == 0 || !d.any && h.port != d.port {
		return false, true // a live message has the port ID of the socket that caused it
	}
	if !d.owns(h) {
		return false, false
	}
	if h.seq != d.seq {
		d.seq, d.interrupted = h.seq, false
	}
	if h.flags&unix.NLM_F_DUMP_INTR != 0 {
		d.interrupted = true
	}
	return true, true
}

// owns reports whether h is the answer to a request of this socket. It compares the distance, so that
// the counter may wrap.
func (d *dumpTracker) owns(h header) bool {
	if d.any {
		return true
	}
	return h.port == d.port && h.seq != 0 && d.issued.Load()-h.seq < 1<<31
}
