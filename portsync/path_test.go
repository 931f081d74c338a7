package portsync

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/ring"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"

	"golang.org/x/sys/unix"
)

// path is the whole way of an event, from the bytes of a datagram to the
// acknowledged row, with a server that costs nothing.
type path struct {
	loop   *Loop
	reader reader
	batch  netlinkraw.Batch
	raw    []byte
}

// newPath connects a loop with a journal, unless it is nil, to a server that answers every script
// call with "1".
func newPath(tb testing.TB, j *journal.Journal) *path {
	tb.Helper()
	address := filepath.Join(tb.TempDir(), "redis.sock")
	listener, err := net.Listen("unix", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	dbs, err := openDatabases(context.Background(), sonicdb.StaticMap("unix", address), true)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { dbs.Close() })
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(tb.TempDir(), "none"), Level: syslog.LevelNotice})
	status := &Status{}
	l := NewLoop(Options{Log: slog.New(logs), Status: status, Open: &Connector{}, Journal: j,
		Metrics: NewMetrics(metrics.NewSet(), status, true)})
	l.db.session = &session{store: dbs}
	l.initial.started, l.initial.decision = true, &Decision{}
	link := netlinkraw.Link{Index: 5, Name: []byte("Ethernet0"), Kind: []byte("veth"),
		Flags: unix.IFF_UP, MTU: 9100, HasMTU: true, CarrierDown: 3, HasCarrierCounts: true}
	return &path{
		loop:   l,
		reader: reader{ring: l.ring, now: l.clock.now},
		raw:    netlinkraw.AppendLinkMessage(nil, unix.RTM_NEWLINK, 0, 0, 0, &link),
	}
}

// answer plays the server: it recognizes the scripts, each in a write of its own, and the first
// commands of a connection, SELECT and PING.
func answer(c net.Conn) {
	defer c.Close()
	buf, script, ok, one := make([]byte, 64<<10), []byte("EVALSHA"), []byte("+OK\r\n"), []byte("$1\r\n1\r\n")
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		reply := ok
		switch {
		case bytes.Contains(buf[:n], []byte("KEY_SET")):
			reply = []byte("*0\r\n")
		case bytes.Contains(buf[:n], script):
			reply = one
		case bytes.Contains(buf[:n], []byte("PING")):
			reply = []byte("+OK\r\n+PONG\r\n")
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// event takes one datagram the whole way.
func (p *path) event() {
	p.batch.Load(p.raw)
	p.reader.drain(&p.batch)
	p.loop.consume()
	p.loop.publishStatus()
	p.loop.flush()
	p.loop.publishStatus()
	p.loop.feed.flush()
}

// TestEventAllocatesNothing checks that an event allocates no memory from the datagram to the
// acknowledgement of its row, with the log lines at NOTICE, a link-down transition and the journal.
func TestEventAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations cannot be counted under the race detector")
	}
	j := journal.New(journal.Options{Base: time.Now()})
	p := newPath(t, j)
	done := make(chan struct{})
	defer close(done)
	go p.loop.logger.run(done)
	p.event() // the first sight of a port makes its entry
	port := p.loop.state.ports["Ethernet0"]
	link := p.loop.state.links[port.Index]
	n := testing.AllocsPerRun(500, func() {
		link.downs, port.CarrierDown = 0, 0
		p.event()
	})
	if n != 0 {
		t.Errorf("%v allocations per event, want 0", n)
	}
	if downs := port.view.downs.Load(); downs < 3*500 {
		t.Errorf("the carrier went %d times, want thrice for each event", downs)
	}
	if p.loop.writes.batch.Len() != 0 || !p.loop.state.ports["Ethernet0"].Accepted {
		t.Fatal("the events did not arrive")
	}
}

// BenchmarkEvent measures one event, round trip to the database included, with a journal that
// writes files and without one. Each event takes the link up or down.
func BenchmarkEvent(b *testing.B) {
	for _, name := range []string{"without journal", "with journal"} {
		b.Run(name, func(b *testing.B) {
			var j *journal.Journal
			if name == "with journal" {
				j = journal.New(journal.Options{Dir: b.TempDir(), Base: time.Now(),
					Settings: journal.Settings{Retention: time.Hour, MaxFileSize: 10 << 20}})
				ctx, cancel := context.WithCancel(context.Background())
				var running sync.WaitGroup
				running.Go(func() { j.Run(ctx) })
				defer running.Wait()
				defer cancel()
			}
			p := newPath(b, j)
			down := slices.Clone(p.raw)
			up := bytes.Replace(down, []byte{unix.IFF_UP, 0, 0, 0}, []byte{unix.IFF_UP | unix.IFF_RUNNING, 0, 0, 0}, 1)
			b.ReportAllocs()
			for b.Loop() {
				down, up = up, down
				p.raw = up
				p.event()
			}
		})
	}
}

// BenchmarkStep measures State.Step.
func BenchmarkStep(b *testing.B) {
	s := NewState(nil)
	ev := Event{Kind: netlinkraw.NewLink, Index: 5, MTU: 9100}
	ev.SetName([]byte("Ethernet0"))
	var actions []Action
	b.ReportAllocs()
	for b.Loop() {
		actions, _ = s.Step(&ev, actions[:0])
	}
}

// BenchmarkPublishStatus measures the publication of a turn with one changed port and with none,
// by the number of ports.
func BenchmarkPublishStatus(b *testing.B) {
	for _, ports := range []int{1, 512} {
		l := newQuietLoop()
		for n := range ports {
			p := l.state.port(fmt.Appendf(nil, "Ethernet%d", n))
			p.Configured, p.Index = true, int32(n+1)
			l.state.touch(p)
		}
		l.publishStatus()
		p := l.state.ports["Ethernet0"]
		b.Run(fmt.Sprintf("changed/%d", ports), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.MTU++
				l.state.touch(p)
				l.publishStatus()
			}
		})
		b.Run(fmt.Sprintf("quiet/%d", ports), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.publishStatus()
			}
		})
	}
}

// TestReaderWaitsForRoom checks that the reader puts no message into a full ring, and returns when done is
// closed.
func TestReaderWaitsForRoom(t *testing.T) {
	done := make(chan struct{})
	r := reader{ring: ring.New[Event](2), now: func() int64 { return 0 }, done: done}
	close(done)
	m := netlinkraw.Message{Type: netlinkraw.Overrun}
	for n, want := range []bool{true, true, false} {
		if got := r.put(&m, 5); got != want || r.ring.Len() != min(n+1, 2) {
			t.Errorf("message %d: accepted %t, %d in the ring", n+1, got, r.ring.Len())
		}
	}
	if ev := r.ring.Peek(); ev.Kind != netlinkraw.Overrun || ev.At != 5 {
		t.Errorf("%+v", ev)
	}
}
