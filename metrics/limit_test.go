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

// With every place of a source taken by connections that are being served, the next
// one gets a whole 503 and is closed, in time.
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

// A connection that has not asked for anything makes room for a newer one, before one
// that has been served.
func TestWaitingConnectionMakesRoom(t *testing.T) {
	s, _ := startServer(t, ServerConfig{MaxConns: 4}, Sources{Health: healthy})
	address := s.Addrs()[0].String()
	served := dial(t, "tcp", address)
	if got := ask(t, served, "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Fatal(got)
	}
	silent := dial(t, "tcp", address)
	io.WriteString(silent, "GET /heal")
	if got := ask(t, dial(t, "tcp", address), "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("newcomer got %q", got)
	}
	if got, _ := io.ReadAll(silent); len(got) != 0 {
		t.Errorf("silent connection got %q", got)
	}
	if got := ask(t, served, "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("the served connection got %q", got)
	}
	if n := s.rejected.At(rejectSlowClient).Load(); n != 1 {
		t.Errorf("%d counted, want 1", n)
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

// ask sends a request and returns the beginning of the answer.
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

// TestPlace: which newcomer gets a place of eight, and whose.
func TestPlace(t *testing.T) {
	const unix = "unix"
	held := func(source, state string) *conn { return testConn(source, state) }
	repeat := func(n int, source, state string) (all []*conn) {
		for range n {
			all = append(all, held(source, state))
		}
		return all
	}
	tests := []struct {
		name   string
		there  []*conn
		source string
		placed bool
		victim int // index in there; -1: nobody
	}{
		{"room", repeat(3, "a", "busy"), "a", true, -1},
		{"its address has its share", repeat(4, "a", "busy"), "a", false, -1},
		{"another address", repeat(4, "a", "busy"), "b", true, -1},
		{"unix sockets have their share", repeat(4, unix, "busy"), unix, false, -1},
		{"TCP although unix sockets have theirs", repeat(4, unix, "busy"), "a", true, -1},
		{"anonymous clients have theirs", append(repeat(3, "a", "busy"), repeat(3, "b", "busy")...), "c", false, -1},
		{"a unix socket although they have", append(repeat(3, "a", "busy"), repeat(3, "b", "busy")...), unix, true, -1},
		{"beside clients with credentials", append(repeat(3, "a", "busy trusted"), repeat(3, "b", "busy")...), "c", true, -1},
		{"all taken", append(repeat(4, "a", "busy trusted"), repeat(4, unix, "busy")...), "c", false, -1},
		{"one of its address gives way", append(repeat(3, "a", "busy"), held("b", "new"), held("a", "new")), "a", true, 4},
		{"not one that has just come", append(repeat(3, "a", "busy"), held("a", "young")), "a", false, -1},
		{"not one whose request came and was not read", append(repeat(3, "a", "busy"), held("a", "unread")), "a", false, -1},
		{"the one that has waited longest", append(repeat(2, "a", "busy"), held("a", "new"), held("a", "old")), "a", true, 3},
		{"not one that had an answer if there is another", append(repeat(2, "a", "busy"), held("a", "old answered"), held("a", "new")), "a", true, 3},
		{"one that had an answer if there is no other", append(repeat(3, "a", "busy"), held("a", "old answered")), "a", true, 3},
		{"an anonymous one before one with credentials", append(repeat(2, "a", "busy"), held("a", "old answered trusted"), held("a", "new answered")), "a", true, 3},
		{"one that is over before any other", append(repeat(2, "a", "busy"), held("a", "old"), held("a", "busy over answered")), "a", true, 3},
		{"anonymous for anonymous", append(append(repeat(3, "a", "busy"), repeat(2, "b", "busy")...), held("b", "new"), held("c", "old trusted")), "c", true, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimiter(8, NewSet().NewCounterVec("x_total", "h", "reason", rejectReasons...), nil)
			for _, c := range tt.there {
				l.conns[c] = struct{}{}
			}
			c := testConn(tt.source, "young")
			if got := l.place(c); got != tt.placed || got != l.has(c) {
				t.Errorf("placed: %t, want %t", got, tt.placed)
			}
			for i, o := range tt.there {
				if l.has(o) == (i == tt.victim) {
					t.Errorf("connection %d has its place: %t", i, l.has(o))
				}
			}
		})
	}
}

// testConn is a connection in a state of some of the words: busy, young, unread (with a
// processor it would be read), new, old; answered, trusted, over.
func testConn(source, state string) *conn {
	_, socket := net.Pipe()
	has := func(word string) bool { return strings.Contains(state, word) }
	c := &conn{socket: socket, source: source, unix: source == "unix", since: time.Now().Add(-time.Second),
		waiting: !has("busy"), answered: has("answered"), over: has("over"), trusted: has("trusted")}
	c.reading.Store(c.waiting && !has("unread"))
	switch {
	case has("old"):
		c.since = c.since.Add(-time.Minute)
	case has("young"):
		c.since = time.Now().Add(time.Hour)
	}
	return c
}

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

// Many polite clients without credentials, each with a connection and a request every
// 80 ms, leave places to a client with credentials and to the unix socket.
func TestAnonymousLeaveRoom(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	s, base := startServer(t, ServerConfig{
		Listen: []string{"127.0.0.1:0", "unix:" + socket},
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
				for { // for as long as the server lets it
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
	// Where processors are short, a good client may look silent now and then.
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
				good += one(resp.StatusCode == 200)
			}
		}
		if good < tries*3/4 {
			t.Errorf("%s: %d of %d requests are answered", name, good, tries)
		}
	}
}

// A client without credentials keeps no connection.
func TestCloseAfterUnauthorized(t *testing.T) {
	s, _ := startServer(t, ServerConfig{Live: Live{Credentials: Credentials{BearerSHA256: hashOf("token")}}}, Sources{Health: healthy})
	c := dial(t, "tcp", s.Addrs()[0].String())
	if got := ask(t, c, "/healthz"); !strings.HasPrefix(got, "HTTP/1.1 401 ") || !strings.Contains(got, "Connection: close") {
		t.Errorf("answer %q", got)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the connection stays: %v", err)
	}
}

// Profiles for as long as the client likes leave room for others.
func TestFewProfiles(t *testing.T) {
	s, base := startServer(t, ServerConfig{Profiling: true}, Sources{Health: healthy})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range maxProfiles {
		wg.Go(func() {
			req := mustRequest(t, base+"/debug/pprof/goroutine?seconds=200").WithContext(ctx)
			new(http.Transport).RoundTrip(req)
		})
	}
	for begun := time.Now(); len(s.profiles) < maxProfiles; runtime.Gosched() {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d profiles are being taken", len(s.profiles))
		}
	}
	for range 3 {
		if resp, _ := fetch(t, "GET", base+"/debug/pprof/goroutine?seconds=200"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("another profile: %d %v", resp.StatusCode, resp.Header)
		}
	}
	if resp, _ := fetch(t, "GET", base+"/healthz"); resp.StatusCode != 200 {
		t.Errorf("health: %d", resp.StatusCode)
	}
}

