package metrics

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
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
