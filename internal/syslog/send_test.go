package syslog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeDaemon is a syslog daemon's socket.
type fakeDaemon struct {
	path string
	conn *net.UnixConn
}

func newFakeDaemon(t testing.TB) *fakeDaemon {
	t.Helper()
	d := &fakeDaemon{path: filepath.Join(t.TempDir(), "log")}
	d.listen(t)
	return d
}

// listen takes the place of a daemon that was there before, if any.
func (d *fakeDaemon) listen(t testing.TB) {
	t.Helper()
	os.Remove(d.path)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	d.conn = conn
}

// read returns the next datagram.
func (d *fakeDaemon) read(t testing.TB) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, err := d.conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// newPipe returns the ends of a pipe, as supervisord gives to its programs.
func newPipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	r.SetReadDeadline(time.Now().Add(10 * time.Second))
	return r, w
}

// readLineFrom returns the next line and loses what follows it.
func readLineFrom(t testing.TB, r io.Reader) string {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// retryNow makes the next line try to connect, as if retryEvery had passed.
func (h *Handler) retryNow() { h.shared.socket.retryAt.Store(0) }

// unlimited returns h without the limit for equal messages.
func unlimited(h *Handler) *Handler {
	h.shared.rates.limit = math.MaxUint32
	return h
}

func TestDaemonRestarts(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := New(Options{SocketPath: daemon.path})
	log := slog.New(h)
	log.Info("first")
	if got := daemon.read(t); !strings.HasSuffix(got, ": first") {
		t.Errorf("got %q", got)
	}

	daemon.conn.Close()
	h.retryNow()
	log.Info("lost") // tries to connect, in vain
	daemon.listen(t)
	log.Info("lost as well") // too early to try again
	if got := h.Dropped(); got != 2 {
		t.Errorf("Dropped() = %d while the daemon was away, want 2", got)
	}

	h.retryNow()
	log.Info("back") // this very line finds the daemon
	if got := daemon.read(t); !strings.HasSuffix(got, ": back") {
		t.Errorf("got %q", got)
	}
	if lines, dropped := h.Lines(Info), h.Dropped(); lines != 2 || dropped != 2 {
		t.Errorf("%d lines, %d dropped; want 2 and 2", lines, dropped)
	}
}

func TestNoDaemonAtFirst(t *testing.T) {
	daemon := &fakeDaemon{path: filepath.Join(t.TempDir(), "log")}
	h := New(Options{SocketPath: daemon.path})
	log := slog.New(h)
	log.Info("lost")
	daemon.listen(t)
	h.retryNow()
	log.Info("found")
	if got := daemon.read(t); !strings.HasSuffix(got, ": found") {
		t.Errorf("got %q", got)
	}
	if got := h.Dropped(); got != 1 {
		t.Errorf("Dropped() = %d, want 1", got)
	}
}

// TestDaemonStopsReading fills the daemon's queue. That the test comes to an end shows that no line waits.
func TestDaemonStopsReading(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := unlimited(New(Options{SocketPath: daemon.path}))
	log := slog.New(h)
	logged := 0
	for ; h.Dropped() < 3; logged++ {
		log.Info("nobody reads")
	}
	for range logged - 3 { // those that wait included
		daemon.read(t)
	}
	log.Info("again") // at once: a full queue is no reason to wait with the next attempt
	if got := daemon.read(t); !strings.HasSuffix(got, ": again") {
		t.Errorf("got %q", got)
	}
	if got := h.Dropped(); got != 3 {
		t.Errorf("Dropped() = %d, want 3: what waited was to be sent", got)
	}
}

// TestBurstKeepsRareLines: while lines of WriteLine fill the queue all the time, the other lines get through, in their
// order, before any more of the burst.
func TestBurstKeepsRareLines(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := New(Options{SocketPath: daemon.path})
	write := func(patience time.Duration) bool {
		return h.WriteLine(LevelNotice, "onMsg", []byte("burst"), time.Now(), patience)
	}
	inQueue := 0
	for write(0) {
		inQueue++
	}
	log := slog.New(h)
	rare := []string{": health is degraded", ": requesting all links", ": cannot write"}
	for _, text := range rare {
		log.Warn(strings.TrimPrefix(text, ": "))
	}
	if write(0) {
		t.Error("a line of the burst went out before those that waited")
	}
	const more = 100
	ended := make(chan bool)
	go func() {
		ok := true
		for range more {
			ok = write(10*time.Second) && ok
		}
		ended <- ok
	}()
	for range inQueue {
		daemon.read(t)
	}
	for _, want := range append(rare, slices.Repeat([]string{"onMsg: burst"}, more)...) {
		if got := daemon.read(t); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !<-ended {
		t.Error("lines of the burst were dropped although they were patient")
	}
	if got := h.Dropped(); got != 2 { // both of the burst
		t.Errorf("Dropped() = %d, want 2", got)
	}
}

// TestWriteLineWaits: a line with patience waits for room in a queue that is full, and no longer than its patience.
func TestWriteLineWaits(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := unlimited(New(Options{SocketPath: daemon.path}))
	write := func(patience time.Duration) bool {
		return h.WriteLine(LevelNotice, "onMsg", []byte("line"), time.Now(), patience)
	}
	for write(0) {
	}
	if write(time.Millisecond) {
		t.Error("a line went out although the queue is full")
	}
	done := make(chan bool)
	go func() { done <- write(10 * time.Second) }()
	daemon.read(t)
	if !<-done {
		t.Error("the line was dropped although the daemon read")
	}
	if h.Dropped() != 2 {
		t.Errorf("%d lines dropped, want 2", h.Dropped())
	}
}

// TestEqualMessages: what is logged in a loop is bounded by message and second, and the next line says how much is
// missing. Another message is not affected.
func TestEqualMessages(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := New(Options{SocketPath: daemon.path})
	handle := func(message string, at time.Time) {
		h.Handle(context.Background(), slog.NewRecord(at, LevelError, message, 0))
	}
	second := time.Date(2026, 3, 1, 4, 5, 6, 0, time.UTC)
	for range 53_000 / 8 {
		handle("LOGLEVEL counts as NOTICE", second)
	}
	for range LinesPerSecond { // room in the queue, which is short
		daemon.read(t)
	}
	handle("cannot read the LOGGER row", second)
	handle("LOGLEVEL counts as NOTICE", second.Add(time.Second))
	var last string
	for range 2 {
		last = daemon.read(t)
	}
	if want := ": LOGLEVEL counts as NOTICE suppressed=6615"; !strings.HasSuffix(last, want) {
		t.Errorf("the last line is %q, want %q", last, want)
	}
	if lines, suppressed := h.Lines(Error), h.Suppressed(); lines != LinesPerSecond+2 || suppressed != 6615 {
		t.Errorf("%d lines, %d suppressed; want %d and 6615", lines, suppressed, LinesPerSecond+2)
	}
}

// TestPipeStopsReading does the same with a pipe, whose descriptor is a blocking one, and checks that all lines that
// did go out are whole.
func TestPipeStopsReading(t *testing.T) {
	r, w := newPipe(t)
	h := unlimited(New(Options{Output: Stdout, Stdout: w}))
	log := slog.New(h)
	text := strings.Repeat("x", 1500)
	logged := 0
	for ; h.Dropped() < 3; logged++ {
		log.Warn(text)
	}
	in := bufio.NewReader(r)
	for range logged - 3 {
		if line, err := in.ReadString('\n'); err != nil || line != "WARN :- portsyncd: "+text+"\n" {
			t.Fatalf("read %d bytes, %.10q..., %v", len(line), line, err)
		}
	}
	log.Warn("again")
	if line, err := in.ReadString('\n'); line != "WARN :- portsyncd: again\n" {
		t.Errorf("read %q, %v", line, err)
	}
}

func TestPipeReaderGone(t *testing.T) {
	r, w := newPipe(t)
	r.Close()
	h := New(Options{Output: Stderr, Stderr: w})
	slog.New(h).Info("lost") // EPIPE; the Go runtime ignores the SIGPIPE
	if lines, dropped := h.Lines(Info), h.Dropped(); lines != 0 || dropped != 1 {
		t.Errorf("%d lines, %d dropped; want 0 and 1", lines, dropped)
	}
}

// TestConcurrent has several goroutines log while level and daemon change; each line must be counted once.
func TestConcurrent(t *testing.T) {
	const writers, each = 4, 500
	daemon := newFakeDaemon(t)
	h := unlimited(New(Options{SocketPath: daemon.path}))
	received := make(chan uint64)
	go func() {
		var n uint64
		for buf := make([]byte, 1<<16); ; n++ {
			size, err := daemon.conn.Read(buf)
			if err != nil || strings.HasSuffix(string(buf[:size]), ": end") {
				received <- n
				return
			}
			if line := string(buf[:size]); !strings.HasPrefix(line, "<14>") || strings.Count(line, "writer=") != 1 {
				t.Errorf("garbled line %q", line)
			}
		}
	}()
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			log := slog.New(h).With("writer", i)
			for n := range each {
				log.Info("line", "n", n)
				h.retryNow()
				h.SetLevel(LevelInfo)
			}
		})
	}
	wg.Wait()
	for h.shared.late.waiting.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	if sum := h.Lines(Info) + h.Dropped(); sum != writers*each {
		t.Errorf("%d lines and %d dropped, want %d in all", h.Lines(Info), h.Dropped(), writers*each)
	}
	want := h.Lines(Info)
	for !sendEnd(h) {
	}
	if got := <-received; got != want {
		t.Errorf("the daemon got %d lines, want %d", got, want)
	}
}

