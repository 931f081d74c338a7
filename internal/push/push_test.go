package push

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/metrics"
)

// testPusher is a Pusher whose requests are handled by the test.
type testPusher struct {
	*Pusher
	set  *metrics.Set
	logs bytes.Buffer
	got  []*batch // delivered batches
	sent []time.Time
}

// newTestPusher returns a pusher with an interval of 10 s. answer returns the result of the n-th
// request; if answer is nil, all requests succeed.
func newTestPusher(t *testing.T, answer func(n int, b *batch) result) *testPusher {
	t.Helper()
	r := &testPusher{set: metrics.NewSet()}
	r.set.NewCounter("portsyncd_audits_total", "Audits.").Add(1)
	c := Config{URL: "http://receiver/write", Interval: 10 * time.Second, Instance: func() string { return "leaf1" }, QueueBatches: 5}
	p, err := New(c, r.set, NewFamilies(r.set), slog.New(slog.NewTextHandler(&r.logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r.Pusher = p
	p.post = func(ctx context.Context, b *batch) result {
		n := len(r.sent)
		r.sent = append(r.sent, time.Now())
		res := result{batch: b}
		if answer != nil {
			res = answer(n, b)
		}
		if res.outcome == delivered {
			r.got = append(r.got, b)
		}
		return res
	}
	return r
}

// runFor runs the pusher for a duration of the synctest clock.
func (r *testPusher) runFor(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	r.Run(ctx)
}

// value returns the value of a series.
func (r *testPusher) value(t *testing.T, name, label string) float64 {
	t.Helper()
	for s := range r.set.Samples() {
		if s.Name == name && (label == "" || s.Labels[0].Value == label) {
			return s.Value
		}
	}
	t.Fatalf("no series %s %q", name, label)
	return 0
}

// failed returns the result of a failed request.
func failed(b *batch, o outcome, after time.Duration) result {
	return result{batch: b, outcome: o, err: errors.New("test error"), retryAfter: after}
}

// TestInstance checks that Config.Instance is called for each batch.
func TestInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestPusher(t, nil)
		asked := 0
		r.config.Instance = func() string { asked++; return fmt.Sprintf("name%d", asked) }
		r.runFor(30*time.Second - time.Nanosecond)
		if len(r.got) != 3 {
			t.Fatalf("%d batches in 30 s, want 3", len(r.got))
		}
		for i, b := range r.got {
			body := string(b.body)
			own := strings.Count(body, fmt.Sprintf(",instance=name%d", i+1))
			if own == 0 || own != strings.Count(body, ",instance=") {
				t.Errorf("batch %d, want instance name%d only: %s", i, i+1, body)
			}
		}
	})
}

// TestRun checks that one batch is sent in each interval, and the metrics of the package.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestPusher(t, nil)
		begin := time.Now()
		r.runFor(100*time.Second - time.Nanosecond)
		if len(r.got) != 10 {
			t.Fatalf("%d batches in 100 s, want 10", len(r.got))
		}
		if first := r.sent[0].Sub(begin); first >= 10*time.Second {
			t.Errorf("first batch after %v, want less than 10s", first)
		}
		for i, at := range r.sent[1:] {
			if d := at.Sub(r.sent[i]); d != 10*time.Second {
				t.Errorf("batch %d %v after the previous one, want 10s", i+1, d)
			}
		}
		if !bytes.HasPrefix(r.got[0].body, []byte("portsyncd,instance=leaf1 audits_total=1,")) {
			t.Errorf("first batch is %q", r.got[0].body)
		}
		if n := r.value(t, "portsyncd_push_requests_total", ""); n != 10 {
			t.Errorf("%v requests counted, want 10", n)
		}
		if n := r.value(t, "portsyncd_push_samples_total", ""); n != float64(10*r.got[0].samples) {
			t.Errorf("%v samples counted, want 10 times %d", n, r.got[0].samples)
		}
		if at := r.value(t, "portsyncd_push_last_success_timestamp_seconds", ""); at != float64(r.sent[9].UnixMilli())/1000 {
			t.Errorf("last success at %v, want %v", at, r.sent[9])
		}
		if r.logs.Len() > 0 {
			t.Errorf("log: %s", &r.logs)
		}
	})
}

