package netlinkraw

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// dumpTracker tracks the dump requests of a Conn and whether the current dump was interrupted. The
// kernel runs one dump per socket at a time.
//
// The fields issued and requesting of a dumpTracker are written by RequestLinkDump. All other fields
// belong to the receiving goroutine.
type dumpTracker struct {
	port       uint32        // port ID of the socket
	issued     atomic.Uint32 // sequence number of the newest request, 0 if there is none
	requesting atomic.Int32  // number of requests that are being sent
	any        bool          // treat every dump as requested (Batch.Load)

	ended uint32      // sequence number of the dump that ended last
	raw   atomic.Bool // the receiver is in a raw system call, or about to decide

	seq         uint32 // sequence number of the dump in progress
	interrupted bool   // a message of the dump had NLM_F_DUMP_INTR

	losses bool   // messages were lost at least once
	lossAt uint32 // newest request when messages were last lost
}

// lose marks all dumps that have been requested as incomplete, because messages were lost.
func (d *dumpTracker) lose() { d.losses, d.lossAt = true, d.issued.Load() }

// lossy reports whether messages were lost since dump seq was requested. A loss that is detected
// after the request counts even if it occurred before the request.
func (d *dumpTracker) lossy(seq uint32) bool { return d.losses && d.lossAt-seq < 1<<31 }

// issue returns the sequence number for a new request. It never returns 0, because unsolicited
// messages have the sequence number 0. The caller must send the request, and then call sent.
//
// If the receiver is in a raw system call, issue waits for its end, so that the call cannot become
// part of the dump. The call does not block, so this takes some microseconds.
func (d *dumpTracker) issue() (seq uint32) {
	d.requesting.Add(1)
	for seq == 0 {
		seq = d.issued.Add(1)
	}
	for d.raw.Load() {
		runtime.Gosched()
	}
	return seq
}

// sent is called when the request for a dump was sent, or could not be sent.
func (d *dumpTracker) sent() { d.requesting.Add(-1) }

// beginRaw reports whether the receiver may use a raw system call: no dump is running, and none can
// begin before endRaw, which the receiver must call after the system call in any case.
//
// A dump is running from its request until its end was received. While the request is being sent,
// the kernel generates the first part of the dump, and perhaps all of it, and still holds locks when
// the end can already be received. If the end is lost or the kernel refuses a request during a dump,
// beginRaw returns false until a later dump ends.
func (d *dumpTracker) beginRaw() bool {
	// One of this store and that of issue is first. Either issue waits, or the new number is seen
	// here.
	d.raw.Store(true)
	if d.requesting.Load() == 0 && d.issued.Load() == d.ended {
		return true
	}
	d.raw.Store(false)
	return false
}

// endRaw ends what beginRaw began.
func (d *dumpTracker) endRaw() { d.raw.Store(false) }

// part reports whether a message with header h belongs to a dump that this socket requested, and
// updates the state of that dump. known is false if the message has this socket's port ID but no
// request matches it.
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

// owns reports whether h is the reply to one of this socket's requests. It compares the distance
// between sequence numbers, which may wrap around.
func (d *dumpTracker) owns(h header) bool {
	if d.any {
		return true
	}
	return h.port == d.port && h.seq != 0 && d.issued.Load()-h.seq < 1<<31
}
