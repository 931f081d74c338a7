package metrics

import (
	"net"
	"sync"
	"time"
)

// Reasons of portsyncd_http_rejected_total.
const (
	rejectConnections = iota // a new connection found no place
	rejectSlowClient         // gave its place to a newer connection
	rejectRequests           // no memory for an answer in time
	rejectSlowReader         // did not read its answer while others waited
)

var rejectReasons = []string{"connections", "slow_client", "requests", "slow_reader"}

const (
	minWait   = 100 * time.Millisecond // how long a client may take for a request before it can lose its place
	stallTime = 100 * time.Millisecond // how long a client may take to read 64 KiB while others wait
	admitTime = 500 * time.Millisecond // how long connections wait for a place before all are refused
)

// busyAnswer is what a client gets whose connection is refused.
const busyAnswer = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Content-Length: 21\r\nRetry-After: 1\r\nConnection: close\r\n\r\ntoo many connections\n"

// limiter caps the connections of all listeners together, so that no client, source
// address or kind of client can take all places.
type limiter struct {
	max       int // places
	perSource int // of these for one source address, and for all unix sockets together
	anonymous int // of these for TCP clients that have shown no credentials
	rejected  *Vec[Counter]
	countOwn  func(code int) // counts an answer that net/http gave by itself

	mu    sync.Mutex // held for a walk over the connections at most
	conns map[*conn]struct{}
}

func newLimiter(max int, rejected *Vec[Counter], countOwn func(int)) *limiter {
	return &limiter{max: max, perSource: (max + 1) / 2, anonymous: max - max/4, rejected: rejected,
		countOwn: countOwn, conns: make(map[*conn]struct{})}
}

// limitedListener accepts the connections that get a place.
type limitedListener struct {
	net.Listener
	limiter *limiter
	wrap    func(net.Conn) *conn
	placed  time.Time // when a connection last got a place
}

// Accept waits while no place is free, since the kernel's queue holds what comes
// meanwhile. When that has not helped for admitTime it refuses each connection.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		socket, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := l.wrap(socket)
		if l.place(c) {
			l.placed = time.Now()
			return c, nil
		}
		l.limiter.rejected.At(rejectConnections).Inc()
		c.refuse()
	}
}

func (l *limitedListener) place(c *conn) bool {
	for !l.limiter.place(c) {
		l.limiter.closeStalled()
		if time.Since(l.placed) > admitTime {
			return l.limiter.place(c)
		}
		time.Sleep(minWait / 16)
	}
	return true
}

// place gives c a place if one of its kind is free, or if a connection of the kind can
// be closed for it: that of the client that lets the server wait longest, one with
// credentials or an earlier answer only if there is no other.
func (l *limiter) place(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	same, anonymous := 0, 0
	for o := range l.conns {
		same += one(o.source == c.source)
		anonymous += one(o.anonymous())
	}
	sameSource, noCredentials := same >= l.perSource, c.anonymous() && anonymous >= l.anonymous
	if sameSource || noCredentials || len(l.conns) >= l.max {
		var victim *conn
		for o := range l.conns {
			isRival := (!sameSource || o.source == c.source) && (!noCredentials || o.anonymous())
			if isRival && o.silent() && (victim == nil || o.precedes(victim)) {
				victim = o
			}
		}
		if victim == nil {
			return false
		}
		l.drop(victim, rejectSlowClient)
	}
	l.conns[c] = struct{}{}
	return true
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// drop closes a connection and takes its place. The caller holds l.mu.
func (l *limiter) drop(c *conn, reason int) {
	delete(l.conns, c)
	c.socket.Close()
	if !c.over {
		l.rejected.At(reason).Inc()
	}
}

// closeStalled closes the connections whose clients do not read.
func (l *limiter) closeStalled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if began := c.writing.Load(); began != 0 && time.Now().UnixNano()-began > int64(stallTime) {
			l.drop(c, rejectSlowReader)
		}
	}
}

// closeWaiting closes the connections that are not being answered.
func (l *limiter) closeWaiting() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if c.waiting {
			c.socket.Close()
		}
	}
}

// update calls change with the state of c locked and reports whether c has its place.
func (l *limiter) update(c *conn, change func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	_, ok := l.conns[c]
	return ok
}

func (l *limiter) has(c *conn) bool { return l.update(c, func() {}) }
