package metrics

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSurplusConnection checks that at the limit of a source address, with requests running on all
// connections, a new connection gets a complete 503 within the timeout.
func TestSurplusConnection(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 2)
	set := NewSet()
	s, base := startServer(t, ServerConfig{MaxConns: 4}, Sources{Set: set, Health: func() Health {
		entered <- struct{}{}
		<-release
		return healthy()
	}})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { fetch(t, "GET", base+"/healthz") })
	}
	<-entered
	<-entered
	begun := time.Now()
	resp, body := fetch(t, "GET", base+"/healthz")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || body != "too many connections\n" || !resp.Close {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("refused after %v", took)
	}
	close(release)
	wg.Wait()
	if n := s.rejected.At(rejectConnections).Load(); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

// TestIdleConnectionIsEvicted checks that at the limit a new connection replaces one without a
// complete request, rather than one that has had a response.
func TestIdleConnectionIsEvicted(t *testing.T) {
	s, _ := startServer(t, ServerConfig{MaxConns: 4}, Sources{Health: healthy})
	address := s.Addrs()[0].String()
	served := dial(t, "tcp", address)
	if got := ask(t, served, "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Fatal(got)
	}
	idle := dial(t, "tcp", address)
	io.WriteString(idle, "GET /heal")
	awaitEvictable(t, s.conns, 2) // so that the order decides, not which of the two waited long enough first
	if got := ask(t, dial(t, "tcp", address), "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("new connection got %q", got)
	}
	if got, _ := io.ReadAll(idle); len(got) != 0 {
		t.Errorf("idle connection got %q", got)
	}
	if got := ask(t, served, "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("the served connection got %q", got)
	}
	if n := s.rejected.At(rejectSlowClient).Load(); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

// awaitEvictable waits until the limiter has n connections, all of which it may close.
func awaitEvictable(t *testing.T, l *limiter, n int) {
	t.Helper()
	evictable := func() (found int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for c := range l.conns {
			found += boolToInt(c.evictable())
		}
		return found
	}
	for deadline := time.Now().Add(10 * time.Second); evictable() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections can be closed, want %d", evictable(), n)
		}
	}
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// ask sends a request and returns the start of the response.
func ask(t *testing.T, c net.Conn, path string) string {
	t.Helper()
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// TestAdmit checks with a limit of eight connections whether a new one is admitted, and which other
// connection is closed for it.
func TestAdmit(t *testing.T) {
	const unix = "unix"
	held := func(source, state string) *conn { return testConn(source, state) }
	repeat := func(n int, source, state string) (all []*conn) {
		for range n {
			all = append(all, held(source, state))
		}
		return all
	}
	tests := []struct {
		name     string
		open     []*conn
		source   string
		admitted bool
		evicted  int // index in open; -1 if none
	}{
		{"below all limits", repeat(3, "a", "busy"), "a", true, -1},
		{"limit of the address", repeat(4, "a", "busy"), "a", false, -1},
		{"another address", repeat(4, "a", "busy"), "b", true, -1},
		{"limit of unix sockets", repeat(4, unix, "busy"), unix, false, -1},
		{"TCP at the limit of unix sockets", repeat(4, unix, "busy"), "a", true, -1},
		{"limit of anonymous clients", append(repeat(3, "a", "busy"), repeat(3, "b", "busy")...), "c", false, -1},
		{"unix socket at the limit of anonymous clients", append(repeat(3, "a", "busy"), repeat(3, "b", "busy")...), unix, true, -1},
		{"others are authenticated", append(repeat(3, "a", "busy authenticated"), repeat(3, "b", "busy")...), "c", true, -1},
		{"total limit", append(repeat(4, "a", "busy authenticated"), repeat(4, unix, "busy")...), "c", false, -1},
		{"evict from the same address", append(repeat(3, "a", "busy"), held("b", "new"), held("a", "new")), "a", true, 4},
		{"do not evict a young connection", append(repeat(3, "a", "busy"), held("a", "young")), "a", false, -1},
		{"do not evict a connection with an unread request", append(repeat(3, "a", "busy"), held("a", "unread")), "a", false, -1},
		{"evict the one that waited longest", append(repeat(2, "a", "busy"), held("a", "new"), held("a", "old")), "a", true, 3},
		{"evict one without a response first", append(repeat(2, "a", "busy"), held("a", "old served"), held("a", "new")), "a", true, 3},
		{"evict one with a response if there is no other", append(repeat(3, "a", "busy"), held("a", "old served")), "a", true, 3},
		{"evict an anonymous one before an authenticated one", append(repeat(2, "a", "busy"), held("a", "old served authenticated"), held("a", "new served")), "a", true, 3},
		{"evict an ended one first", append(repeat(2, "a", "busy"), held("a", "old"), held("a", "busy ended served")), "a", true, 3},
		{"evict an anonymous one for an anonymous one", append(append(repeat(3, "a", "busy"), repeat(2, "b", "busy")...), held("b", "new"), held("c", "old authenticated")), "c", true, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimiter(8, NewSet().NewCounterVec("x_total", "h", "reason", rejectReasons...), nil)
			for _, c := range tt.open {
				l.conns[c] = struct{}{}
			}
			c := testConn(tt.source, "young")
			if got := l.admit(c); got != tt.admitted || got != l.admitted(c) {
				t.Errorf("admitted: %t, want %t", got, tt.admitted)
			}
			for i, o := range tt.open {
				if l.admitted(o) == (i == tt.evicted) {
					t.Errorf("connection %d is open: %t", i, l.admitted(o))
				}
			}
		})
	}
}

