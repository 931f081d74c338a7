package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"sync"
	"time"
)

const (
	// answerWait is how long a request waits for memory for its answer before it gets
	// a 503, and answerCheck how often clients that do not read are cut off meanwhile.
	answerWait  = 2 * time.Second
	answerCheck = 25 * time.Millisecond
)

// answers bounds the memory of large answers, each of which holds a place from its
// making to its last byte, and the processors that make them.
type answers struct {
	places [2]chan struct{} // one for each answer in memory: of TCP clients, of unix sockets
	makers chan struct{}    // one for each answer in the making

	mu   sync.Mutex
	free []*buffer // last used first, so that one client needs one
}

// buffer is the memory of one answer.
type buffer struct {
	plain  []byte
	packed bytes.Buffer
	packer *gzip.Writer // nil before its first use
}

func newAnswers(places, makers int) *answers {
	half := func() chan struct{} { return make(chan struct{}, (places+1)/2) }
	return &answers{places: [2]chan struct{}{half(), half()}, makers: make(chan struct{}, makers)}
}

// enter takes a place for c and reports whether one was free in time. While it waits it
// has clients cut off that do not read. Leave must follow if it is true.
func (a *answers) enter(ctx context.Context, c *conn) bool {
	places := a.places[one(c.unix)]
	select {
	case places <- struct{}{}:
		return true
	default:
	}
	for range answerWait / answerCheck {
		select {
		case places <- struct{}{}:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(answerCheck):
			c.limiter.closeStalled()
		}
	}
	return false
}

func (a *answers) leave(c *conn) { <-a.places[one(c.unix)] }

// buffer returns memory for an answer that has a place. Keep must follow.
func (a *answers) buffer() *buffer {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.free)
	if n == 0 {
		return new(buffer)
	}
	b := a.free[n-1]
	a.free = a.free[:n-1]
	return b
}

func (a *answers) keep(b *buffer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, b)
}

// render makes what render appends, compressed if asked for. It is in b.
func (a *answers) render(b *buffer, render func([]byte) []byte, compress bool) []byte {
	a.makers <- struct{}{}
	defer func() { <-a.makers }() // also when render panics
	b.plain = render(b.plain[:0])
	if !compress {
		return b.plain
	}
	b.packed.Reset()
	if b.packer == nil {
		b.packer, _ = gzip.NewWriterLevel(&b.packed, gzip.BestSpeed) // the level is good
	} else {
		b.packer.Reset(&b.packed)
	}
	b.packer.Write(b.plain) // a bytes.Buffer takes everything
	b.packer.Close()
	return b.packed.Bytes()
}