// A render that panics harms its own requests only, and the first is logged.
func TestPanicInRender(t *testing.T) {
	var panics atomic.Bool
	panics.Store(true)
	records := make(logs, 1000)
	s, err := NewServer(ServerConfig{Listen: []string{"127.0.0.1:0"}, MaxAnswers: 1},
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
			t.Error("a panic made an answer")
		}
	}
	if n := s.routes["/ports"].requests[200].Load(); n != 0 {
		t.Errorf("panics counted as %d answers", n)
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

// Headers beyond the limit are refused, slow ones ended.
func TestHeaderLimit(t *testing.T) {
	_, base := startServer(t, ServerConfig{}, Sources{Health: healthy})
	resp, _ := fetch(t, "GET", base+"/healthz", "X-Padding: "+strings.Repeat("x", 2*maxHeaderBytes))
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", resp.StatusCode)
	}
}

// Shutdown cuts off what silent clients hold, and lets an answer end.
func TestShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, err := NewServer(ServerConfig{Listen: []string{"127.0.0.1:0"}}, Sources{Set: NewSet(), Health: func() Health {
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
	answered := make(chan int, 1)
	go func() {
		resp, _ := fetch(t, "GET", "http://"+address+"/healthz")
		answered <- resp.StatusCode
	}()
	<-entered
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if got := <-answered; got != 200 {
		t.Errorf("answer in work: status %d", got)
	}
}
