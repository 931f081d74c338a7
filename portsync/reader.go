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

// Links is where link messages come from: a netlinkraw.Conn, or a simulated
// kernel where namespaces are forbidden.
type Links interface {
	// Receive blocks until there are messages. After Close it returns
	// os.ErrClosed. One goroutine at a time.
	Receive(*netlinkraw.Batch) error
	// RequestLinkDump asks for all links; the answer arrives through Receive and
	// ends with a DumpDone of the returned sequence number. Any goroutine.
	RequestLinkDump() (seq uint32, err error)
	// RequestLink asks for one link; the answer arrives like a live message.
	RequestLink(index int32) error
	// Close unblocks Receive.
	Close() error
}

// reader drains the netlink socket into the ring and does nothing else, so that
// the kernel's buffer is empty whenever the machine has a moment. It runs on a
// goroutine of its own, which ends when links is closed or done is.
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

// run returns once the source is closed. No other error is expected of a socket;
// if one comes, messages may be lost, and the loop is told so.
func (r *reader) run() {
	var batch netlinkraw.Batch
	pause := backoff.Backoff{Min: readPauseMin, Max: readPauseMax}
	complaints := syslog.Limiters{Every: complainEvery}
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
			if ok, suppressed := complaints.Allow(err.Error(), time.Now()); ok {
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

// drain moves one batch of messages into the ring and reports whether to go on.
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

// put moves one message into the ring, waiting for room if there is none, and
// reports whether to go on.
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
