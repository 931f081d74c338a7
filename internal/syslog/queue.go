package syslog

import (
	"sync/atomic"
	"time"
)

const (
	maxQueued     = 64                     // maximum number of lines in the queue, including the line being sent
	queueTimeout  = 10 * time.Second       // how long a line stays in the queue
	roomTimeout   = 100 * time.Millisecond // duration of one wait for the output
	queueInterval = time.Millisecond       // how often WriteLine checks whether the queue is empty
)

// queue contains lines from Handle that could not be written immediately because the output was
// full. One goroutine, which runs only while the queue is not empty, sends them in order. While it
// runs, Handle appends further lines to the queue, and WriteLine waits until the queue is empty.
type queue struct {
	length atomic.Int64 // number of lines in the channel, including the line being sent
	lines  chan queuedLine
}

type queuedLine struct {
	text     []byte
	output   Output
	severity Severity
	deadline time.Time
}

// deliver writes a line. If the output is full or lines are queued, it queues the line. If the
// queue is full, it drops the line.
func (s *shared) deliver(output Output, severity Severity, line []byte) bool {
	if s.queue.length.Load() == 0 {
		if r := s.send(output, line, 0); r != full {
			if r == written {
				s.lines[severity].Add(1)
			}
			return r == written
		}
	}
	for {
		n := s.queue.length.Load()
		if n >= maxQueued {
			return false
		}
		if !s.queue.length.CompareAndSwap(n, n+1) {
			continue
		}
		// The channel has a capacity of maxQueued lines, so this does not block.
		s.queue.lines <- queuedLine{append([]byte(nil), line...), output, severity, time.Now().Add(queueTimeout)}
		if n == 0 {
			go s.sendQueued()
		}
		return true
	}
}

// sendQueued sends queued lines until the queue is empty.
func (s *shared) sendQueued() {
	for remaining := int64(1); remaining > 0; remaining = s.queue.length.Add(-1) {
		l := <-s.queue.lines
		r := s.send(l.output, l.text, 0)
		for r == full && time.Now().Before(l.deadline) {
			s.waitRoom(l.output, roomTimeout)
			r = s.send(l.output, l.text, 0)
		}
		s.count(l.severity, r == written)
	}
}

// waitQueue waits until the queue is empty. It returns the remaining timeout, or false if the queue
// is still not empty when the timeout expires.
func (s *shared) waitQueue(timeout time.Duration) (rest time.Duration, ok bool) {
	if s.queue.length.Load() == 0 {
		return timeout, true
	}
	deadline := time.Now().Add(timeout)
	for s.queue.length.Load() > 0 {
		if !time.Now().Before(deadline) {
			return 0, false
		}
		time.Sleep(queueInterval)
	}
	return max(0, time.Until(deadline)), true
}