// testConn returns a connection whose state is described by words: busy, young, unread (a request
// has arrived that the server has not read yet), new or old; served, authenticated, ended.
func testConn(source, state string) *conn {
	_, socket := net.Pipe()
	has := func(word string) bool { return strings.Contains(state, word) }
	c := &conn{socket: socket, source: source, unix: source == "unix", waitingSince: time.Now().Add(-time.Second),
		awaitingRequest: !has("busy"), served: has("served"), ended: has("ended"), authenticated: has("authenticated")}
	c.reading.Store(c.awaitingRequest && !has("unread"))
	switch {
	case has("old"):
		c.waitingSince = c.waitingSince.Add(-time.Minute)
	case has("young"):
		c.waitingSince = time.Now().Add(time.Hour)
	}
	return c
}

// TestSourceOf checks which addresses count as the same source.
func TestSourceOf(t *testing.T) {
	f := func(a, b string, same bool) {
		t.Helper()
		addr := func(s string) net.Addr {
			ip := netip.MustParseAddr(s)
			return &net.TCPAddr{IP: ip.AsSlice(), Zone: ip.Zone(), Port: 1}
		}
		if (sourceOf(addr(a)) == sourceOf(addr(b))) != same {
			t.Errorf("%s and %s: one source: %t, want %t", a, b, !same, same)
		}
	}
	f("192.0.2.1", "192.0.2.1", true)
	f("192.0.2.1", "::ffff:192.0.2.1", true)
	f("192.0.2.1", "192.0.2.2", false)
	f("2001:db8::1", "2001:db8::2", true)
	f("2001:db8::1", "2001:db8:0:1::1", false)
	f("::1", "::2", false)
	f("fe80::1%eth0", "fe80::2%eth0", true)
	if got := sourceOf(&net.UnixAddr{Net: "unix"}); got != "unix" {
		t.Errorf("unix socket: %q", got)
	}
}

// TestAnonymousLeaveRoom checks that many clients without credentials, each with a request every 80
// ms, do not keep out a client with credentials or one on the unix socket.
func TestAnonymousLeaveRoom(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	s, base := startServer(t, ServerConfig{
		Listen: []Endpoint{{"tcp", "127.0.0.1:0"}, {"unix", socket}},
		Live:   Live{Credentials: Credentials{BearerSHA256: hashOf("token")}},
	}, Sources{Health: healthy})
	address := s.Addrs()[0].String()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	var refused atomic.Int64
	for i := range 2 * defaultMaxConns {
		wg.Go(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i%8))}}
			for ctx.Err() == nil {
				c, err := d.DialContext(ctx, "tcp", address)
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { c.Close() })
				for { // until the server closes the connection
					io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
					n, err := c.Read(make([]byte, 4096))
					if n == 0 || err != nil {
						break
					}
					refused.Add(1)
					pause(ctx, 80*time.Millisecond)
				}
				stop()
				c.Close()
			}
		})
	}
	for begun := time.Now(); refused.Load() < 4*defaultMaxConns; pause(ctx, time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d refusals in 10 s", refused.Load())
		}
	}
	// On an overloaded machine the server may take a good client for an idle one.
	const tries = 20
	client := &http.Transport{DisableKeepAlives: true}
	for name, try := range map[string]func() (*http.Response, error){
		"over the unix socket": func() (*http.Response, error) {
			return unixTransport(socket).RoundTrip(mustRequest(t, "http://x/healthz"))
		},
		"with credentials": func() (*http.Response, error) {
			req := mustRequest(t, base+"/healthz")
			req.Header.Set("Authorization", "Bearer token")
			return client.RoundTrip(req)
		},
	} {
		good := 0
		for range tries {
			if resp, err := try(); err == nil {
				resp.Body.Close()
				good += boolToInt(resp.StatusCode == 200)
			}
		}
		if good < tries*3/4 {
			t.Errorf("%s: %d of %d requests succeeded", name, good, tries)
		}
	}
}

