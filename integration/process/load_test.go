package process

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// loadDuration is how long TestThousandEventsASecond changes links.
func loadDuration() time.Duration {
	if switchtest.LongRun() {
		return time.Minute
	}
	return 3 * time.Second
}

// countMessages counts the link messages about interfaces named Ethernet, with a socket of its
// own.
func countMessages(sw *switchtest.Switch) *atomic.Int64 {
	sw.T.Helper()
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	sw.NoError("open a netlink socket", err)
	sw.T.Cleanup(func() { conn.Close() })
	count := new(atomic.Int64)
	go func() {
		var batch netlinkraw.Batch
		for conn.Receive(&batch) == nil {
			for batch.Next() {
				m := batch.Message()
				switch {
				case m.Type == netlinkraw.Overrun:
					count.Store(math.MinInt64 / 2) // the sum is wrong whatever follows
				case strings.HasPrefix(string(m.Link.Name), "Ethernet"):
					count.Add(1)
				}
			}
		}
	}()
	return count
}

// TestThousandEventsASecond checks that the daemon handles a thousand link events a second without
// loss: it must process as many messages as a second listener receives, without an overrun and a
// resync, and STATE_DB must agree with the kernel at the end. It logs the latency from the socket
// to Redis' reply.
func TestThousandEventsASecond(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const ports, rate = 32, 1000
	sw.ConfigurePorts(ports)
	sw.StartWith("[health]\naudit_interval_secs = 0\n") // the messages of an audit would be counted as well
	sw.AddInterfaces(ports)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	decided := func(e switchtest.Exposition) float64 {
		return e.Value(t, `portsyncd_events_total{event="newlink"}`) + e.Value(t, `portsyncd_events_total{event="dellink"}`)
	}
	before := client.Scrape()
	received := countMessages(sw)

	watch, lasts, changes := switchtest.StartStopwatch(), loadDuration(), 0
	begin := watch.Begin
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Since(begin) < lasts {
		// Catch up after a delay of a busy machine.
		for due := int(time.Since(begin).Seconds() * rate); changes < due; changes++ {
			sw.NoError("set MTU", sw.Links.SetMTU(switchtest.PortName(changes%ports), 1400+changes/ports%2))
		}
		<-tick.C
	}
	took := time.Since(begin)
	sw.AwaitRecovery(fmt.Sprintf("%d changes in %v", changes, took.Round(time.Millisecond)))
	after := client.Scrape()
	if buffer := after.Value(t, "portsyncd_netlink_receive_buffer_bytes"); buffer < 1<<20 {
		// With the buffer of net.core.rmem_max, the daemon may be overrun when the machine
		// is busy for a moment; it must be in sync anyway.
		t.Logf("the receive buffer has %v bytes, so messages may be lost", buffer)
		return
	}
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		after = client.Scrape()
		if got, want := decided(after)-decided(before), float64(received.Load()); got != want || want < float64(changes) {
			return fmt.Sprintf("the daemon processed %v messages, another listener received %v, for %d changes", got, want, changes)
		}
		return ""
	})
	for _, series := range []string{"portsyncd_netlink_overruns_total", `portsyncd_resyncs_total{reason="overrun"}`,
		`portsyncd_database_errors_total{kind="io"}`, `portsyncd_database_errors_total{kind="refused"}`} {
		// A request that is in progress when the machine stops can time out.
		stopped := strings.Contains(series, `"io"`) && watch.Paused() > time.Second
		if n := after.Value(t, series) - before.Value(t, series); n > 0 && !stopped {
			t.Errorf("%s grew by %v", series, n)
		}
	}
	latency := after.EventLatency().Sub(before.EventLatency())
	t.Logf("%.0f events a second for %v: %d changes, %v messages, none lost; p50 <= %v s, p99 <= %v s", float64(changes)/took.Seconds(),
		took.Round(time.Second), changes, received.Load(), latency.Quantile(0.5), latency.Quantile(0.99))
	// A hundred times what it is on an idle machine. All events wait while the machine is stopped or busy.
	if p99, most := latency.Quantile(0.99), watch.Extended(time.Second); p99 > most.Seconds() && !switchtest.RaceEnabled {
		t.Errorf("the 99th percentile is %v s, want at most %v", p99, most)
	}
}

// TestConcurrentScrapes scrapes from many clients at once while links change. Each response must
// be complete, no counter may decrease between two responses to one client, and each histogram
// must be consistent.
func TestConcurrentScrapes(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const clients, scrapes = 24, 20
	d := sw.BringUp(switchtest.ManyPorts)
	first := switchtest.NewClient(t, switchtest.HTTPAddress)
	stop := sw.Churn()
	var wg sync.WaitGroup
	for n := range clients {
		client := first.Dial("tcp", switchtest.HTTPAddress)
		wg.Go(func() {
			var last switchtest.Exposition
			for range scrapes {
				path := []string{"/metrics", "/metrics.json", "/ports", "/healthz"}[n%4]
				a, err := client.TryRequest(http.MethodGet, path)
				if err != nil || a.Code != http.StatusOK {
					t.Errorf("client %d: GET %s: %d, %v", n, path, a.Code, err)
					return
				}
				if path != "/metrics" {
					if strings.HasPrefix(a.Header.Get("Content-Type"), switchtest.JSONType) && !json.Valid([]byte(a.Body)) {
						t.Errorf("client %d: %s is not JSON: %.200q", n, path, a.Body)
					}
					continue
				}
				e, err := switchtest.ParseExposition(a.Body)
				if err != nil {
					t.Errorf("client %d: %v", n, err)
					return
				}
				for _, problem := range scrapeProblem(e, last) {
					t.Errorf("client %d: %s", n, problem)
				}
				last = e
			}
		})
	}
	wg.Wait()
	stop()
	sw.AwaitRecovery(fmt.Sprintf("%d scrapes by %d clients at once", clients*scrapes, clients))
	sw.CheckAfterFault(d)
}

// scrapeProblem returns what is impossible in a scrape, alone or after an earlier one, or "".
func scrapeProblem(e switchtest.Exposition, earlier switchtest.Exposition) (problems []string) {
	for _, f := range e.Families {
		below := 0.0
		for _, series := range f.Series {
			v := e.Samples[series]
			if f.Kind != "gauge" && v < earlier.Samples[series] && !strings.Contains(series, "quantile=") {
				problems = append(problems, fmt.Sprintf("%s was %v and is %v", series, earlier.Samples[series], v))
			}
			if f.Kind != "histogram" {
				continue
			}
			switch {
			case strings.Contains(series, "_bucket{"):
				if v < below {
					problems = append(problems, fmt.Sprintf("%s is %v, the bucket before it %v", series, v, below))
				}
				below = v
			case strings.HasPrefix(series, f.Name+"_count") && v != below:
				problems = append(problems, fmt.Sprintf("%s is %v, its last bucket %v", series, v, below))
			}
		}
	}
	return problems
}
