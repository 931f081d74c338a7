package metrics

import (
	"context"
	"fmt"
	"io"
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
		const request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Padding: "
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
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	pause(ctx, time.Second)
}

// cutOff goes away in the middle of its request, or of the answer.
func cutOff(_ context.Context, c net.Conn) {
	requests := []string{
		"", "G", "GET /metrics HTTP/1.1\r\nHo", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc",
		"\x16\x03\x01", "GET " + strings.Repeat("x", 2*maxHeaderBytes) + " HTTP/1.1\r\n\r\n",
	}
	at := time.Now().Nanosecond() / 1000 % len(requests)
	io.WriteString(c, requests[at])
}

// scrapes lets good clients scrape until ctx ends, each scrape on a connection
// of its own as Prometheus does after a failure. It calls good with the number of
// good scrapes after each of them, and returns how long these took, sorted, and the
// errors of the others.
func (s *target) scrapes(ctx context.Context, t *testing.T, clients int, good func(n int)) (took []time.Duration, failures []error) {
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
					good(len(took))
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
			// The attack goes on until there are scrapes to judge by: a busy machine
			// gives neither side much time.
			ctx, cancel := context.WithTimeout(t.Context(), 10*attackTime(n))
			defer cancel()
			begin := time.Now()
			enough := func(good int) {
				if good >= 10 && time.Since(begin) > attackTime(n) {
					cancel()
				}
			}
			var wg sync.WaitGroup
			network, address := "tcp", s.tcp
			if tt.unix {
				network, address = "unix", s.socket
			}
			attack(ctx, &wg, n, network, address, tt.behave)

			most := 0
			wg.Go(func() {
				for ctx.Err() == nil {
					most = max(most, s.conns.count())
					pause(ctx, time.Millisecond)
				}
			})
			took, failures := s.scrapes(ctx, t, 2, enough)
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
		conns := s.conns.count()
		if conns == 0 && len(s.answers.places[0])+len(s.answers.places[1]) == 0 && len(s.answers.makers) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still %d connections and %d answers", conns, len(s.answers.places[0])+len(s.answers.places[1]))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestManyScrapers has 48 clients scrape at once while values move as in a
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
	took, failures := s.scrapes(ctx, t, 48, func(int) {})
	wg.Wait()
	if len(took) < 48 || len(failures) > 0 {
		t.Fatalf("%d scrapes, %d failures, first: %v", len(took), len(failures), first(failures))
	}
	for i, reason := range rejectReasons {
		if n := s.conns.rejected.At(i).Load(); n != 0 {
			t.Errorf("%d turned away: %s", n, reason)
		}
	}
	t.Logf("%d scrapes: median %v, slowest %v; %d events", len(took), took[len(took)/2], took[len(took)-1], events.Load())
}
