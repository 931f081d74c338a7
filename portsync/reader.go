package portsync

import (
	"errors"
	"fmt"
	"os"

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
	ring  *ring
	now   func() int64
	done  <-chan struct{}
}

// run returns nil once the source is closed.
func (r *reader) run() error {
	var batch netlinkraw.Batch
	for {
		if err := r.links.Receive(&batch); err != nil {
			if errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("read link messages: %w", err)
		}
		if !r.drain(&batch) {
			return nil
		}
	}
}

// drain moves one batch of messages into the ring and reports whether to go on.
func (r *reader) drain(batch *netlinkraw.Batch) bool {
	at := r.now()
	for batch.Next() {
		slot := r.ring.slot()
		if slot == nil {
			if !r.ring.waitRoom(r.done) {
				return false
			}
			slot = r.ring.slot()
		}
		slot.fill(batch.Message(), at)
		r.ring.push()
	}
	r.ring.wake()
	return true
}
