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

	"golang.org/x/sys/unix"
)

// fakeDaemon is the socket of a syslog daemon.
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

// listen opens the socket, and replaces a previous one.
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

// newPipe returns the ends of a pipe, like supervisord uses for the output of its programs.
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

// readLineFrom returns the next line. It may also read, and discard, following bytes.
func readLineFrom(t testing.TB, r io.Reader) string {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// reconnectNow makes the next line connect, as if reconnectInterval had passed.
func (h *Handler) reconnectNow() { h.shared.socket.reconnectAt.Store(0) }

// unlimited disables the limit for equal messages in h, and returns h.
func unlimited(h *Handler) *Handler {
	h.shared.rates.limit = math.MaxUint32
	return h
}

// TestDaemonRestarts checks that lines are dropped while the daemon is away, that the Handler
// reconnects after reconnectInterval, and that the line which reconnects is written.
func TestDaemonRestarts(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := New(Options{SocketPath: daemon.path})
	log := slog.New(h)
	log.Info("first")
	if got := daemon.read(t); !strings.HasSuffix(got, ": first") {
		t.Errorf("got %q", got)
	}

	daemon.conn.Close()
	h.reconnectNow()
	log.Info("lost") // fails to connect
	daemon.listen(t)
	log.Info("lost too") // too early to reconnect
	if got := h.Dropped(); got != 2 {
		t.Errorf("Dropped() = %d while the daemon was away, want 2", got)
	}

	h.reconnectNow()
	log.Info("back") // reconnects
	if got := daemon.read(t); !strings.HasSuffix(got, ": back") {
		t.Errorf("got %q", got)
	}
	if lines, dropped := h.Lines(Info), h.Dropped(); lines != 2 || dropped != 2 {
		t.Errorf("%d lines, %d dropped; want 2 and 2", lines, dropped)
	}
}

// TestNoDaemonAtFirst checks that the Handler connects to a daemon that starts later.
func TestNoDaemonAtFirst(t *testing.T) {
	daemon := &fakeDaemon{path: filepath.Join(t.TempDir(), "log")}
	h := New(Options{SocketPath: daemon.path})
	log := slog.New(h)
	log.Info("lost")
	daemon.listen(t)
	h.reconnectNow()
	log.Info("connected")
	if got := daemon.read(t); !strings.HasSuffix(got, ": connected") {
		t.Errorf("got %q", got)
	}
	if got := h.Dropped(); got != 1 {
		t.Errorf("Dropped() = %d, want 1", got)
	}
}

// TestDaemonStopsReading checks with a full queue of the daemon that logging does not block, that
// queued lines are sent later, and that further ones are dropped.
func TestDaemonStopsReading(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := unlimited(New(Options{SocketPath: daemon.path}))
	log := slog.New(h)
	logged := 0
	for ; h.Dropped() < 3; logged++ {
		log.Info("queue is full")
	}
	for range logged - 3 { // including the queued lines
		daemon.read(t)
	}
	log.Info("again") // written at once
	if got := daemon.read(t); !strings.HasSuffix(got, ": again") {
		t.Errorf("got %q", got)
	}
	if got := h.Dropped(); got != 3 {
		t.Errorf("Dropped() = %d, want 3: the queued lines should be sent", got)
	}
}

// TestBurstKeepsRareLines checks that lines of Handle are written in order, before further lines of
// WriteLine, while lines of WriteLine fill the queue of the daemon.
func TestBurstKeepsRareLines(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := New(Options{SocketPath: daemon.path})
	write := func(timeout time.Duration) bool {
		return h.WriteLine(LevelNotice, "onMsg", []byte("burst"), time.Now(), timeout)
	}
	inDaemon := 0
	for write(0) {
		inDaemon++
	}
	log := slog.New(h)
	rare := []string{": health is degraded", ": requesting all links", ": cannot write"}
	for _, text := range rare {
		log.Warn(strings.TrimPrefix(text, ": "))
	}
	if write(0) {
		t.Error("WriteLine wrote a line before the queued ones")
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
	for range inDaemon {
		daemon.read(t)
	}
	for _, want := range append(rare, slices.Repeat([]string{"onMsg: burst"}, more)...) {
		if got := daemon.read(t); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !<-ended {
		t.Error("lines of WriteLine were dropped before their timeout")
	}
	if got := h.Dropped(); got != 2 { // both of WriteLine
		t.Errorf("Dropped() = %d, want 2", got)
	}
}

// TestWriteLineWaits checks that WriteLine waits for room in a full queue, at most for its timeout.
func TestWriteLineWaits(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := unlimited(New(Options{SocketPath: daemon.path}))
	write := func(timeout time.Duration) bool {
		return h.WriteLine(LevelNotice, "onMsg", []byte("line"), time.Now(), timeout)
	}
	for write(0) {
	}
	if write(time.Millisecond) {
		t.Error("WriteLine wrote a line although the queue is full")
	}
	done := make(chan bool)
	go func() { done <- write(10 * time.Second) }()
	daemon.read(t)
	if !<-done {
		t.Error("WriteLine dropped a line although the daemon read")
	}
	if h.Dropped() != 2 {
		t.Errorf("%d lines dropped, want 2", h.Dropped())
	}
}

// TestWritersCompeteForRoom checks that no line of WriteLine is dropped before its timeout when
// several goroutines wait for room and the daemon reads one line at a time.
func TestWritersCompeteForRoom(t *testing.T) {
	daemon := newFakeDaemon(t)
	r, w := newPipe(t)
	for _, c := range []struct {
		name   string
		output Output
		read   func() error
	}{
		{"syslog", Syslog, func() error { _, err := daemon.conn.Read(make([]byte, 1<<16)); return err }},
		{"pipe", Stdout, func() error { _, err := io.ReadFull(r, make([]byte, len("NOTICE :- onMsg: line\n"))); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := New(Options{SocketPath: daemon.path, Output: c.output, Stdout: w})
			write := func(timeout time.Duration) bool {
				return h.WriteLine(LevelNotice, "onMsg", []byte("line"), time.Now(), timeout)
			}
			inDaemon := 0
			for write(0) {
				inDaemon++
			}
			const writers, each = 8, 200
			var group sync.WaitGroup
			for range writers {
				group.Go(func() {
					for n := 0; n < each && write(10*time.Second); n++ {
					}
				})
			}
			for range inDaemon + writers*each {
				if err := c.read(); err != nil {
					t.Error(err)
					break
				}
			}
			group.Wait()
			if n := h.Dropped(); n != 1 { // the one that found the queue full
				t.Errorf("%d lines dropped, want 1", n)
			}
		})
	}
}

// TestEqualMessages checks that the same message is written at most LinesPerSecond times in a
// second, that the next line has the number of suppressed lines, and that other messages are not
// affected.
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
	for range LinesPerSecond { // make room in the queue of the daemon
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

// TestPipeStopsReading checks with a full pipe on standard output that logging does not block, and
// that all written lines are complete.
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

// TestPipeReaderGone checks that a line to a pipe without a reader is counted as dropped.
func TestPipeReaderGone(t *testing.T) {
	r, w := newPipe(t)
	r.Close()
	h := New(Options{Output: Stderr, Stderr: w})
	slog.New(h).Info("lost") // fails with EPIPE
	if lines, dropped := h.Lines(Info), h.Dropped(); lines != 0 || dropped != 1 {
		t.Errorf("%d lines, %d dropped; want 0 and 1", lines, dropped)
	}
}

// TestConcurrent checks that each line is counted once if several goroutines log, reconnect and set
// the level.
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
				h.reconnectNow()
				h.SetLevel(LevelInfo)
			}
		})
	}
	wg.Wait()
	for h.shared.queue.length.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	if sum := h.Lines(Info) + h.Dropped(); sum != writers*each {
		t.Errorf("%d lines and %d dropped, want %d in total", h.Lines(Info), h.Dropped(), writers*each)
	}
	want := h.Lines(Info)
	for !sendEnd(h) {
	}
	if got := <-received; got != want {
		t.Errorf("the daemon got %d lines, want %d", got, want)
	}
}

