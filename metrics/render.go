package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"sync"
	"time"
)

const (
	// responseTimeout is how long a request waits for memory for its response before it is rejected
	// with status 503. While a request waits, the server closes the connections of clients that do
	// not read, every stallCheckInterval.
	responseTimeout    = 2 * time.Second
	stallCheckInterval = 25 * time.Millisecond
)

// renderer renders large responses. It limits how many responses are in memory, from rendering
// until the last byte is written, and how many are rendered concurrently. Its methods may be called
// from any goroutine.
type renderer struct {
	slots [2]chan struct{} // responses in memory: for TCP clients, for unix sockets
	cpus  chan struct{}    // responses being rendered

	mu   sync.Mutex
	free []*buffer // most recently used last, so that sequential requests share one
}

// buffer is the memory of one response.
type buffer struct {
	plain      []byte
	compressed bytes.Buffer
	gzip       *gzip.Writer // nil before the first use
}

func newRenderer(responses, cpus int) *renderer {
	half := func() chan struct{} { return make(chan struct{}, (responses+1)/2) }
	return &renderer{slots: [2]chan struct{}{half(), half()}, cpus: make(chan struct{}, cpus)}
}

// acquire acquires a slot for a response on c. It returns false if no slot becomes free within
// responseTimeout or before ctx ends. While it waits, it disconnects clients that do not read. If
// acquire returns true, the caller must call release.
func (r *renderer) acquire(ctx context.Context, c *conn) bool {
	slots := r.slots[boolToInt(c.unix)]
	select {
	case slots <- struct{}{}:
		return true
	default:
	}
	for range responseTimeout / stallCheckInterval {
		select {
		case slots <- struct{}{}:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(stallCheckInterval):
			c.limiter.closeStalled()
		}
	}
	return false
}

func (r *renderer) release(c *conn) { <-r.slots[boolToInt(c.unix)] }

// getBuffer returns a buffer for a response that has a slot. The caller must return it with
// putBuffer.
func (r *renderer) getBuffer() *buffer {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.free)
	if n == 0 {
		return new(buffer)
	}
	b := r.free[n-1]
	r.free = r.free[:n-1]
	return b
}

func (r *renderer) putBuffer(b *buffer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free = append(r.free, b)
}

// render calls appendTo and returns the rendered response, compressed with gzip if compress is
// true. The result is valid until b is used again.
func (r *renderer) render(b *buffer, appendTo func([]byte) []byte, compress bool) []byte {
	r.cpus <- struct{}{}
	defer func() { <-r.cpus }() // also if appendTo panics
	b.plain = appendTo(b.plain[:0])
	if !compress {
		return b.plain
	}
	b.compressed.Reset()
	if b.gzip == nil {
		b.gzip, _ = gzip.NewWriterLevel(&b.compressed, gzip.BestSpeed) // fails for an invalid level only
	} else {
		b.gzip.Reset(&b.compressed)
	}
	b.gzip.Write(b.plain) // a bytes.Buffer returns no error
	b.gzip.Close()
	return b.compressed.Bytes()
}
