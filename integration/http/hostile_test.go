package http

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// The test of this file runs hostile clients against a daemon whose links change all the time. All
// of them use lo of one network namespace.
const (
	hostilePorts = 32
	hostileFor   = 2 * time.Second // minimum time of each attack
	calmFor      = time.Second     // minimum time before each, for comparison
	// observeFactor limits how much longer the test observes until there are enough scrapes:
	// a busy machine gives neither side much time.
	observeFactor = 15
	// lateness is a latency in seconds. Under attack, hardly more events may exceed it than
	// without. It is a bound of the histogram, a hundred times the usual latency, since
	// clients and daemon share a machine that may be busy.
	lateness, some = 0.1 * switchtest.RaceFactor, 0.05
	// memoryBound is the limit for a daemon with as many connections as it accepts. Measured
	// are some 20 MiB.
	memoryBound = 64 << 20
)

// attacks are the kinds of hostile clients and how many of each run at once.
var attacks = []struct {
	name    string
	clients int
	behave  func(ctx context.Context, conn net.Conn)
}{
	{"a byte a second", 1000, trickleRequest},
	{"never reading", 200, neverReadAnswers},
	{"cut off", 50, cutRequest},
	{"64 scrapers", 64, scrapeAgain},
}

// trickleRequest sends a request that does not end.
func trickleRequest(ctx context.Context, conn net.Conn) {
	for i := 0; ; i++ {
		const request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Padding: "
		b := byte('x')
		if i < len(request) {
			b = request[i]
		}
		if _, err := conn.Write([]byte{b}); err != nil || !rest(ctx, time.Second) {
			return
		}
	}
}

// neverReadAnswers requests more than all buffers on the way hold and reads nothing.
func neverReadAnswers(ctx context.Context, conn net.Conn) {
	io.WriteString(conn, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200))
	<-ctx.Done()
}

// cutRequest closes the connection in the middle of a request or of the response.
func cutRequest(ctx context.Context, conn net.Conn) {
	for i, request := range []string{
		"G", "GET /metrics HTTP/1.1\r\nHo", "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x16\x03\x01",
		"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc", "GET /" + strings.Repeat("x", 20<<10),
	} {
		if i == time.Now().Nanosecond()/1000%6 {
			io.WriteString(conn, request)
		}
	}
	rest(ctx, 50*time.Millisecond)
}

// scrapeAgain scrapes with a short pause in between.
func scrapeAgain(ctx context.Context, conn net.Conn) {
	buf := make([]byte, 64<<10)
	for rest(ctx, 250*time.Millisecond) {
		if _, err := io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return
		}
		if _, err := conn.Read(buf); err != nil {
			return
		}
	}
}

// rest waits. It returns false when ctx has ended.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// attack runs hostile clients until ctx ends. One whose connection was closed returns a second
// later.
func attack(ctx context.Context, wg *sync.WaitGroup, clients int, behave func(context.Context, net.Conn)) {
	for range clients {
		wg.Go(func() {
			var d net.Dialer
			for ctx.Err() == nil {
				if conn, err := d.DialContext(ctx, "tcp", switchtest.HTTPAddress); err == nil {
					stop := context.AfterFunc(ctx, func() { conn.Close() })
					behave(ctx, conn)
					stop()
					conn.Close()
				}
				rest(ctx, time.Second)
			}
		})
	}
}

// TestHTTPHostileClients compares the latency of events without and with hostile clients.
// Well-behaved scrapes must still succeed, memory must stay bounded, and all resources must be
// released afterwards.
func TestHTTPHostileClients(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	d := sw.BringUp(hostilePorts)
	good := switchtest.NewClient(t, switchtest.HTTPAddress)
	good.HTTP.Transport.(*http.Transport).DisableKeepAlives = true // each request must be admitted
	before := good.Scrape()
	defer burst(sw)()

	for _, a := range attacks {
		// Other load on the machine looks like a successful attack, but not three
		// times in a row.
		for try := 1; ; try++ {
			quiet := observe(sw, d, good, calmFor, func(context.Context, *sync.WaitGroup) {})
			got := observe(sw, d, good, hostileFor, func(ctx context.Context, wg *sync.WaitGroup) {
				attack(ctx, wg, a.clients, a.behave)
			})
			t.Logf("%d x %s: %s\n    without: %s", a.clients, a.name, got, quiet)
			harm := got.problem(quiet)
			if harm == "" {
				break
			}
			if try == 3 {
				t.Errorf("%s: %s", a.name, harm)
				break
			}
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			if is, was := good.Scrape().Value(t, name), before.Value(t, name); is > was+4 {
				return fmt.Sprintf("%s was %v before all attacks and is %v", name, was, is)
			}
			return ""
		})
	}
	if !d.Alive() {
		t.Error("the daemon has ended")
	}
}