// sendEnd logs the line "end" and reports whether it was not dropped.
func sendEnd(h *Handler) bool {
	before := h.Dropped()
	slog.New(h).Info("end")
	return h.Dropped() == before
}

// measure calls f with a logger to a daemon, one to a pipe, one whose level is too high, and one
// without a daemon. drain reads the last line.
func measure(t testing.TB, f func(name string, drain func(), log *slog.Logger)) {
	daemon := newFakeDaemon(t)
	buf := make([]byte, 1<<16)
	toSocket := unlimited(New(Options{SocketPath: daemon.path}))
	f("syslog", func() { daemon.conn.Read(buf) }, slog.New(toSocket.WithGroup("g").WithAttrs([]slog.Attr{slog.Int("a", 1)})))
	r, w := newPipe(t)
	f("stdout", func() { r.Read(buf) }, slog.New(unlimited(New(Options{Output: Stdout, Stdout: w}))))
	f("off", func() {}, slog.New(New(Options{Level: LevelError, SocketPath: daemon.path})))
	f("no daemon", func() {}, slog.New(unlimited(New(Options{SocketPath: daemon.path + "-missing"}))))
}

// logFive logs a typical line with five attributes.
func logFive(ctx context.Context, log *slog.Logger) {
	log.LogAttrs(ctx, LevelNotice, "link message",
		slog.String("port", "Ethernet120"), slog.Int("ifindex", 1234), slog.Bool("up", true),
		slog.Duration("after", 1234*time.Microsecond), slog.String("reason", `not "now"`))
}

