package netlinkraw

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// dumpTracker knows which dump requests are ours, and whether the one being
// answered was interrupted. The kernel answers one dump at a time.
//
// RequestLinkDump writes issued; everything else belongs to the receiver.
type dumpTracker struct {
	port   uint32        // our port id
	issued atomic.Uint32 // sequence number of the newest request, 0 if none
	any    bool          // take every dump for ours: there is no socket

	seq         uint32 // of the dump being answered
	interrupted bool   // NLM_F_DUMP_INTR was seen in it

	losses bool   // messages were lost at least once
	lossAt uint32 // sequence number of the newest request at the last loss
}

// lose notes that messages were lost: what has been requested until now can lack
// links.
func (d *dumpTracker) lose() { d.losses, d.lossAt = true, d.issued.Load() }

// lossy reports whether messages were lost since the dump seq was requested. A
// request made between a loss and its notice counts as well.
func (d *dumpTracker) lossy(seq uint32) bool { return d.losses && d.lossAt-seq < 1<<31 }

// issue returns the sequence number for another request. It is never 0, which
// is what unsolicited messages carry.
func (d *dumpTracker) issue() uint32 {
	for {
		if seq := d.issued.Add(1); seq != 0 {
			return seq
		}
	}
}

// part takes note of a message that may belong to a dump and reports whether it
// belongs to ours. known is false if it claims to be an answer to us and is not.
func (d *dumpTracker) part(h header) (ours, known bool) {
	if h.flags&unix.NLM_F_MULTI == 0 || !d.any && h.port != d.port {
		return false, true // a live message carries the port id of its cause
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

// owns reports whether h answers a request of ours. Comparing by distance keeps
// that true when the counter wraps.
func (d *dumpTracker) owns(h header) bool {
	if d.any {
		return true
	}
	return h.port == d.port && h.seq != 0 && d.issued.Load()-h.seq < 1<<31
}
