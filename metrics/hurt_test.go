package metrics

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hostileClients is how many clients the attacks below use. The variable asks
// for more, for example 1000; the attacks take the same time then.
func hostileClients(t *testing.T) int {
	t.Helper()
	s := os.Getenv("PORTSYNCD_HOSTILE_CLIENTS")
	if s == "" {
		return 300
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// attackTime leaves a good client, on a busy machine, time to wait its turn
// behind all hostile ones, and then some.
func attackTime(hostile int) time.Duration {
	return time.Duration(max(hostile, 200)) * 5 * time.Millisecond
}

// target is a server under attack: on a loopback port for good clients and a
// unix socket, whose small buffers stall at once, for those that do not read.
type target struct {
	*Server
	set    *Set
	tcp    string
	socket string
	oper   *IntGauge

	lastLine string // of the families that are there from the start
}

func newTarget(t *testing.T, ports int) *target {
	t.Helper()
	set, oper, rows := fullSet(t, ports)
	socket := filepath.Join(t.TempDir(), "s")
	s, _ := startServer(t, ServerConfig{Listen: []string{"127.0.0.1:0", "unix:" + socket}},
		Sources{Set: set, Health: healthy, Ports: somePorts})
	set.NewIntGauge("test_last_line", "help").Set(1)
	return &target{s, set, s.Addrs()[0].String(), socket, oper.In(rows[0]), "\ntest_last_line 1\n"}
}

// attack runs n hostile clients until ctx ends. A client whose connection has
// ended comes back a moment later.
func attack(ctx context.Context, wg *sync.WaitGroup, n int, network, address string, behave func(ctx context.Context, c net.Conn)) {
	for i := range n {
		wg.Go(func() {
			var d net.Dialer
			for ctx.Err() == nil {
				if c, err := d.DialContext(ctx, network, address); err == nil {
					stop := context.AfterFunc(ctx, func() { c.Close() })
					behave(ctx, c)
					stop()
					c.Close()
				}
				pause(ctx, time.Duration(200+i%100)*time.Millisecond)
			}
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// trickle sends a request byte by byte and never ends it.
func trickle(ctx context.Context, c net.Conn) {
	for i := 0; ctx.Err() == nil; i++ {
		const request = "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Padding: "
		b := byte('x')
		if i < len(request) {
			b = request[i]
		}
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// neverRead asks for everything and reads nothing.
func neverRead(ctx context.Context, c net.Conn) {
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
	pause(ctx, time.Second)
}

// cutOff goes away in the middle of its request, or of the answer.
func cutOff(_ context.Context, c net.Conn) {
	requests := []string{
		"", "G", "GET /metrics HTTP/1.1\r\nHo", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
		"\x16\x03\x01", "GET " + strings.Repeat("x", 2*maxHeaderBytes) + " HTTP/1.1\r\n\r\n",
	}
	at := time.Now().Nanosecond() / 1000 % len(requests)
	io.WriteString(c, requests[at])
}

// scrapes lets good clients scrape until ctx ends, each scrape on a connection
// of its own as Prometheus does after a failure. It returns how long the good
// scrapes took, sorted, and what the others met with.
func (s *target) scrapes(ctx context.Context, t *testing.T, clients int) (took []time.Duration, failures []error) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				err := s.scrape(t)
				mu.Lock()
				if err != nil {
					failures = append(failures, err)
				} else {
					took = append(took, time.Since(start))
				}
				mu.Unlock()
				pause(ctx, 10*time.Millisecond)
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took, failures
}

func first(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

// scrape fetches /metrics and checks that it is whole.
func (s *target) scrape(t *testing.T) error {
	client := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	resp, err := client.RoundTrip(mustRequest(t, "http://"+s.tcp+"/metrics"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 || !strings.Contains(string(body), s.lastLine) {
		return fmt.Errorf("status %d, %d bytes", resp.StatusCode, len(body))
	}
	return nil
}

func mustRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// memory returns what the runtime has from the system and has not given back.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

// TestHostileClients has good clients scrape while hostile ones do their worst
// and the daemon's own work goes on.
func TestHostileClients(t *testing.T) {
	tests := []struct {
		name   string
		ports  int
		unix   bool
		behave func(context.Context, net.Conn)
	}{
		{"one byte at a time", 512, false, trickle},
		{"never reading", 5000, true, neverRead},
		{"cut off", 512, false, cutOff},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTarget(t, tt.ports)
			n := hostileClients(t)
			runtime.GC()
			before := memory()
			ctx, cancel := context.WithTimeout(t.Context(), attackTime(n))
			defer cancel()
			var wg sync.WaitGroup
			network, address := "tcp", s.tcp
			if tt.unix {
				network, address = "unix", s.socket
			}
			attack(ctx, &wg, n, network, address, tt.behave)

			most := 0
			wg.Go(func() {
				for ctx.Err() == nil {
					s.conns.mu.Lock()
					most = max(most, len(s.conns.conns))
					s.conns.mu.Unlock()
					pause(ctx, time.Millisecond)
				}
			})
			took, failures := s.scrapes(ctx, t, 2)
			after := memory()
			wg.Wait()

			if most > defaultMaxConns {
				t.Errorf("%d connections, want %d at most", most, defaultMaxConns)
			}
			// A test machine that starves everybody makes a good client
			// look silent now and then.
			if len(took) < 5 || len(failures) > len(took)/5 {
				t.Fatalf("%d good scrapes, %d failures, first: %v", len(took), len(failures), first(failures))
			}
			// Both sides live in this process, so the bound allows each
			// hostile client its goroutine and buffers.
			if bound := before + 64<<20 + uint64(n)*64<<10; after > bound {
				t.Errorf("memory grew from %d to %d bytes, want %d at most", before, after, bound)
			}
			t.Logf("%d hostile clients, %d good scrapes, %d failures: median %v, slowest %v; connections %d at most; memory %+d KiB",
				n, len(took), len(failures), took[len(took)/2], took[len(took)-1], most, (int64(after)-int64(before))/1024)
			for i, reason := range rejectReasons {
				t.Logf("rejected by %s: %d", reason, s.conns.rejected.At(i).Load())
			}
			s.waitIdle(t)
		})
	}
}

// waitIdle waits until everything the clients held has been given back.
func (s *target) waitIdle(t *testing.T) {
	t.Helper()
	deadline := time.After(writeTimeout + time.Second)
	for {
		s.conns.mu.Lock()
		conns := len(s.conns.conns)
		s.conns.mu.Unlock()
		if conns == 0 && len(s.press.places) == 0 && len(s.press.workers) == cap(s.press.workers) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still %d connections and %d answers", conns, len(s.press.places))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestManyScrapers has 64 clients scrape at once while values move as in a
// burst of events: nobody is turned away, and the burst goes on.
func TestManyScrapers(t *testing.T) {
	s := newTarget(t, 512)
	ctx, cancel := context.WithTimeout(t.Context(), attackTime(0))
	defer cancel()
	var wg sync.WaitGroup
	events := s.set.NewCounter("test_events_total", "help")
	latency := s.set.NewHistogram("test_event_seconds", "help", []float64{1e-6, 1e-3, 1})
	wg.Go(func() {
		for ctx.Err() == nil {
			for range 100 {
				s.oper.SetBool(events.Load()%2 == 0)
				events.Inc()
				latency.Observe(1e-5)
			}
			pause(ctx, time.Millisecond)
		}
	})
	took, failures := s.scrapes(ctx, t, 64)
	wg.Wait()
	if len(took) < 64 || len(failures) > 0 {
		t.Fatalf("%d scrapes, %d failures, first: %v", len(took), len(failures), first(failures))
	}
	for i, reason := range rejectReasons {
		if n := s.conns.rejected.At(i).Load(); n != 0 {
			t.Errorf("%d turned away: %s", n, reason)
		}
	}
	t.Logf("%d scrapes: median %v, slowest %v; %d events", len(took), took[len(took)/2], took[len(took)-1], events.Load())
}

// With every place taken by connections that are being served, the next one
// hears 503 at once, whole, and is closed.
func TestSurplusConnection(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 2)
	set := NewSet()
	s, base := startServer(t, ServerConfig{MaxConns: 2}, Sources{Set: set, Health: func() Health {
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
	resp, body := fetch(t, "GET", base+"/healthz")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || body != "too many connections\n" || !resp.Close {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
	close(release)
	wg.Wait()
	if n := s.conns.rejected.At(rejectConnections).Load(); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

// A connection that has not asked for anything makes room for a newer one, and
// is told so; one that has been served is closed without a word.
func TestWaitingConnectionMakesRoom(t *testing.T) {
	s, _ := startServer(t, ServerConfig{MaxConns: 2}, Sources{Health: healthy})
	address := s.Addrs()[0].String()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	ask := func(c net.Conn) string {
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	served := dial()
	if got := ask(served); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Fatal(got)
	}
	silent := dial()
	io.WriteString(silent, "GET /heal")
	if got := ask(dial()); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("newcomer got %q", got)
	}
	if got, err := io.ReadAll(silent); string(got) != busyAnswer {
		t.Errorf("silent connection got %q, %v", got, err)
	}
	if got := ask(dial()); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("second newcomer got %q", got)
	}
	if got, err := io.ReadAll(served); len(got) != 0 {
		t.Errorf("served connection got %q, %v", got, err)
	}
}

// Requests that wait for the same share one answer; it is made after the last
// of them came.
func TestRequestsShareAnEdition(t *testing.T) {
	p := newPress(1, 1, newConnTable(1, nil), NewSet().NewCounterVec("x_total", "h", "reason", rejectReasons...))
	printing, proceed := make(chan struct{}), make(chan struct{})
	made := 0
	render := func(b []byte) []byte {
		made++
		printing <- struct{}{}
		<-proceed
		return fmt.Appendf(b, "edition %d", made)
	}
	bodies := make(chan string)
	read := func() {
		e := p.take(t.Context(), "text", render, false)
		bodies <- string(e.body)
		p.give(e)
	}
	go read()
	<-printing // the first edition has begun: nobody can join it
	const late = 5
	for range late {
		go read()
	}
	for joined := 0; joined < late; runtime.Gosched() {
		p.mu.Lock()
		if e := p.waiting["text"]; e != nil {
			joined = e.readers
		}
		p.mu.Unlock()
	}
	proceed <- struct{}{}
	if got := <-bodies; got != "edition 1" {
		t.Errorf("first reader got %q", got)
	}
	<-printing
	proceed <- struct{}{}
	for range late {
		if got := <-bodies; got != "edition 2" {
			t.Errorf("late reader got %q", got)
		}
	}
	for len(p.places) > 0 {
		runtime.Gosched() // until the last reader has given its edition back
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) != 1 {
		t.Errorf("%d buffers, want the same one twice", len(p.free))
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
