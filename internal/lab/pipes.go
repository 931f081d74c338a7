package lab

import (
	"context"
	"net"
	"sync"
)

// Pipes is a listener for connections within the process. Such connections do not use the kernel, so
// a test can use them in the fake time of package synctest. Pipes must be created by [NewPipes].
type Pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	close    func()
}

// NewPipes returns a listener that accepts the connections of its DialContext.
func NewPipes() *Pipes {
	p := &Pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

// DialContext returns a new connection. It ignores network and address.
func (p *Pipes) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accepted <- server:
		return pipeConn{client}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Existing connections stay open.
func (p *Pipes) Close() error {
	p.close()
	return nil
}

// Addr implements [net.Listener].
func (p *Pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// pipeConn is the client's end of a net.Pipe. Unlike on a socket, an empty write on a net.Pipe is an
// empty read for the other end.
type pipeConn struct{ net.Conn }

func (c pipeConn) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return c.Conn.Write(b)
}

func (c pipeConn) Read(b []byte) (n int, err error) {
	for n == 0 && err == nil && len(b) > 0 {
		n, err = c.Conn.Read(b)
	}
	return n, err
}
