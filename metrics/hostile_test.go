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

// hostileClients returns the number of hostile clients in the tests below.
// PORTSYNCD_HOSTILE_CLIENTS sets another number, for example 1000.
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

// attackTime returns the duration of an attack, which is long enough for a good client to be served
// on a busy machine.
func attackTime(hostile int) time.Duration {
	return time.Duration(max(hostile, 200)) * 5 * time.Millisecond
}

// target is a server under attack. Clients that do not read use its unix socket, whose small
// buffers stall at once; all others use its loopback port.
type target struct {
	*Server
	set    *Set
	tcp    string
	socket string
	oper   *IntGauge

	lastLine string // of a complete scrape
}

func newTarget(t *testing.T, ports int) *target {
	t.Helper()
	set, oper, rows := fullSet(t, ports)
	socket := filepath.Join(t.TempDir(), "s")
	s, _ := startServer(t, ServerConfig{Listen: []Endpoint{{"tcp", "127.0.0.1:0"}, {"unix", socket}}},
		Sources{Set: set, Health: healthy, Ports: somePorts})
	set.NewIntGauge("test_last_line", "help").Set(1)
	return &target{s, set, s.Addrs()[0].String(), socket, oper.In(rows[0]), "\ntest_last_line 1\n"}
}

// attack runs n hostile clients until ctx ends. Each calls behave with a connection and reconnects
// 200 to 300 ms after behave returns.
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

// trickle sends a request byte by byte without completing it.
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

// neverRead sends a request and does not read the response.
func neverRead(ctx context.Context, c net.Conn) {
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	pause(ctx, time.Second)
}

// cutOff disconnects during its request or during the response.
func cutOff(_ context.Context, c net.Conn) {
	requests := []string{
		"", "G", "GET /metrics HTTP/1.1\r\nHo", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc",
		"\x16\x03\x01", "GET " + strings.Repeat("x", 2*maxHeaderBytes) + " HTTP/1.1\r\n\r\n",
	}
	at := time.Now().Nanosecond() / 1000 % len(requests)
	io.WriteString(c, requests[at])
}

// scrapes runs good clients, each of which scrapes repeatedly on new connections until ctx ends. It
// calls good after each successful scrape with their number so far. It returns the sorted durations
// of the successful scrapes and the errors of the others.
func (s *target) scrapes(ctx context.Context, t *testing.T, clients int, good func(n int)) (took []time.Duration, failures []error) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for more := true; more; more = ctx.Err() == nil { // at least once, however late it starts
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

// scrape fetches /metrics and checks that the response is complete.
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

// memory returns the bytes that the Go runtime has obtained from the system and not returned.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}

// TestHostileClients checks that good clients can scrape during an attack, and that connections and
// memory stay limited.
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
			// The attack lasts until enough scrapes have succeeded, which takes longer
			// on a busy machine.
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
				t.Errorf("%d connections, want at most %d", most, defaultMaxConns)
			}
			// On an overloaded machine the server may take a good client for an idle
			// one.
			if len(took) < 5 || len(failures) > len(took)/5 {
				t.Fatalf("%d good scrapes, %d failures, first: %v", len(took), len(failures), first(failures))
			}
			// The clients run in this process too: the bound includes a goroutine and
			// buffers for each.
			if bound := before + 64<<20 + uint64(n)*64<<10; after > bound {
				t.Errorf("memory grew from %d to %d bytes, want at most %d", before, after, bound)
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

// waitIdle waits until no connection, response or renderer is in use.
func (s *target) waitIdle(t *testing.T) {
	t.Helper()
	deadline := time.After(writeTimeout + time.Second)
	for {
		conns := s.conns.count()
		if conns == 0 && len(s.renderer.slots[0])+len(s.renderer.slots[1]) == 0 && len(s.renderer.cpus) == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still %d connections and %d responses", conns, len(s.renderer.slots[0])+len(s.renderer.slots[1]))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestManyScrapers checks that 48 clients can scrape at the same time during a burst of updates, without
// a rejection. On an overloaded machine the server may take a client that has to wait for a processor for
// one that does not read.
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
	slow := int(s.conns.rejected.At(rejectSlowReader).Load())
	if len(took) < 48 || len(failures) > slow || slow > len(took)/20 {
		t.Fatalf("%d scrapes, %d failures, %d slow readers, first: %v", len(took), len(failures), slow, first(failures))
	}
	for i, reason := range rejectReasons {
		if n := s.conns.rejected.At(i).Load(); n != 0 && i != rejectSlowReader {
			t.Errorf("%d rejected: %s", n, reason)
		}
	}
	t.Logf("%d scrapes: median %v, slowest %v; %d events", len(took), took[len(took)/2], took[len(took)-1], events.Load())
}