// TestCloseAfterUnauthorized checks that the server closes the connection after a 401.
func TestCloseAfterUnauthorized(t *testing.T) {
	s, _ := startServer(t, ServerConfig{Live: Live{Credentials: Credentials{BearerSHA256: hashOf("token")}}}, Sources{Health: healthy})
	c := dial(t, "tcp", s.Addrs()[0].String())
	if got := ask(t, c, "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 401 ") || !strings.Contains(got, "Connection: close") {
		t.Errorf("response %q", got)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("connection not closed: %v", err)
	}
}

// TestFewProfiles checks that at most maxProfiles run at the same time, and that other requests are
// still served.
func TestFewProfiles(t *testing.T) {
	s, base := startServer(t, ServerConfig{Profiling: true}, Sources{Health: healthy})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, path := range [maxProfiles]string{"profile", "trace"} { // the runtime allows one of each kind
		wg.Go(func() {
			req := mustRequest(t, base+"/debug/pprof/"+path+"?seconds=200").WithContext(ctx)
			new(http.Transport).RoundTrip(req)
		})
	}
	for begun := time.Now(); len(s.profiles) < maxProfiles; runtime.Gosched() {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d profiles are running", len(s.profiles))
		}
	}
	for range 3 {
		if resp, _ := fetch(t, "GET", base+"/debug/pprof/goroutine"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("additional profile: %d %v", resp.StatusCode, resp.Header)
		}
	}
	if resp, _ := fetch(t, "GET", base+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("health: %d", resp.StatusCode)
	}
}

// TestPanicInRender checks that a panic while rendering aborts its request only, and that the first
// panic is logged.
func TestPanicInRender(t *testing.T) {
	var panics atomic.Bool
	panics.Store(true)
	records := make(logs, 1000)
	s, err := NewServer(ServerConfig{Listen: []Endpoint{{"tcp", "127.0.0.1:0"}}, MaxResponses: 1},
		Sources{Set: NewSet(), Ports: func(b []byte) []byte {
			if panics.Load() {
				panic("oops")
			}
			return append(b, "{}\n"...)
		}}, slog.New(records))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer s.Shutdown(t.Context())
	base := "http://" + s.Addrs()[0].String()
	for range 2 {
		if _, err := new(http.Transport).RoundTrip(mustRequest(t, base+"/ports")); err == nil {
			t.Error("got a response after a panic")
		}
	}
	if n := s.routes["/ports"].requests[200].Load(); n != 0 {
		t.Errorf("panics counted as %d responses", n)
	}
	panics.Store(false)
	if resp, body := fetch(t, "GET", base+"/ports"); resp.StatusCode != 200 || body != "{}\n" {
		t.Errorf("after the panics: %d %q", resp.StatusCode, body)
	}
	logged := 0
	for len(records) > 0 {
		if r := <-records; r.Level == slog.LevelError {
			logged++
		}
	}
	if logged != 1 {
		t.Errorf("%d errors logged, want 1", logged)
	}
}

// TestHeaderLimit checks that a too large header gets status 431.
func TestHeaderLimit(t *testing.T) {
	_, base := startServer(t, ServerConfig{}, Sources{Health: healthy})
	resp, _ := fetch(t, "GET", base+"/healthz", "X-Padding: "+strings.Repeat("x", 2*maxHeaderBytes))
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", resp.StatusCode)
	}
}

// TestShutdown checks that Shutdown closes idle connections and waits for a running request.
func TestShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, err := NewServer(ServerConfig{Listen: []Endpoint{{"tcp", "127.0.0.1:0"}}}, Sources{Set: NewSet(), Health: func() Health {
		close(entered)
		<-release
		return healthy()
	}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	address := s.Addrs()[0].String()
	for range 10 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	served := make(chan int, 1)
	go func() {
		resp, _ := fetch(t, "GET", "http://"+address+"/healthz")
		served <- resp.StatusCode
	}()
	<-entered
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if got := <-served; got != 200 {
		t.Errorf("running request: status %d", got)
	}
}