// burst changes 64 links twenty times a second until the returned function is called.
func burst(sw *switchtest.Switch) (stop func()) {
	links, quit, ended := switchtest.DialLinks(sw.T), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			for n := range 2 * hostilePorts {
				links.SetMTU(switchtest.PortName(n%hostilePorts), 1400+(i+n/hostilePorts)%100)
			}
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// observation is what a test measured of a daemon over a while.
type observation struct {
	latency  switchtest.Histogram
	scrapes  []time.Duration // of a well-behaved client, ascending
	failures int
	memory   int // peak resident memory
	rejected float64
}

// problem returns what got too much worse compared with no attack, or "".
func (o observation) problem(quiet observation) string {
	late, was := o.latency.ShareAbove(lateness), quiet.latency.ShareAbove(lateness)
	switch {
	case o.latency.Count() < 100 || late > was+some:
		return fmt.Sprintf("%.1f%% of %.0f events took more than %v s, %.1f%% without",
			100*late, o.latency.Count(), lateness, 100*was)
	// Under the race detector, a response takes longer than these clients wait
	// before the next request; only data races are tested there.
	case !o.enough() && !switchtest.RaceEnabled:
		return fmt.Sprintf("%d good scrapes, %d failed", len(o.scrapes), o.failures)
	case o.memory > memoryBound && !switchtest.RaceEnabled:
		return fmt.Sprintf("%d bytes of memory", o.memory)
	}
	return ""
}

// enough reports whether there are as many good scrapes as there should be.
func (o observation) enough() bool {
	return len(o.scrapes) >= 3 && len(o.scrapes) >= o.failures
}

func (o observation) String() string {
	n := len(o.scrapes)
	if n == 0 {
		return fmt.Sprintf("no scrape, %d failed; %.0f clients rejected", o.failures, o.rejected)
	}
	return fmt.Sprintf("%.0f events, p50 <= %v s, p99 <= %v s; %d scrapes, median %v, slowest %v, %d failed; %.0f clients rejected; %d KiB resident",
		o.latency.Count(), o.latency.Quantile(0.5), o.latency.Quantile(0.99), n, o.scrapes[n/2].Round(10*time.Microsecond),
		o.scrapes[n-1].Round(10*time.Microsecond), o.failures, o.rejected, o.memory>>10)
}

// observe runs a well-behaved client while attack runs, for a while and until there are enough
// scrapes.
func observe(sw *switchtest.Switch, d *switchtest.Daemon, good *switchtest.Client, while time.Duration, attack func(context.Context, *sync.WaitGroup)) observation {
	sw.T.Helper()
	var o observation
	before := good.Scrape()
	longest := while
	if !switchtest.RaceEnabled {
		longest *= observeFactor
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	begin := time.Now()
	var wg sync.WaitGroup
	attack(ctx, &wg)
	for (time.Since(begin) < while || !o.enough()) && rest(ctx, 50*time.Millisecond) {
		asked := time.Now()
		if a, err := good.TryRequest("GET", "/metrics"); err != nil || a.Code != 200 {
			o.failures++
			continue
		}
		o.scrapes = append(o.scrapes, time.Since(asked))
		o.memory = max(o.memory, switchtest.ResidentMemory(sw.T, d.Cmd.Process.Pid))
	}
	cancel()
	wg.Wait()
	slices.Sort(o.scrapes)
	var after switchtest.Exposition
	switchtest.Eventually(sw.T, switchtest.Timeout, func() string { // the last attackers may still be connected
		a, err := good.TryRequest("GET", "/metrics")
		if err == nil && a.Code == 200 {
			after, err = switchtest.ParseExposition(a.Body)
		}
		if err != nil || a.Code != 200 {
			return fmt.Sprintf("after the attack: %d, %v", a.Code, err)
		}
		return ""
	})
	o.latency = after.EventLatency().Sub(before.EventLatency())
	for series, v := range after.Samples {
		if strings.HasPrefix(series, "portsyncd_http_rejected_total{") {
			o.rejected += v - before.Samples[series]
		}
	}
	return o
}
