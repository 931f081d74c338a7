package metrics

import (
	"net"
	"sync"
	"time"
)

// Reasons of portsyncd_http_rejected_total.
const (
	rejectConnections = iota // connection refused at a connection limit
	rejectSlowClient         // idle connection closed to admit another
	rejectRequests           // request rejected because no memory was available for the response
	rejectSlowReader         // connection closed because the client did not read while others waited
)

var rejectReasons = []string{"connections", "slow_client", "requests", "slow_reader"}

const (
	minIdleTime      = 100 * time.Millisecond // how long a connection must wait for a request before it can be closed to admit another
	stallTimeout     = 100 * time.Millisecond // how long a client may take to read 64 KiB while others wait
	admissionTimeout = 500 * time.Millisecond // how long connections wait at the connection limit before they are refused
)

// busyResponse is sent on a refused connection.
const busyResponse = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n" +
	"Content-Length: 21\r\nRetry-After: 1\r\nConnection: close\r\n\r\ntoo many connections\n"

// limiter limits the number of connections of all listeners, so that no single client, source
// address or type of client can use all connections.
type limiter struct {
	max                int // total
	perSource          int // for one source address, and for all unix sockets together
	anonymous          int // for TCP clients that have not authenticated
	rejected           *Vec[Counter]
	countProtocolError func(code int) // counts a response that net/http sent itself

	mu    sync.Mutex // held at most for a loop over the connections
	conns map[*conn]struct{}
}

func newLimiter(max int, rejected *Vec[Counter], countProtocolError func(int)) *limiter {
	return &limiter{max: max, perSource: (max + 1) / 2, anonymous: max - max/4, rejected: rejected,
		countProtocolError: countProtocolError, conns: make(map[*conn]struct{})}
}

// limitedListener is a listener whose Accept returns only connections that the limiter admits.
type limitedListener struct {
	net.Listener
	limiter      *limiter
	wrap         func(net.Conn) *conn
	lastAdmitted time.Time // when a connection was last admitted
}

// Accept returns the next admitted connection. At a connection limit it waits while the kernel
// queues new connections. If no connection can be admitted within admissionTimeout, it starts
// refusing connections.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		socket, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := l.wrap(socket)
		if l.admit(c) {
			l.lastAdmitted = time.Now()
			return c, nil
		}
		l.limiter.rejected.At(rejectConnections).Inc()
		c.refuse()
	}
}

func (l *limitedListener) admit(c *conn) bool {
	for !l.limiter.admit(c) {
		l.limiter.closeStalled()
		if time.Since(l.lastAdmitted) > admissionTimeout {
			return l.limiter.admit(c)
		}
		time.Sleep(minIdleTime / 16)
	}
	return true
}

// admit admits c if no limit is reached, or if it can close another connection that counts toward
// all limits that are reached. If there are several, it closes the first one in the order of
// evictBefore.
func (l *limiter) admit(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	same, anonymous := 0, 0
	for o := range l.conns {
		same += boolToInt(o.source == c.source)
		anonymous += boolToInt(o.anonymous())
	}
	sameSource, noCredentials := same >= l.perSource, c.anonymous() && anonymous >= l.anonymous
	if sameSource || noCredentials || len(l.conns) >= l.max {
		var evicted *conn
		for o := range l.conns {
			counts := (!sameSource || o.source == c.source) && (!noCredentials || o.anonymous())
			if counts && o.evictable() && (evicted == nil || o.evictBefore(evicted)) {
				evicted = o
			}
		}
		if evicted == nil {
			return false
		}
		l.drop(evicted, rejectSlowClient)
	}
	l.conns[c] = struct{}{}
	return true
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// drop closes a connection, removes it from the limiter and counts it as rejected for the given
// reason. The caller must hold l.mu.
func (l *limiter) drop(c *conn, reason int) {
	delete(l.conns, c)
	c.socket.Close()
	if !c.ended {
		l.rejected.At(reason).Inc()
	}
}

// closeStalled closes the connections of clients that have not read any data for stallTimeout.
func (l *limiter) closeStalled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if began := c.writing.Load(); began != 0 && time.Now().UnixNano()-began > int64(stallTimeout) {
			l.drop(c, rejectSlowReader)
		}
	}
}

// closeWaiting closes all connections on which the server is waiting for a request.
func (l *limiter) closeWaiting() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if c.awaitingRequest {
			c.socket.Close()
		}
	}
}

// update calls change while holding l.mu. It reports whether c is an admitted connection.
func (l *limiter) update(c *conn, change func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	_, ok := l.conns[c]
	return ok
}

func (l *limiter) admitted(c *conn) bool { return l.update(c, func() {}) }
