package metrics

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// conn is a client's connection, as net/http sees it.
type conn struct {
	net.Conn          // speaks TLS where the listener does
	socket   net.Conn // below TLS
	limiter  *limiter
	local    bool   // from this host only
	unix     bool   // over a unix socket
	source   string // who shares limiter.perSource

	reading atomic.Bool  // the server waits for the client in Read. Bytes that came and were not read yet, for want of a processor, are not the client's fault
	writing atomic.Int64 // when the client was last given something to read, Unix ns; 0: it has read everything
	serving atomic.Bool  // ServeHTTP has the request, or its answer is on the way

	// Guarded by limiter.mu.
	waiting  bool // for a request, whole or not even begun
	since    time.Time
	answered bool // has had an answer
	over     bool // the server has ended it and lets the client read why
	trusted  bool // has shown credentials or a client certificate
}

// newConn returns a connection of a listener that speaks TLS unless config is nil.
func newConn(socket net.Conn, l net.Addr, config *tls.Config, limiter *limiter) *conn {
	c := &conn{Conn: socket, socket: socket, limiter: limiter, local: isLocal(l), unix: l.Network() == "unix",
		source: sourceOf(socket.RemoteAddr()), waiting: true, since: time.Now()}
	if config != nil {
		c.Conn = tls.Server(socket, config)
	}
	return c
}

// sourceOf returns what tells a client's host from others: its IPv4 address, or the
// /64 of its IPv6 address, of which a host can have any number.
func sourceOf(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return a.Network()
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() {
		return ip.String()
	}
	prefix, _ := ip.Prefix(64) // an IPv6 address has one
	return prefix.String()
}

// anonymous reports whether c is a TCP client that has shown no credentials.
func (c *conn) anonymous() bool { return !c.unix && !c.trusted }

// silent reports whether the client has let the server wait for minWait. The caller
// holds limiter.mu, as for precedes.
func (c *conn) silent() bool {
	return c.over || c.waiting && c.reading.Load() && time.Since(c.since) > minWait
}

// precedes reports whether c has less to lose than another silent connection.
func (c *conn) precedes(o *conn) bool {
	rank := func(c *conn) int { return -4*one(c.over) + one(c.answered) + 2*one(!c.anonymous()) }
	return rank(c) < rank(o) || rank(c) == rank(o) && c.since.Before(o.since)
}

// refuse sends busyAnswer and closes a connection without a place. It reads what has
// come: closing a socket with unread data sends a reset, which can overtake the answer.
func (c *conn) refuse() {
	if c.Conn == c.socket {
		c.SetDeadline(time.Now().Add(time.Millisecond))
		io.WriteString(c.socket, busyAnswer)
		closeWrite(c.socket)
		c.socket.Read(make([]byte, maxHeaderBytes))
	}
	c.socket.Close()
}

// Read reads from the client, after the TLS handshake if there is one.
func (c *conn) Read(b []byte) (int, error) {
	c.reading.Store(true)
	defer c.reading.Store(false)
	if secure, ok := c.Conn.(*tls.Conn); ok && !secure.ConnectionState().HandshakeComplete {
		if err := c.handshake(secure); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}

// handshake does what net/http would do if it knew about TLS here.
func (c *conn) handshake(secure *tls.Conn) error {
	secure.SetDeadline(time.Now().Add(readHeaderTimeout))
	err := secure.Handshake()
	if plain := (tls.RecordHeaderError{}); errors.As(err, &plain) && plain.Conn != nil && plain.RecordHeader[0] >= 'A' && plain.RecordHeader[0] <= 'Z' {
		io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nTLS is spoken here: use https://\n")
		c.limiter.countOwn(http.StatusBadRequest)
	}
	if err != nil {
		return io.EOF // net/http does not answer to that
	}
	secure.SetWriteDeadline(time.Time{})
	secure.SetReadDeadline(time.Now().Add(readHeaderTimeout))
	if len(secure.ConnectionState().PeerCertificates) > 0 {
		c.trust()
	}
	return nil
}

// Write writes to the client in pieces, so that one who reads slowly is told from one
// who does not read, and counts answers that did not come from ServeHTTP.
func (c *conn) Write(b []byte) (n int, err error) {
	if !c.serving.Load() && len(b) >= 12 && bytes.HasPrefix(b, []byte("HTTP/1.")) {
		if code, err := strconv.Atoi(string(b[9:12])); err == nil {
			c.limiter.countOwn(code)
		}
	}
	const piece = 64 << 10
	for n < len(b) && err == nil {
		c.writing.Store(time.Now().UnixNano())
		var m int
		m, err = c.Conn.Write(b[n:min(n+piece, len(b))])
		n += m
	}
	c.writing.Store(0)
	return n, err
}

// Close gives up the connection's place.
func (c *conn) Close() error {
	c.limiter.update(c, func() { delete(c.limiter.conns, c) })
	return c.Conn.Close()
}

// CloseWrite lets net/http end a connection so that the client can still read what was
// sent. Close follows half a second later.
func (c *conn) CloseWrite() error {
	c.limiter.update(c, func() { c.over = true })
	return closeWrite(c.Conn)
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// trust records that the client has shown credentials.
func (c *conn) trust() { c.limiter.update(c, func() { c.trusted = true }) }

// begin records that ServeHTTP has a request of c, and reports whether c still has its
// place.
func (c *conn) begin() bool {
	c.serving.Store(true)
	return c.limiter.has(c)
}

// setState follows net/http: [http.Server.ConnState].
func setState(nc net.Conn, state http.ConnState) {
	c := nc.(*conn)
	switch state {
	case http.StateActive:
		c.limiter.update(c, func() { c.waiting = false })
	case http.StateIdle:
		c.serving.Store(false)
		c.limiter.update(c, func() { c.waiting, c.answered, c.since = true, true, time.Now() })
	}
}

type connKey struct{}

// withConn makes the connection known to its requests.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}

func connOf(ctx context.Context) *conn { return ctx.Value(connKey{}).(*conn) }
