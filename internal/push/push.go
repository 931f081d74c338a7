package push

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/syslog"
	"portsyncd/metrics"
)

// Config configures a [Pusher].
type Config struct {
	URL      string        // http or https URL, with the database or bucket in its query
	Interval time.Duration // time between batches, greater than 0
	Instance func() string // returns the value of the tag "instance"; called for each batch

	AuthorizationFile string // path of a file with the Authorization header, read for each request; "" for none
	CAFile            string // path of a PEM file with certificate authorities; "" for the system's
	Device            string // interface or VRF to bind connections to; "" for any
	Gzip              bool   // compress the batches
	QueueBatches      int    // maximum number of queued batches, at least 1
	UserAgent         string
}

// Pusher sends batches of samples. It is created by [New].
type Pusher struct {
	config   Config
	set      *metrics.Set
	families *Families
	log      *slog.Logger
	post     func(ctx context.Context, b *batch) result

	lines   lines
	text    []byte
	gzip    *gzip.Writer
	queue   []*batch // oldest first
	failing string   // outcome of the last request if it failed, or ""
	pause   backoff.Backoff
}

// batch contains all samples of one point in time, in line protocol.
type batch struct {
	body    []byte
	samples int
}

// New returns a Pusher that sends the samples of set. It returns an error if the URL is invalid.
func New(c Config, set *metrics.Set, f *Families, log *slog.Logger) (*Pusher, error) {
	s, err := newSender(&c)
	if err != nil {
		return nil, err
	}
	return &Pusher{config: c, set: set, families: f, log: log, post: s.post,
		pause: backoff.Backoff{Min: minBackoff, Max: maxBackoff}}, nil
}

// requestTimeout is the timeout of a request, from the address lookup to the end of the response.
const requestTimeout = 10 * time.Second

// Run sends batches until ctx ends, then cancels the running request. It must be called once.
func (p *Pusher) Run(ctx context.Context) {
	// Send the first batch at a random time, so that switches that start together do not push at
	// the same time.
	next := time.NewTimer(rand.N(p.config.Interval))
	defer next.Stop()
	var retry <-chan time.Time // nil except during a backoff
	results := make(chan result, 1)
	busy := false
	for ctx.Err() == nil {
		if !busy && retry == nil && len(p.queue) > 0 {
			busy = true
			b := p.dequeue()
			go func() {
				short, cancel := context.WithTimeout(ctx, requestTimeout)
				defer cancel()
				results <- p.post(short, b)
			}()
		}
		select {
		case <-ctx.Done():
		case <-next.C:
			next.Reset(p.config.Interval)
			p.sample()
		case <-retry:
			retry = nil
		case r := <-results:
			busy = false
			if wait := p.handleResult(&r); wait > 0 {
				retry = time.After(wait)
			}
		}
	}
	if busy {
		<-results // post returns when ctx ends
	}
}

// sample adds a batch with the current samples to the queue.
func (p *Pusher) sample() {
	var n int
	p.text, n = p.lines.appendBatch(p.text[:0], p.set.Samples(), p.config.Instance(), time.Now().UnixNano())
	if n == 0 {
		return
	}
	b := &batch{samples: n}
	if p.config.Gzip {
		b.body = p.compress(p.text)
	} else {
		b.body = slices.Clone(p.text)
	}
	p.queue = append(p.queue, b)
	p.dropOldest()
}

// dropOldest drops the oldest batches until the queue does not exceed its limit.
func (p *Pusher) dropOldest() {
	for len(p.queue) > p.config.QueueBatches {
		p.dequeue()
		p.families.dropped.At(dropQueueFull).Inc()
	}
	p.families.queued.Set(int64(len(p.queue)))
}

// dequeue removes the oldest batch from the queue and returns it.
func (p *Pusher) dequeue() *batch {
	b := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.families.queued.Set(int64(len(p.queue)))
	return b
}

// handleResult handles the result of a request and returns the delay before the next request.
func (p *Pusher) handleResult(r *result) time.Duration {
	p.families.count(r)
	switch r.outcome {
	case delivered:
		if p.failing != "" {
			p.log.Log(context.Background(), syslog.LevelNotice, "pushing metrics resumed", "url", p.config.URL)
		}
		p.failing = ""
		p.pause.Reset()
		return 0
	case refused:
		p.report(r)
		p.families.dropped.At(dropRefused).Inc()
		p.pause.Reset() // the receiver is available and may accept the next batch
		return min(r.retryAfter, maxRetryAfter)
	}
	p.report(r)
	p.queue = append([]*batch{r.batch}, p.queue...)
	p.dropOldest()
	return max(p.pause.Next(), min(r.retryAfter, maxRetryAfter))
}

// report logs a failure unless the previous request failed with the same outcome.
func (p *Pusher) report(r *result) {
	if p.failing != r.outcome.String() {
		p.log.Warn("cannot push metrics", "url", p.config.URL, "reason", r.outcome, "error", r.err)
	}
	p.failing = r.outcome.String()
}

const (
	minBackoff    = time.Second
	maxBackoff    = time.Minute
	maxRetryAfter = 15 * time.Minute // maximum accepted Retry-After delay
)

// compress returns text compressed with gzip.
func (p *Pusher) compress(text []byte) []byte {
	var b bytes.Buffer
	if p.gzip == nil {
		p.gzip = gzip.NewWriter(&b)
	}
	p.gzip.Reset(&b)
	_, err := p.gzip.Write(text)
	if err := errors.Join(err, p.gzip.Close()); err != nil {
		panic(fmt.Sprintf("push: compress in memory: %v", err)) // a bytes.Buffer returns no error
	}
	return b.Bytes()
}
