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

// Config says where to and how.
type Config struct {
	URL      string        // http or https, whole, with database or bucket in its query
	Interval time.Duration // between batches, above 0
	Instance func() string // called for each batch: value of the tag that tells senders apart

	AuthorizationFile string // its content is the Authorization header, read for each request; "": none
	CAFile            string // PEM, authorities for https instead of the system's; "": those
	Device            string // interface or VRF that connections are bound to; "": any
	Gzip              bool   // compress what is sent and queued
	QueueBatches      int    // batches kept while the receiver takes none, at least 1; the oldest gives way
	UserAgent         string
}

// Pusher sends batches. Make it with [New].
type Pusher struct {
	config   Config
	set      *metrics.Set
	families *Families
	log      *slog.Logger
	post     func(ctx context.Context, b *batch) result

	lines   lines
	text    []byte
	zip     *gzip.Writer
	queue   []*batch // oldest first
	failing string   // why the last request failed; "" if it did not
	pause   backoff.Backoff
}

// batch is all samples of one moment.
type batch struct {
	body    []byte
	samples int
}

// New returns a pusher of the samples of set. It fails if the URL is of no use.
func New(c Config, set *metrics.Set, f *Families, log *slog.Logger) (*Pusher, error) {
	s, err := newSender(&c)
	if err != nil {
		return nil, err
	}
	return &Pusher{config: c, set: set, families: f, log: log, post: s.post,
		pause: backoff.Backoff{Min: shortestPause, Max: longestPause}}, nil
}

// requestTime bounds one request, from the search for the address to the end of
// the answer.
const requestTime = 10 * time.Second

// Run samples and sends until ctx ends; a request under way ends with it. It must
// be called once.
func (p *Pusher) Run(ctx context.Context) {
	// A fleet that starts together must not push together for ever.
	next := time.NewTimer(rand.N(p.config.Interval))
	defer next.Stop()
	var retry <-chan time.Time // set: nothing is sent before it
	results := make(chan result, 1)
	busy := false
	for ctx.Err() == nil {
		if !busy && retry == nil && len(p.queue) > 0 {
			busy = true
			b := p.take()
			go func() {
				short, cancel := context.WithTimeout(ctx, requestTime)
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
			if wait := p.settle(&r); wait > 0 {
				retry = time.After(wait)
			}
		}
	}
	if busy {
		<-results // it ends with ctx
	}
}

// sample puts a batch into the queue.
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
	p.makeRoom()
}

// makeRoom drops what is too much, the oldest first.
func (p *Pusher) makeRoom() {
	for len(p.queue) > p.config.QueueBatches {
		p.take()
		p.families.dropped.At(dropQueueFull).Inc()
	}
	p.families.queued.Set(int64(len(p.queue)))
}

func (p *Pusher) take() *batch {
	b := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.families.queued.Set(int64(len(p.queue)))
	return b
}

// settle notes how a request went and returns how long to wait before the next
// one.
func (p *Pusher) settle(r *result) time.Duration {
	p.families.count(r)
	switch r.outcome {
	case delivered:
		if p.failing != "" {
			p.log.Log(context.Background(), syslog.LevelNotice, "metrics are pushed again", "url", p.config.URL)
		}
		p.failing = ""
		p.pause.Reset()
		return 0
	case refused:
		p.report(r)
		p.families.dropped.At(dropRefused).Inc()
		p.pause.Reset() // the next batch may be to its liking
		return min(r.retryAfter, longestAsked)
	}
	p.report(r)
	p.queue = append([]*batch{r.batch}, p.queue...)
	p.makeRoom()
	return max(p.pause.Next(), min(r.retryAfter, longestAsked))
}

// report logs a failure, once for as long as its cause stays.
func (p *Pusher) report(r *result) {
	if p.failing != r.outcome.String() {
		p.log.Warn("cannot push metrics", "url", p.config.URL, "reason", r.outcome, "error", r.err)
	}
	p.failing = r.outcome.String()
}

const (
	shortestPause = time.Second
	longestPause  = time.Minute
	longestAsked  = 15 * time.Minute // that Retry-After can make us wait
)

// compress returns text in gzip format.
func (p *Pusher) compress(text []byte) []byte {
	var b bytes.Buffer
	if p.zip == nil {
		p.zip = gzip.NewWriter(&b)
	}
	p.zip.Reset(&b)
	_, err := p.zip.Write(text)
	if err := errors.Join(err, p.zip.Close()); err != nil {
		panic(fmt.Sprintf("push: compress in memory: %v", err)) // a buffer takes everything
	}
	return b.Bytes()
}
