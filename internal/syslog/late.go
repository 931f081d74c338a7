package syslog

import (
	"sync/atomic"
	"time"
)

const (
	maxLate  = 64                     // lines that wait for room at once
	lateFor  = 10 * time.Second       // how long each of them waits
	lateLook = 100 * time.Millisecond // how long one wait for room is, should nobody tell of it
	lateRest = time.Millisecond       // how often WriteLine looks whether it may go on
)

// late are the lines of Handle that found the way out full. One goroutine, which runs while there are
// any, sends them in their order; meanwhile what else is logged queues behind them, and WriteLine stands back.
type late struct {
	waiting atomic.Int64 // lines in the channel or in the goroutine's hand
	lines   chan lateLine
}

type lateLine struct {
	text     []byte
	output   Output
	severity Severity
	until    time.Time
}

// deliver sends a line, or has it sent later, or drops it.
func (s *shared) deliver(output Output, severity Severity, line []byte) {
	if s.late.waiting.Load() == 0 {
		if became := s.send(output, line, 0); became != full {
			s.count(severity, became == taken)
			return
		}
	}
	for {
		n := s.late.waiting.Load()
		if n >= maxLate {
			s.dropped.Add(1)
			return
		}
		if !s.late.waiting.CompareAndSwap(n, n+1) {
			continue
		}
		s.late.lines <- lateLine{append([]byte(nil), line...), output, severity, time.Now().Add(lateFor)} // has room for maxLate
		if n == 0 {
			go s.deliverLate()
		}
		return
	}
}

// deliverLate sends lines until none is left.
func (s *shared) deliverLate() {
	for left := int64(1); left > 0; left = s.late.waiting.Add(-1) {
		l := <-s.late.lines
		became := s.send(l.output, l.text, 0)
		for became == full && time.Now().Before(l.until) {
			s.waitRoom(l.output, lateLook)
			became = s.send(l.output, l.text, 0)
		}
		s.count(l.severity, became == taken)
	}
}

// standBack waits until no late line is left, at most for patience, and returns what is left of that.
func (s *shared) standBack(patience time.Duration) (left time.Duration, ok bool) {
	if s.late.waiting.Load() == 0 {
		return patience, true
	}
	end := time.Now().Add(patience)
	for s.late.waiting.Load() > 0 {
		if !time.Now().Before(end) {
			return 0, false
		}
		time.Sleep(lateRest)
	}
	return max(0, time.Until(end)), true
}
