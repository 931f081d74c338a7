package switchtest

import (
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy forwards connections between the daemon and its database server. It can cut or delay
// connections and change the data.
type Proxy struct {
	upstream string // unix socket of the server

	mu     sync.Mutex
	fault  ProxyFault
	passed [2]int // bytes of requests and of replies of all connections since the fault was set
	cuts   int    // connections cut or held since then
	links  map[*proxyLink]bool
}

// ProxyFault configures what happens to connections. Bytes are counted from the call of Set.
type ProxyFault struct {
	Requests int    // bytes of requests that pass before the cut; 0: no cut
	Replies  int    // the same for replies
	Once     bool   // count bytes over all connections, and cut only once
	Hold     bool   // let no more bytes pass, but keep the connection
	Garbage  string // sent to the daemon just before the cut

	Change [2]func([]byte) []byte // changes requests and replies; nil: unchanged
	Slow   time.Duration          // pause before each byte
	Drip   time.Duration          // pause before each byte of replies
}

// proxyLink is one forwarded connection.
type proxyLink struct {
	down, up  net.Conn
	passed    [2]int // bytes of requests and of replies since the fault was set
	cutOrHeld bool
}

// NewWithProxy is like New, but adds a proxy between the daemon and the database server.
func NewWithProxy(t T) (*Switch, *Proxy) {
	t.Helper()
	sw := NewWithoutDatabase(t)
	if sw == nil {
		return nil, nil
	}
	sw.WriteDatabaseMap(DefaultMap)
	at := sw.Databases["APPL_DB"]
	p := &Proxy{upstream: RedisDir + "/upstream.sock", links: make(map[*proxyLink]bool)}
	s := NewDatabaseServer(t)
	sw.NoError("start the database", s.Start(Database{Socket: p.upstream, Port: at.Port}))
	t.Cleanup(s.Stop)
	l, err := net.Listen("unix", at.Socket)
	sw.NoError("start the proxy", err)
	t.Cleanup(func() { l.Close() })
	go p.serve(l)
	return sw, p
}

func (p *Proxy) serve(l net.Listener) {
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

// Set replaces the fault for existing and new connections. Connections held by the previous fault
// are cut.
func (p *Proxy) Set(f ProxyFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.passed, p.cuts = f, [2]int{}, 0
	for k := range p.links {
		k.passed = [2]int{}
		if k.cutOrHeld {
			p.drop(k)
		}
	}
}

// WasCut waits until the daemon's request has ended, and reports whether the fault cut the
// connection during the request.
func (p *Proxy) WasCut(t T) bool {
	t.Helper()
	p.AwaitIdle(t, 15*time.Millisecond)
	if _, cuts := p.Count(); cuts == 0 {
		p.AwaitIdle(t, 500*time.Millisecond)
	}
	_, cuts := p.Count()
	return cuts > 0
}

// CutAll cuts all connections. Count does not count these cuts.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.links {
		p.drop(k)
	}
}

// Count returns the number of request bytes and reply bytes that were forwarded, and the number of
// connections that the fault has cut or is holding.
func (p *Proxy) Count() (passed [2]int, cuts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed, p.cuts
}

// AwaitIdle waits until the daemon has opened all of its connections and no data has been forwarded
// for the given time. After a second without traffic, fewer connections are sufficient, because the
// daemon notices a lost connection only when it uses the connection.
func (p *Proxy) AwaitIdle(t T, moment time.Duration) {
	t.Helper()
	const connections = 4 // one for each database and one for subscriptions
	const longer = time.Second
	var last [2]int
	since := time.Now()
	Eventually(t, Timeout, func() string {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.passed != last {
			last, since = p.passed, time.Now()
		}
		quiet := time.Since(since)
		if quiet > moment && len(p.links) == connections || quiet > longer {
			return ""
		}
		return fmt.Sprintf("%d connections, want %d, and the last byte passed %v ago", len(p.links), connections, quiet)
	})
}

func (p *Proxy) drop(k *proxyLink) {
	k.down.Close()
	k.up.Close()
	delete(p.links, k)
}

// pass forwards the data of one direction of a connection (0 for requests, 1 for replies) until the
// connection ends.
func (p *Proxy) pass(k *proxyLink, direction int) {
	from, to := k.down, k.up
	if direction == 1 {
		from, to = to, from
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		f, n, last := p.admit(k, direction, n)
		if werr := f.write(to, direction, buf[:n]); werr != nil || err != nil {
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

// admit returns the current fault, how many of the next n bytes may be forwarded, and whether the
// fault then ends the connection.
func (p *Proxy) admit(k *proxyLink, direction, n int) (ProxyFault, int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := [2]int{p.fault.Requests, p.fault.Replies}[direction]
	passed := k.passed[direction]
	switch {
	case k.cutOrHeld:
		return p.fault, 0, true
	case p.fault.Once && p.cuts > 0:
		limit = 0
	case p.fault.Once:
		passed = p.passed[direction]
	}
	if limit > 0 && passed+n >= limit {
		n = limit - passed
		k.cutOrHeld = true
		p.cuts++
	}
	k.passed[direction] += n
	p.passed[direction] += n
	return p.fault, n, k.cutOrHeld
}

// broken cuts or holds a connection that has reached the limit of the fault.
func (p *Proxy) broken(k *proxyLink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.links[k] {
		return
	}
	if p.fault.Garbage != "" {
		io.WriteString(k.down, p.fault.Garbage)
	}
	if !p.fault.Hold {
		p.drop(k)
	}
}

// write sends b after changing and delaying it as the fault requires.
func (f *ProxyFault) write(to io.Writer, direction int, b []byte) error {
	if change := f.Change[direction]; change != nil && len(b) > 0 {
		b = change(b)
	}
	step, pause := len(b), f.Slow
	if direction == 1 {
		pause = max(pause, f.Drip)
	}
	if pause > 0 {
		step = 1
	}
	for len(b) > 0 {
		time.Sleep(pause)
		if _, err := to.Write(b[:step]); err != nil {
			return err
		}
		b = b[step:]
	}
	return nil
}
