package main

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between the daemon and its server and breaks connections where
// neither of them would.
type proxy struct {
	upstream string // unix socket of the server

	mu    sync.Mutex
	fault proxyFault
	links map[*proxyLink]bool
}

// proxyFault is how connections break. Bytes count from the moment it is set.
type proxyFault struct {
	requests int    // bytes of requests that pass before the cut; 0: no cut
	replies  int    // the same for replies
	hold     bool   // do not cut: let nothing pass any more, and stay connected
	garbage  string // sent to the daemon just before the cut
}

// proxyLink is one connection of the daemon's.
type proxyLink struct {
	down, up  net.Conn
	passed    [2]int // bytes of requests and of replies since the fault was set
	cutOrHeld bool
}

// newProxyCell is a cell whose daemon reaches its server through a proxy.
func newProxyCell(t *testing.T) (*cell, *proxy) {
	t.Helper()
	c := enterCell(t)
	if c == nil {
		return nil, nil
	}
	c.writeMap(usualMap)
	at := c.places["APPL_DB"]
	p := &proxy{upstream: redisDir + "/upstream.sock", links: make(map[*proxyLink]bool)}
	s := newServer(t)
	c.must("start the database", s.start(place{socket: p.upstream, port: at.port}))
	t.Cleanup(s.stop)
	l, err := net.Listen("unix", at.socket)
	c.must("start the proxy", err)
	t.Cleanup(func() { l.Close() })
	go p.serve(l)
	return c, p
}

func (p *proxy) serve(l net.Listener) {
	for {
		down, err := l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("unix", p.upstream)
		if err != nil {
			down.Close()
			continue
		}
		k := &proxyLink{down: down, up: up}
		p.mu.Lock()
		p.links[k] = true
		p.mu.Unlock()
		go p.pass(k, 0)
		go p.pass(k, 1)
	}
}

// set replaces the fault, for connections that exist and those to come. Those
// held by the one before are cut.
func (p *proxy) set(f proxyFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	for k := range p.links {
		k.passed = [2]int{}
		if k.cutOrHeld {
			p.drop(k)
		}
	}
}

func (p *proxy) drop(k *proxyLink) {
	k.down.Close()
	k.up.Close()
	delete(p.links, k)
}

// pass copies one direction, 0 for requests and 1 for replies, until the end.
func (p *proxy) pass(k *proxyLink, direction int) {
	from, to := k.down, k.up
	if direction == 1 {
		from, to = to, from
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		n, last := p.admit(k, direction, n)
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil {
			break
		}
		if last {
			p.broken(k)
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !k.cutOrHeld {
		p.drop(k)
	}
}

// admit returns how many of n bytes may pass, and whether these are the last.
func (p *proxy) admit(k *proxyLink, direction, n int) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := [2]int{p.fault.requests, p.fault.replies}[direction]
	if k.cutOrHeld {
		return 0, true
	}
	if limit == 0 || k.passed[direction]+n < limit {
		k.passed[direction] += n
		return n, false
	}
	k.cutOrHeld = true
	return limit - k.passed[direction], true
}

// broken ends a connection as the fault says.
func (p *proxy) broken(k *proxyLink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.links[k] {
		return
	}
	if p.fault.garbage != "" {
		io.WriteString(k.down, p.fault.garbage)
	}
	if !p.fault.hold {
		p.drop(k)
	}
}
