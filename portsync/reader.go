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

// Links is a source of link messages: a netlinkraw.Conn, or a lab.SimKernel on systems where
// network namespaces are not permitted.
type Links interface {
	// Receive blocks until messages arrive. After Close it returns os.ErrClosed. It must not be
	// called by two goroutines at the same time.
	Receive(*netlinkraw.Batch) error
	// RequestLinkDump requests a dump of all links. The reply is received by Receive and ends with
	// a DumpDone that has the returned sequence number. RequestLinkDump may be called from any
	// goroutine.
	RequestLinkDump() (seq uint32, err error)
	// RequestLink requests one link. The reply is received like any other link message.
	RequestLink(index int32) error
	// Close makes Receive return.
	Close() error
}

// reader moves messages from the netlink socket to the ring. It does nothing else, so the socket's
// receive buffer is drained while the loop is busy. It runs on its own goroutine, which ends when
// links or done is closed.
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

// run moves messages to the ring until links is closed. After any other error, messages may have
// been lost, so run adds an Overrun to the ring.
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

// drain moves the messages of one read to the ring. It returns false if run must end.
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

// put moves one message to the ring. It waits while the ring is full. It returns false if run must
// end.
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