// TestLinesDoNotAllocate checks that a typical line does not allocate.
func TestLinesDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector moves buffers to the heap")
	}
	ctx := context.Background()
	measure(t, func(name string, drain func(), log *slog.Logger) {
		t.Run(name, func(t *testing.T) {
			if allocs := testing.AllocsPerRun(200, func() { logFive(ctx, log); drain() }); allocs != 0 {
				t.Errorf("%v allocations for a line, want 0", allocs)
			}
			if h := log.Handler().(*Handler); (name == "syslog" || name == "stdout") && (h.Dropped() != 0 || h.Lines(Notice) == 0) {
				t.Errorf("%d lines, %d dropped, want no dropped line", h.Lines(Notice), h.Dropped())
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

// TestNoWriteWithoutDaemon checks that a line for a syslog daemon that is not available costs no system
// call until the next attempt to connect.
func TestNoWriteWithoutDaemon(t *testing.T) {
	daemon := newFakeDaemon(t)
	h := New(Options{SocketPath: daemon.path})
	write := func() bool { return h.WriteLine(LevelNotice, "onMsg", []byte("line"), time.Now(), time.Second) }
	if !write() {
		t.Fatal("the line was not written")
	}
	daemon.conn.Close()
	os.Remove(daemon.path)
	if write() {
		t.Fatal("a line was written without a daemon")
	}
	// A write would now succeed.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	own := h.shared.socket.fd.Swap(int64(pair[0]))
	t.Cleanup(func() { unix.Close(int(own)); unix.Close(pair[0]); unix.Close(pair[1]) })
	h.shared.socket.reconnectAt.Store(math.MaxInt64)
	if write() {
		t.Error("WriteLine wrote to a socket that is not connected")
	}
	daemon.listen(t)
	h.shared.socket.fd.Store(own)
	h.reconnectNow()
	for range 2 {
		if !write() {
			t.Error("the line was not written, although a new daemon listens")
		}
	}
}
