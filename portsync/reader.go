package portsync

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/ring"
	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
)

// Links is the source of link messages: a netlinkraw.Conn, or lab.SimKernel where network
// namespaces are not permitted.
type Links interface {
	// Receive blocks until there are messages. After Close it returns os.ErrClosed. It is
	// called by one goroutine at a time.
	Receive(*netlinkraw.Batch) error
	// RequestLinkDump requests all links. The answer arrives through Receive and ends with a
	// DumpDone of the returned sequence number. It may be called from any goroutine.
	RequestLinkDump() (seq uint32, err error)
	// RequestLink requests one link. The answer arrives like a live message.
	RequestLink(index int32) error
	// Close unblocks Receive.
	Close() error
}

// reader moves messages from the netlink socket to the ring and does nothing else, so that the
// kernel's buffer does not fill while the loop waits. It is a goroutine that ends when links or
// done is closed.
type reader struct {
	links Links
	ring  *ring.Ring[Event]
	now   func() int64
	done  <-chan struct{}
	log   *slog.Logger
}

// Pauses after a failed read.
const (
	readPauseMin = 10 * time.Millisecond
	readPauseMax = time.Second
)

// run returns once links is closed. After any other error messages may be lost: run adds an
// Overrun to the ring.
func (r *reader) run() {
	var batch netlinkraw.Batch
	pause := backoff.Backoff{Min: readPauseMin, Max: readPauseMax}
	faults := syslog.Limiters{Every: complainEvery}
	for {
		err := r.links.Receive(&batch)
		switch {
		case err == nil:
			pause.Reset()
			if !r.drain(&batch) {
				return
			}
		case errors.Is(err, os.ErrClosed):
			return
		default:
			if ok, suppressed := faults.Allow(err.Error(), time.Now()); ok {
				r.log.Error("cannot read link messages; retrying", "error", err, "suppressed", suppressed)
			}
			if !r.put(&netlinkraw.Message{Type: netlinkraw.Overrun}, r.now()) {
				return
			}
			r.ring.Wake()
			select {
			case <-time.After(pause.Next()):
			case <-r.done:
				return
			}
		}
	}
}

// drain moves the messages of one read to the ring and reports whether to continue.
func (r *reader) drain(batch *netlinkraw.Batch) bool {
	at := r.now()
	for batch.Next() {
		if !r.put(batch.Message(), at) {
			return false
		}
	}
	r.ring.Wake()
	return true
}

// put moves one message to the ring, after a wait if the ring is full, and reports whether to
// continue.
func (r *reader) put(m *netlinkraw.Message, at int64) bool {
	slot := r.ring.Slot()
	if slot == nil {
		if !r.ring.WaitRoom(r.done) {
			return false
		}
		slot = r.ring.Slot()
	}
	slot.fill(m, at)
	r.ring.Push()
	return true
}