// TestGone checks that while the receiver is unavailable the newest batches are kept, the backoff
// increases to a minute, and one line is logged. When the receiver is available again, it gets the
// kept batches, oldest first.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := newTestPusher(t, func(_ int, b *batch) result {
			if time.Since(begin) < time.Hour {
				return failed(b, unreachable, 0)
			}
			return result{batch: b}
		})
		r.runFor(time.Hour + 65*time.Second)
		var pauses []time.Duration
		for i, at := range r.sent[1:] {
			if !at.After(begin.Add(time.Hour)) {
				pauses = append(pauses, at.Sub(r.sent[i]))
			}
		}
		for i, p := range pauses {
			whole := min(time.Second<<min(i, 10), time.Minute)
			if p < whole*3/4 || p > whole {
				t.Errorf("backoff %d is %v, want %v to %v", i, p, whole*3/4, whole)
			}
		}
		if len(pauses) < 60 {
			t.Errorf("%d attempts in an hour, want at least 60", len(pauses))
		}
		for i, b := range r.got[1:] {
			if stamp(t, b) <= stamp(t, r.got[i]) {
				t.Errorf("batch %d is older than the previous one", i+1)
			}
		}
		// The kept batches are from the last 50 s before the receiver was available again.
		if oldest := begin.Add(time.Hour - 50*time.Second); len(r.got) < 5 || stamp(t, r.got[0]) < oldest.UnixNano() {
			t.Errorf("%d batches delivered, the oldest is from %v", len(r.got), time.Unix(0, stamp(t, r.got[0])))
		}
		made := 366 // one every 10 s
		dropped := r.value(t, "portsyncd_push_dropped_batches_total", "queue_full")
		queued := r.value(t, "portsyncd_push_queue_batches", "")
		if all := int(dropped) + int(queued) + len(r.got); all < made || all > made+1 {
			t.Errorf("%v dropped, %v queued, %d delivered, want %d in total", dropped, queued, len(r.got), made)
		}
		if n := r.value(t, "portsyncd_push_failures_total", "unreachable"); int(n) != len(r.sent)-len(r.got) {
			t.Errorf("%v failures counted, want one for each failed request", n)
		}
		if lines := strings.Count(r.logs.String(), "\n"); lines != 2 || !strings.Contains(r.logs.String(), "pushing metrics resumed") {
			t.Errorf("log: %s", &r.logs)
		}
	})
}

// TestSlow checks that a hanging request delays neither sampling nor the end of Run.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestPusher(t, nil)
		began := time.Now()
		r.post = func(ctx context.Context, b *batch) result {
			r.sent = append(r.sent, time.Now())
			<-ctx.Done()
			return failed(b, unreachable, 0)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan time.Time, 1)
		go func() { r.Run(ctx); ended <- time.Now() }()
		time.Sleep(15 * time.Minute)
		cancel()
		if late := (<-ended).Sub(began) - 15*time.Minute; late != 0 {
			t.Errorf("Run ended %v after its context", late)
		}
		if n := r.value(t, "portsyncd_push_dropped_batches_total", "queue_full"); n < 80 {
			t.Errorf("%v of about 90 batches dropped, want at least 80", n)
		}
		for i, at := range r.sent[1:] {
			if d := at.Sub(r.sent[i]); d < requestTimeout {
				t.Errorf("request %d began %v after the previous one", i+1, d)
			}
		}
	})
}

// TestRetryAfter checks that the delay in Retry-After is used, up to maxRetryAfter.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct{ asked, low, high time.Duration }{
		{0, 500 * time.Millisecond, time.Second},
		{30 * time.Second, 30 * time.Second, 30 * time.Second},
		{24 * time.Hour, 15 * time.Minute, 15 * time.Minute},
	} {
		t.Run(c.asked.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTestPusher(t, func(n int, b *batch) result {
					if n == 0 {
						return failed(b, overloaded, c.asked)
					}
					return result{batch: b}
				})
				r.runFor(20 * time.Minute)
				if d := r.sent[1].Sub(r.sent[0]); d < c.low || d > c.high {
					t.Errorf("Retry-After %v: next request after %v", c.asked, d)
				}
			})
		})
	}
}

// TestRefused checks that a refused batch is not sent again and does not delay the next one.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(map[*batch]bool)
		r := newTestPusher(t, func(n int, b *batch) result {
			if seen[b] {
				t.Errorf("request %d repeats a batch", n)
			}
			seen[b] = true
			if n < 3 {
				return failed(b, refused, 0)
			}
			return result{batch: b}
		})
		r.runFor(100*time.Second - time.Nanosecond)
		if len(r.got) != 7 {
			t.Errorf("%d batches delivered, want 7", len(r.got))
		}
		if n := r.value(t, "portsyncd_push_dropped_batches_total", "refused"); n != 3 {
			t.Errorf("%v batches counted as refused, want 3", n)
		}
	})
}

// TestGzip checks that compressed batches have the same text and at most a quarter of its size.
func TestGzip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTestPusher(t, nil)
		ports := r.set.NewGroup("port")
		up := ports.NewIntGauge("portsyncd_port_up", "Up.")
		for i := range 512 {
			up.In(ports.Add(fmt.Sprintf("Ethernet%d", i))).Set(1)
		}
		r.config.Gzip = true
		r.runFor(25 * time.Second)
		for _, b := range r.got {
			z, err := gzip.NewReader(bytes.NewReader(b.body))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(z)
			if err != nil || bytes.Count(text, []byte("port_up=1 ")) != 512 {
				t.Errorf("%v: %.200q", err, text)
			}
			if len(b.body)*4 > len(text) {
				t.Errorf("compressed %d bytes of %d", len(b.body), len(text))
			}
		}
		if len(r.got) < 2 {
			t.Errorf("%d batches, want at least 2", len(r.got))
		}
	})
}

// stamp returns the time stamp of a batch that is not compressed.
func stamp(t *testing.T, b *batch) int64 {
	t.Helper()
	line, _, _ := bytes.Cut(b.body, []byte("\n"))
	var at int64
	if _, err := fmt.Sscan(string(line[bytes.LastIndexByte(line, ' ')+1:]), &at); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return at
}
