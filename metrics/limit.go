package metrics

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Reasons of portsyncd_http_rejected_total.
const (
	rejectConnections = iota // a new connection found all places taken
	rejectSlowClient         // gave its place to a newer connection
	rejectRequests           // a request's turn did not come in time
	rejectSlowReader         // held up others by not reading its answer
)

var rejectReasons = []string{"connections", "slow_client", "requests", "slow_reader"}

const (
	// stallTime is how long a client may take to read an answer while
	// others wait for it. Without others it is writeTimeout.
	stallTime = 100 * time.Millisecond
	// youth is how long a connection may keep its place without saying
	// anything, however many want it.
	youth = 100 * time.Millisecond
	// patience is how long new connections wait, one after the other, for
	// any of them to get a place, before all are refused.
	patience = 250 * time.Millisecond
	// lingerTime and maxLingering bound what is spent on a refused client
	// so that it sees the refusal: closing a socket with unread data sends
	// a reset, which can overtake the answer.
	lingerTime   = 200 * time.Millisecond
	maxLingering = 32
)

// busyAnswer is what a client gets that is turned away without a look at its
// request.
const busyAnswer = "HTTP/1.1 503 Service Unavailable\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Length: 21\r\n" +
	"Retry-After: 1\r\n" +
	"Connection: close\r\n\r\n" +
	"too many connections\n"

// phase is what a connection is doing.
type phase int

const (
	phaseWaiting phase = iota // for a request, whole or not even begun
	phaseServing              // its request is in work
	phaseWriting              // its answer is being written
	phaseGone                 // closed, or about to be
)

// connKind is what a connection has from its listener.
type connKind struct {
	local  bool // from this host only
	unix   bool
	secure bool // speaks TLS
}

// conn is a connection with a place in a connTable.
type conn struct {
	net.Conn
	connKind
	table *connTable

	// listening says that the server is waiting for the client in Read. What
	// has come but was not looked at yet, for want of a processor, is not the
	// client's fault.
	listening atomic.Bool
	heard     sync.Once // the first Read

	// Guarded by table.mu.
	phase  phase
	since  time.Time // of the phase
	served bool      // has had a request answered
}

// Read notes whether it is the client that the server waits for.
func (c *conn) Read(b []byte) (int, error) {
	c.heard.Do(func() { c.table.enter(c, phaseWaiting) }) // youth begins here
	c.listening.Store(true)
	defer c.listening.Store(false)
	return c.Conn.Read(b)
}

// Close gives up the connection's place.
func (c *conn) Close() error {
	c.table.remove(c)
	return c.Conn.Close()
}

