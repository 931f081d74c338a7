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

// conn is a client's connection, as passed to net/http.
type conn struct {
	net.Conn // a *tls.Conn if the listener uses TLS, else the socket
	socket   net.Conn
	limiter  *limiter
	local    bool   // the listener accepts connections from this host only
	unix     bool   // a unix socket
	source   string // see sourceOf; counts toward limiter.perSource

	// reading is true while the server waits for the client in Read. It is false while data that
	// has arrived waits to be read by the server, which is not the client's fault.
	reading atomic.Bool
	writing atomic.Int64 // start of the current Write of the socket, Unix ns; 0 if there is none
	serving atomic.Bool  // from the start of ServeHTTP until the response is written

	// Guarded by limiter.mu.
	awaitingRequest bool      // the server waits for a request, or for the rest of one
	waitingSince    time.Time // start of awaitingRequest
	served          bool      // has had a response
	ended           bool      // the server has ended it; the client may still read the response
	authenticated   bool      // has sent valid credentials or a client certificate
}

// newConn returns a connection accepted by the listener with address l. It uses TLS unless config
// is nil.
func newConn(socket net.Conn, l net.Addr, config *tls.Config, limiter *limiter) *conn {
	c := &conn{Conn: socket, socket: socket, limiter: limiter, local: isLocal(l), unix: l.Network() == "unix",
		source: sourceOf(socket.RemoteAddr()), awaitingRequest: true, waitingSince: time.Now()}
	if config != nil {
		c.Conn = tls.Server(socket, config)
	}
	return c
}

// sourceOf returns a string that identifies the client's host: its IPv4 address, or the /64 prefix
// of its IPv6 address, since a host can have any number of addresses in that prefix.
func sourceOf(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return a.Network()
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is4() || ip.IsLoopback() {
		return ip.String()
	}
	prefix, _ := ip.Prefix(64) // cannot fail for an IPv6 address
	return prefix.String()
}

// anonymous reports whether c is a TCP client that has not authenticated.
func (c *conn) anonymous() bool { return !c.unix && !c.authenticated }

// evictable reports whether c may be closed to admit another connection, which is the case if the
// server has waited for a request on c for more than minIdleTime. The caller must hold limiter.mu.
func (c *conn) evictable() bool {
	return c.ended || c.awaitingRequest && c.reading.Load() && time.Since(c.waitingSince) > minIdleTime
}

// evictBefore reports whether c must be closed in preference to o. Ended connections are closed
// first, then anonymous connections, then connections without a response, then those that have
// waited longest. The caller must hold limiter.mu.
func (c *conn) evictBefore(o *conn) bool {
	rank := func(c *conn) int { return -4*boolToInt(c.ended) + boolToInt(c.served) + 2*boolToInt(!c.anonymous()) }
	return rank(c) < rank(o) || rank(c) == rank(o) && c.waitingSince.Before(o.waitingSince)
}

// refuse sends busyResponse and closes a connection that was not admitted. It first reads the data
// that has arrived, because closing a socket with unread data sends a reset, which can overtake the
// response.
func (c *conn) refuse() {
	if c.Conn == c.socket {
		c.SetDeadline(time.Now().Add(time.Millisecond))
		io.WriteString(c.socket, busyResponse)
		closeWrite(c.socket)
		c.socket.Read(make([]byte, maxHeaderBytes))
	}
	c.socket.Close()
}

// Read reads from the client. If the listener uses TLS, it first performs the TLS handshake.
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

// handshake performs the TLS handshake in the same way as net/http does for its own TLS listeners.
func (c *conn) handshake(secure *tls.Conn) error {
	secure.SetDeadline(time.Now().Add(readHeaderTimeout))
	err := secure.Handshake()
	if plain := (tls.RecordHeaderError{}); errors.As(err, &plain) && plain.Conn != nil && plain.RecordHeader[0] >= 'A' && plain.RecordHeader[0] <= 'Z' {
		io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThis port requires TLS: use https://\n")
		c.limiter.countProtocolError(http.StatusBadRequest)
	}
	if err != nil {
		return io.EOF // net/http sends no response to io.EOF
	}
	secure.SetWriteDeadline(time.Time{})
	secure.SetReadDeadline(time.Now().Add(readHeaderTimeout))
	if len(secure.ConnectionState().PeerCertificates) > 0 {
		c.setAuthenticated()
	}
	return nil
}

// Write writes to the client in small pieces, to distinguish clients that read slowly from clients
// that do not read at all. It also counts the responses that net/http itself sends.
func (c *conn) Write(b []byte) (n int, err error) {
	if !c.serving.Load() && len(b) >= 12 && bytes.HasPrefix(b, []byte("HTTP/1.")) {
		if code, err := strconv.Atoi(string(b[9:12])); err == nil {
			c.limiter.countProtocolError(code)
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

// Close closes the connection. The connection then no longer counts toward the limits.
func (c *conn) Close() error {
	c.limiter.update(c, func() { delete(c.limiter.conns, c) })
	return c.Conn.Close()
}

// CloseWrite ends the connection but lets the client read the response. net/http calls CloseWrite,
// and calls Close half a second later.
func (c *conn) CloseWrite() error {
	c.limiter.update(c, func() { c.ended = true })
	return closeWrite(c.Conn)
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// setAuthenticated records that the client has sent valid credentials or a client certificate.
func (c *conn) setAuthenticated() { c.limiter.update(c, func() { c.authenticated = true }) }

// startRequest records that ServeHTTP was called for a request on c. It returns false if c is being
// closed.
func (c *conn) startRequest() bool {
	c.serving.Store(true)
	return c.limiter.admitted(c)
}

// setState is the [http.Server.ConnState] function. net/http calls it for each change of a
// connection's state.
func setState(nc net.Conn, state http.ConnState) {
	c := nc.(*conn)
	switch state {
	case http.StateActive:
		c.limiter.update(c, func() { c.awaitingRequest = false })
	case http.StateIdle:
		c.serving.Store(false)
		c.limiter.update(c, func() { c.awaitingRequest, c.served, c.waitingSince = true, true, time.Now() })
	}
}

type connKey struct{}

// withConn stores the connection in the context of its requests, so that connOf can return it.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}

func connOf(ctx context.Context) *conn { return ctx.Value(connKey{}).(*conn) }