// sendEnd tells whether the queue took the line "end".
func sendEnd(h *Handler) bool {
	before := h.Dropped()
	slog.New(h).Info("end")
	return h.Dropped() == before
}

// measure calls f with a logger on a daemon that reads nothing, one on a pipe, one below its level, and one without
// a daemon.
func measure(t testing.TB, f func(name string, drain func(), log *slog.Logger)) {
	daemon := newFakeDaemon(t)
	buf := make([]byte, 1<<16)
	toSocket := unlimited(New(Options{SocketPath: daemon.path}))
	f("syslog", func() { daemon.conn.Read(buf) }, slog.New(toSocket.WithGroup("g").WithAttrs([]slog.Attr{slog.Int("a", 1)})))
	r, w := newPipe(t)
	f("stdout", func() { r.Read(buf) }, slog.New(unlimited(New(Options{Output: Stdout, Stdout: w}))))
	f("off", func() {}, slog.New(New(Options{Level: LevelError, SocketPath: daemon.path})))
	f("nobody", func() {}, slog.New(unlimited(New(Options{SocketPath: daemon.path + "-missing"}))))
}

// logFive is a line such as the daemon writes.
func logFive(ctx context.Context, log *slog.Logger) {
	log.LogAttrs(ctx, LevelNotice, "link message",
		slog.String("port", "Ethernet120"), slog.Int("ifindex", 1234), slog.Bool("up", true),
		slog.Duration("after", 1234*time.Microsecond), slog.String("reason", `not "now"`))
}

func TestLinesDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector moves buffers to the heap")
	}
	ctx := context.Background()
	measure(t, func(name string, drain func(), log *slog.Logger) {
		t.Run(name, func(t *testing.T) {
			if allocs := testing.AllocsPerRun(200, func() { logFive(ctx, log); drain() }); allocs != 0 {
				t.Errorf("%v allocations a line, want 0", allocs)
			}
			if h := log.Handler().(*Handler); (name == "syslog" || name == "stdout") && (h.Dropped() != 0 || h.Lines(Notice) == 0) {
				t.Errorf("%d lines, %d dropped: measured the wrong thing", h.Lines(Notice), h.Dropped())
			}
		})
	})
}

func BenchmarkLine(b *testing.B) {
	ctx := context.Background()
	measure(b, func(name string, drain func(), log *slog.Logger) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				logFive(ctx, log)
				drain()
			}
		})
	})
}

func ExampleHandler() {
	h := New(Options{Output: Stdout, Stdout: os.Stdout, Level: LevelNotice})
	log := slog.New(h)
	log.Info("not logged")
	log.Warn("port has no link", "port", "Ethernet0", "kind", "not \"tun\"")
	fmt.Println(h.Lines(Warn), h.Lines(Info))
	// Output:
	// WARN :- portsyncd: port has no link port=Ethernet0 kind="not \"tun\""
	// 1 0
}