// CloseWrite lets net/http end a connection so that the client can still read
// what was sent. Close follows half a second later.
func (c *conn) CloseWrite() error {
	c.table.enter(c, phaseGone)
	return closeWrite(c.Conn)
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// connTable caps the connections of all listeners together. Its lock is held
// for a walk over the table at most, and never by anything but HTTP.
type connTable struct {
	rejected      *Vec[Counter]
	max           int
	mostLingering int
	lingering     atomic.Int32

	mu     sync.Mutex
	conns  map[*conn]struct{}
	placed time.Time // when a connection last got a place
}

func newConnTable(max int, rejected *Vec[Counter]) *connTable {
	return &connTable{rejected: rejected, max: max, mostLingering: maxLingering, conns: make(map[*conn]struct{})}
}

// admit gives nc a place, if need be another connection's, or else returns nil
// after having refused it. It waits while it can expect a place: the kernel's
// queue holds what comes meanwhile, so that in a burst of connections those
// that do have a request get to say it.
func (t *connTable) admit(nc net.Conn, kind connKind) *conn {
	for {
		c, victim, hopeless := t.place(nc, kind)
		switch {
		case hopeless:
			t.rejected.At(rejectConnections).Inc()
			t.refuse(nc, kind)
			return nil
		case c == nil:
			time.Sleep(youth / 16)
			continue
		case victim != nil:
			t.evict(victim)
		}
		return c
	}
}

// place puts nc into the table if it can, perhaps instead of a victim, which
// the caller must close. The case is hopeless when nobody has got a place for
// so long that no answer in work seems to end.
func (t *connTable) place(nc net.Conn, kind connKind) (c, victim *conn, hopeless bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if len(t.conns) >= t.max {
		if victim = t.victim(now); victim == nil {
			return nil, nil, now.Sub(t.placed) > patience
		}
		t.drop(victim)
	}
	c = &conn{Conn: nc, connKind: kind, table: t, since: now}
	t.conns[c] = struct{}{}
	t.placed = now
	return c, victim, false
}

// victim returns the connection to close for a newer one, or nil. Those that
// never had a request answered go first, then those between two requests, then
// those that do not read; among equals, the one that has been at it longest.
// The caller holds t.mu.
func (t *connTable) victim(now time.Time) *conn {
	var found *conn
	best, unproven := 0, false
	for c := range t.conns {
		rank, age := 0, now.Sub(c.since)
		silent := c.listening.Load() && age > youth
		switch {
		case c.phase == phaseWaiting && !c.served:
			unproven = true
			if silent {
				rank = 3
			}
		case c.phase == phaseWaiting && silent:
			rank = 2
		case c.phase == phaseWriting && age > stallTime:
			rank = 1
		}
		if rank > best || rank > 0 && rank == best && c.since.Before(found.since) {
			found, best = c, rank
		}
	}
	if best == 2 && unproven {
		return nil // youth will be over before long
	}
	return found
}

// drop takes c out of the table. The caller holds t.mu and closes c.
func (t *connTable) drop(c *conn) {
	delete(t.conns, c)
	if c.phase != phaseWriting {
		c.phase = phaseGone
	}
}

// evict closes c, which is out of the table. One that never got an answer gets
// this one; to others it would look like the answer to their next request.
func (t *connTable) evict(c *conn) {
	if c.phase == phaseWriting {
		t.rejected.At(rejectSlowReader).Inc()
	} else {
		t.rejected.At(rejectSlowClient).Inc()
		if !c.served && !c.secure {
			c.SetWriteDeadline(time.Now().Add(stallTime))
			io.WriteString(c.Conn, busyAnswer)
		}
	}
	c.Conn.Close()
}

// refuse says busyAnswer to a connection without a place and closes it.
func (t *connTable) refuse(c net.Conn, kind connKind) {
	if kind.secure {
		c.Close()
		return
	}
	c.SetDeadline(time.Now().Add(lingerTime))
	io.WriteString(c, busyAnswer) // into an empty socket buffer: does not wait
	closeWrite(c)
	if int(t.lingering.Add(1)) > t.mostLingering {
		t.lingering.Add(-1)
		c.Close()
		return
	}
	go func() {
		defer t.lingering.Add(-1)
		defer c.Close()
		io.Copy(io.Discard, io.LimitReader(c, maxHeaderBytes))
	}()
}

// enter changes c's phase and reports whether c still has its place.
func (t *connTable) enter(c *conn, p phase) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.conns[c]; !ok {
		return false
	}
	if c.phase != phaseWaiting && p == phaseWaiting {
		c.served = true
	}
	c.phase, c.since = p, time.Now()
	return true
}

func (t *connTable) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// closeStalled closes the connections whose clients do not read.
func (t *connTable) closeStalled() {
	for _, c := range t.take(func(c *conn) bool {
		return c.phase == phaseWriting && time.Since(c.since) > stallTime
	}) {
		t.rejected.At(rejectSlowReader).Inc()
		c.Conn.Close()
	}
}

// closeWaiting closes the connections that are not being answered.
func (t *connTable) closeWaiting() {
	for _, c := range t.take(func(c *conn) bool { return c.phase == phaseWaiting }) {
		c.Conn.Close()
	}
}

// take takes the connections that match out of the table, to be closed.
func (t *connTable) take(match func(*conn) bool) []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	var taken []*conn
	for c := range t.conns {
		if match(c) {
			t.drop(c)
			taken = append(taken, c)
		}
	}
	return taken
}

// cappedListener lets through the connections that get a place.
type cappedListener struct {
	net.Listener
	table *connTable
	kind  connKind
}

func (l *cappedListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.table.admit(nc, l.kind); c != nil {
			return c, nil
		}
	}
}

type connKey struct{}

// withConn makes the connection known to its requests.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, nc)
}

func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}
