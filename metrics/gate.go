package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"sync"
	"time"
)

const (
	// turnWait is how long a request waits for its turn before it is told
	// to come back later, and turnCheck how often it looks meanwhile
	// whether a client that does not read is in the way.
	turnWait  = 2 * time.Second
	turnCheck = 25 * time.Millisecond
)

// gate bounds the memory and the processors that large answers take: so many
// answers exist at a time, and fewer are being made.
type gate struct {
	places   chan struct{} // one is held from making an answer to its last byte
	workers  chan *worker  // one is held while making it
	conns    *connTable
	rejected *Vec[Counter]

	mu   sync.Mutex
	free []*answer // last used first, so that one client needs one buffer
}

// answer is the memory of one answer.
type answer struct {
	body []byte
}

// worker is the memory needed to make an answer.
type worker struct {
	plain  []byte
	packer *gzip.Writer
}

func newGate(answers, workers int, conns *connTable, rejected *Vec[Counter]) *gate {
	g := &gate{
		places:   make(chan struct{}, answers),
		workers:  make(chan *worker, workers),
		conns:    conns,
		rejected: rejected,
	}
	for range workers {
		g.workers <- new(worker)
	}
	return g
}

// enter waits for a place and returns the memory that goes with it, or nil if
// ctx ended or the wait was too long. Leave must follow.
func (g *gate) enter(ctx context.Context) *answer {
	select {
	case g.places <- struct{}{}:
		return g.take()
	default:
	}
	check := time.NewTicker(turnCheck)
	defer check.Stop()
	tooLong := time.NewTimer(turnWait)
	defer tooLong.Stop()
	for {
		select {
		case g.places <- struct{}{}:
			return g.take()
		case <-check.C:
			g.conns.closeStalled()
		case <-tooLong.C:
			g.rejected.At(rejectRequests).Inc()
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (g *gate) take() *answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.free)
	if n == 0 {
		return new(answer)
	}
	a := g.free[n-1]
	g.free = g.free[:n-1]
	return a
}

func (g *gate) leave(a *answer) {
	g.mu.Lock()
	g.free = append(g.free, a)
	g.mu.Unlock()
	<-g.places
}

// make fills a with what render appends, compressed if asked for.
func (g *gate) make(a *answer, render func([]byte) []byte, compress bool) {
	w := <-g.workers
	defer func() { g.workers <- w }()
	if !compress {
		a.body = render(a.body[:0])
		return
	}
	w.plain = render(w.plain[:0])
	out := bytes.NewBuffer(a.body[:0])
	if w.packer == nil {
		// The error is about a bad level, and this one is good.
		w.packer, _ = gzip.NewWriterLevel(out, gzip.BestSpeed)
	} else {
		w.packer.Reset(out)
	}
	w.packer.Write(w.plain) // a bytes.Buffer takes everything
	w.packer.Close()
	a.body = out.Bytes()
}
