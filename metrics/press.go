package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"sync"
	"time"
)

const (
	// turnWait is how long requests wait for room for their answer before
	// they are told to come back later, and turnCheck how often they look
	// meanwhile whether clients that do not read are in the way.
	turnWait  = 2 * time.Second
	turnCheck = 25 * time.Millisecond
)

// press makes large answers. All requests for the same that come in before
// the making starts share one answer, an edition: it is as fresh as any of
// them can ask for, and a thousand clients cost little more than one. So many
// editions exist at a time, each until its last reader is served, and fewer
// are being made; this bounds memory and processors.
type press struct {
	places   chan struct{} // an edition holds one from its making to its last byte
	workers  chan *worker  // an edition holds one during its making
	conns    *connTable
	rejected *Vec[Counter]

	mu      sync.Mutex          // held for a few instructions, by HTTP only
	waiting map[string]*edition // not begun, by what it is of
	free    [][]byte            // last used first, so that one client needs one buffer
}

// edition is one answer and the requests that share it.
type edition struct {
	ready chan struct{} // closed when body is final
	body  []byte        // nil: could not be made

	// Guarded by press.mu.
	readers int
	placed  bool // holds a place
}

// worker is the memory needed while making an edition.
type worker struct {
	plain  []byte
	packer *gzip.Writer
}

func newPress(editions, workers int, conns *connTable, rejected *Vec[Counter]) *press {
	p := &press{
		places:   make(chan struct{}, editions),
		workers:  make(chan *worker, workers),
		conns:    conns,
		rejected: rejected,
		waiting:  make(map[string]*edition),
	}
	for range workers {
		p.workers <- new(worker)
	}
	return p
}

// take returns an edition of what render appends, compressed if asked for, or
// nil if there was no room in time or ctx has ended. The name stands for
// render and compress together. Give must follow unless it is nil.
func (p *press) take(ctx context.Context, name string, render func([]byte) []byte, compress bool) *edition {
	p.mu.Lock()
	e := p.waiting[name]
	first := e == nil
	if first {
		e = &edition{ready: make(chan struct{})}
		p.waiting[name] = e
	}
	e.readers++
	p.mu.Unlock()

	taken := false
	defer func() { // also when render panics
		if !taken {
			p.give(e)
		}
	}()
	if first {
		// Without regard to ctx: others may wait for this by now.
		p.print(e, name, render, compress)
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		return nil
	}
	if e.body == nil {
		p.rejected.At(rejectRequests).Inc()
		return nil
	}
	taken = true
	return e
}

// give ends one reader's use of e.
func (p *press) give(e *edition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.readers--; e.readers > 0 {
		return
	}
	if e.body != nil {
		p.free = append(p.free, e.body)
	}
	if e.placed {
		<-p.places // there is one, so this does not wait
	}
}

// print makes e when there is room for it.
func (p *press) print(e *edition, name string, render func([]byte) []byte, compress bool) {
	defer close(e.ready)
	roomy := p.waitForPlace()
	if !roomy {
		p.begin(e, name, false)
		return
	}
	w := <-p.workers
	defer func() { p.workers <- w }()
	buf := p.begin(e, name, true)
	if !compress {
		e.body = render(buf)
		return
	}
	w.plain = render(w.plain[:0])
	out := bytes.NewBuffer(buf)
	if w.packer == nil {
		// The error is about a bad level, and this one is good.
		w.packer, _ = gzip.NewWriterLevel(out, gzip.BestSpeed)
	} else {
		w.packer.Reset(out)
	}
	w.packer.Write(w.plain) // a bytes.Buffer takes everything
	w.packer.Close()
	e.body = out.Bytes()
}

// begin lets nobody else join e and returns memory for it.
func (p *press) begin(e *edition, name string, placed bool) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, name)
	e.placed = placed
	n := len(p.free)
	if n == 0 || !placed {
		return []byte{}
	}
	buf := p.free[n-1]
	p.free = p.free[:n-1]
	return buf[:0]
}

// waitForPlace reports whether a place could be had in time.
func (p *press) waitForPlace() bool {
	select {
	case p.places <- struct{}{}:
		return true
	default:
	}
	check := time.NewTicker(turnCheck)
	defer check.Stop()
	tooLong := time.NewTimer(turnWait)
	defer tooLong.Stop()
	for {
		select {
		case p.places <- struct{}{}:
			return true
		case <-check.C:
			p.conns.closeStalled()
		case <-tooLong.C:
			return false
		}
	}
}
