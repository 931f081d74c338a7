package portsync_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
)

// slowKernel has a fixed list of links and, if it is told to, keeps the end of
// its dumps back, or marks it as interrupted.
type slowKernel struct {
	mu         sync.Mutex
	links      []netlinkraw.Link
	dumps      int    // requested so far
	held       bool   // no dump ends
	owed       uint32 // the request whose end is held back; 0: none is
	interrupts int    // so many dumps are yet to be interrupted; -1: all

	queue  chan []byte
	closed chan struct{}
	once   sync.Once
}

func newSlowKernel(links ...netlinkraw.Link) *slowKernel {
	return &slowKernel{links: links, queue: make(chan []byte, 1000), closed: make(chan struct{})}
}

func (k *slowKernel) Receive(b *netlinkraw.Batch) error {
	select {
	case datagram := <-k.queue:
		b.Load(datagram)
		return nil
	case <-k.closed:
		return os.ErrClosed
	}
}

func (k *slowKernel) RequestLink(int32) error { return nil }

func (k *slowKernel) Close() error {
	k.once.Do(func() { close(k.closed) })
	return nil
}

func (k *slowKernel) RequestLinkDump() (uint32, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dumps++
	seq := uint32(k.dumps)
	var datagram []byte
	for i := range k.links {
		datagram = netlinkraw.AppendLinkMessage(datagram, unix.RTM_NEWLINK, unix.NLM_F_MULTI, seq, 0, &k.links[i])
	}
	k.queue <- datagram
	if k.held {
		k.owed = seq
		return seq, nil
	}
	k.end(seq)
	return seq, nil
}

// end sends the end of a dump.
func (k *slowKernel) end(seq uint32) {
	flags := uint16(unix.NLM_F_MULTI)
	if k.interrupts != 0 {
		flags |= unix.NLM_F_DUMP_INTR
		k.interrupts--
	}
	k.queue <- netlinkraw.AppendDone(nil, seq, 0, flags, 0)
}

// announce changes a link.
func (k *slowKernel) announce(l netlinkraw.Link) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.links {
		if k.links[i].Index == l.Index {
			k.links[i] = l
		}
	}
	k.queue <- netlinkraw.AppendLinkMessage(nil, unix.RTM_NEWLINK, 0, 0, 0, &l)
}

// release sends what is held back and keeps nothing back from here on.
func (k *slowKernel) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = false
	if k.owed != 0 {
		k.end(k.owed)
	}
}

func (k *slowKernel) requests() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dumps
}

// memory records what the loop has to tell; it remembers the ports.
type memory struct{ records chan warmrestart.Restart }

func (m *memory) HasState() bool                      { return true }
func (m *memory) DiscardState()                       {}
func (m *memory) RecordRestart(r warmrestart.Restart) { m.records <- r }
func (m *memory) RecordPorts([]warmrestart.Port)      {}
func (m *memory) await(t *testing.T) (r warmrestart.Restart) {
	t.Helper()
	select {
	case r = <-m.records:
	case <-time.After(10 * time.Second):
		t.Fatal("no record of the start")
	}
	return r
}

// warmStart is a loop of which the process alone was restarted: APPL_DB has
// PortInitDone, STATE_DB has rows.
type warmStart struct {
	t      *testing.T
	db     *lab.DB
	kernel *slowKernel
	memory *memory
	set    *metrics.Set
	writes chan string // keys of PORT_TABLE in STATE_DB and APPL_DB as they are touched
}

const (
	up   = unix.IFF_UP | unix.IFF_RUNNING
	down = 0
)

func portLink(n int, flags, mtu uint32) netlinkraw.Link {
	return netlinkraw.Link{Index: int32(10 + n), Name: []byte(portName(n)), Kind: []byte("veth"), Flags: flags, MTU: mtu, HasMTU: true}
}

func portName(n int) string { return "Ethernet" + strconv.Itoa(4*n) }

// newWarmStart makes three configured ports, of which the kernel has two: the row
// of the first is right, that of the second is not, that of the third is stale.
// The kernel can be prepared before it is asked anything.
func newWarmStart(t *testing.T, timeout time.Duration, prepare func(k *slowKernel)) *warmStart {
	t.Helper()
	w := &warmStart{
		t: t, db: lab.NewDB(lab.DBOptions{Notify: "AKE"}), memory: &memory{make(chan warmrestart.Restart, 10)},
		kernel: newSlowKernel(portLink(0, up, 9100), portLink(1, down, 1500)),
		set:    metrics.NewSet(), writes: make(chan string, 1000),
	}
	if prepare != nil {
		prepare(w.kernel)
	}
	socket := filepath.Join(t.TempDir(), "redis.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go w.db.Serve(listener)
	t.Cleanup(func() { w.db.Close() })
	for n := range 3 {
		w.do(lab.ConfigDB, "HSET", "PORT|"+portName(n), "lanes", strconv.Itoa(n))
		w.do(lab.ApplDB, "HSET", "PORT_TABLE:"+portName(n), "lanes", strconv.Itoa(n))
		w.do(lab.StateDB, "HSET", "PORT_TABLE|"+portName(n),
			"state", "ok", "netdev_oper_status", "up", "admin_status", "up", "mtu", "9100")
	}
	w.do(lab.ApplDB, "HSET", "PORT_TABLE:PortConfigDone", "count", "3")
	w.do(lab.ApplDB, "HSET", "PORT_TABLE:PortInitDone", "lanes", "0")
	w.watch(socket)

	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "none"), Level: syslog.LevelNotice})
	status := &portsync.Status{}
	loop := portsync.NewLoop(portsync.Options{
		Links:   w.kernel,
		SetDown: func([]int32) []error { t.Error("interfaces are set down"); return nil },
		Open: &portsync.Connector{
			Map:  func() (*sonicdb.Map, error) { return sonicdb.StaticMap("unix", socket), nil },
			Logs: logs, Level: syslog.LevelNotice, Log: slog.New(logs),
		},
		Log: slog.New(logs), Status: status, Metrics: portsync.NewMetrics(w.set, status, false),
		Recorder: w.memory, EOIUTimeout: timeout,
	})
	t.Cleanup(w.run(loop))
	return w
}

// run runs the loop until the returned function is called.
func (w *warmStart) run(loop *portsync.Loop) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
}

func (w *warmStart) do(db int, args ...string) {
	w.t.Helper()
	if _, err := w.db.Do(db, args...); err != nil {
		w.t.Fatalf("%q: %v", args, err)
	}
}

// watch collects keyspace notifications of both PORT_TABLEs.
func (w *warmStart) watch(socket string) {
	w.t.Helper()
	c, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "unix", Address: socket})
	if err != nil {
		w.t.Fatal(err)
	}
	patterns := []string{"__keyspace@6__:PORT_TABLE|*", "__keyspace@0__:_PORT_TABLE:*"}
	if err := c.PSubscribe(patterns...); err != nil {
		w.t.Fatal(err)
	}
	for range patterns {
		if _, err := c.ReceiveMessage(); err != nil {
			w.t.Fatal(err)
		}
	}
	go func() {
		for {
			m, err := c.ReceiveMessage()
			if err != nil {
				return
			}
			_, key, _ := bytes.Cut(m.Channel, []byte("__:"))
			w.writes <- string(key) + " " + string(m.Payload.Str)
		}
	}()
}

// touched returns what has been written since the last call. A write of the
// test's own, to a row that the loop leaves alone, is the end of it.
func (w *warmStart) touched() (keys []string) {
	w.t.Helper()
	const mark = "PORT_TABLE|mark"
	w.do(lab.StateDB, "HSET", mark, "state", "ok")
	for {
		select {
		case key := <-w.writes:
			if strings.HasPrefix(key, mark) {
				slices.Sort(keys)
				return keys
			}
			// A row for orchagent is written field by field.
			if !strings.HasPrefix(key, "_") || !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		case <-time.After(10 * time.Second):
			w.t.Fatal("no notification of the test's own write")
		}
	}
}

func (w *warmStart) wantTouched(want ...string) {
	w.t.Helper()
	if got := w.touched(); !slices.Equal(got, want) {
		w.t.Errorf("written were %q, want %q", got, want)
	}
}

// exposed returns the value of a series on /metrics.
func (w *warmStart) exposed(series string) string {
	for line := range strings.Lines(string(w.set.AppendText(nil))) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// awaitExposed waits until a series has a value.
func (w *warmStart) awaitExposed(series, want string) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); w.exposed(series) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s is %q, want %q", series, w.exposed(series), want)
		}
	}
}

// awaitState waits until STATE_DB satisfies cond.
func (w *warmStart) awaitState(what string, cond func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if w.db.Await(ctx, cond) != nil {
		w.t.Fatalf("still not: %s", what)
	}
}

func (w *warmStart) row(n int) map[string]string {
	return w.db.Hash(lab.StateDB, "PORT_TABLE|"+portName(n))
}

const (
	differs = "PORT_TABLE|Ethernet4 hset"
	stale   = "PORT_TABLE|Ethernet8 del"
)

// produced is what the hand-over to orchagent touches.
func produced() (keys []string) {
	for _, key := range []string{"Ethernet0", "Ethernet4", "Ethernet8", "PortConfigDone"} {
		keys = append(keys, "_PORT_TABLE:"+key+" hset")
	}
	return keys
}

func holdBack(k *slowKernel) { k.held = true }

// TestWarmStart checks that a warm start compares before it writes: of three rows one differs, one
// is stale, and one is left alone. The configuration is produced afterwards.
func TestWarmStart(t *testing.T) {
	w := newWarmStart(t, time.Minute, nil)
	r := w.memory.await(t)
	if r.Kind != warmrestart.Warm || !r.EOIU || r.TimedOut || r.Compared != 2 || r.Changed != 1 || r.Deleted != 1 ||
		r.Duration <= 0 || time.Since(r.At) > time.Minute || r.Reason == "" {
		t.Errorf("record %+v", r)
	}
	w.awaitState("produced", func() bool { return w.db.Hash(lab.ApplDB, "_PORT_TABLE:PortConfigDone") != nil })
	w.wantTouched(append([]string{differs, stale}, produced()...)...)
}

// TestGate delays the end of the initial dump and checks that nothing is written meanwhile, neither
// rows, not even that of a live message, nor rows for orchagent.
func TestGate(t *testing.T) {
	w := newWarmStart(t, time.Minute, holdBack)
	w.kernel.announce(portLink(1, up, 1400))
	w.awaitExposed(`portsyncd_events_total{event="newlink"}`, "3")
	w.wantTouched()
	w.kernel.release()
	r := w.memory.await(t)
	if !r.EOIU || r.TimedOut || r.Changed != 1 || r.Deleted != 1 {
		t.Errorf("record %+v", r)
	}
	if mtu := w.row(1)["mtu"]; mtu != "1400" {
		t.Errorf("mtu %q, want that of the live message", mtu)
	}
}

// TestEOIUTimeout delays the end of the initial dump for longer than EOIUTimeout. The loop writes
// the links known so far and deletes nothing. The late end of the dump deletes the stale row and
// produces nothing again.
func TestEOIUTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond // long enough for the loop to process the links before it
	w := newWarmStart(t, timeout, holdBack)
	r := w.memory.await(t)
	if r.EOIU || !r.TimedOut || r.Compared != 2 || r.Changed != 1 || r.Deleted != 0 || r.Duration < timeout {
		t.Errorf("record %+v", r)
	}
	w.awaitState("produced", func() bool { return w.db.Hash(lab.ApplDB, "_PORT_TABLE:PortConfigDone") != nil })
	w.wantTouched(append([]string{differs}, produced()...)...)

	w.kernel.announce(portLink(0, up, 1400)) // life goes on meanwhile
	w.awaitState("the change is written", func() bool { return w.row(0)["mtu"] == "1400" })
	w.wantTouched("PORT_TABLE|Ethernet0 hset")

	w.kernel.release()
	w.awaitState("the stale row is gone", func() bool { return w.row(2) == nil })
	w.kernel.announce(portLink(0, up, 1500)) // after whatever the end brought
	w.awaitState("the change is written", func() bool { return w.row(0)["mtu"] == "1500" })
	w.wantTouched("PORT_TABLE|Ethernet0 hset", stale)
	select {
	case r := <-w.memory.records:
		t.Errorf("a second record %+v", r)
	default:
	}
}

// TestInterruptedDump interrupts dumps and checks that each is followed by another one, that an
// interrupted dump writes and deletes nothing, and that the last one ends the initial sync.
func TestInterruptedDump(t *testing.T) {
	w := newWarmStart(t, time.Minute, func(k *slowKernel) { k.interrupts = 3 })
	r := w.memory.await(t)
	if !r.EOIU || r.TimedOut || r.Changed != 1 || r.Deleted != 1 {
		t.Errorf("record %+v", r)
	}
	if n := w.kernel.requests(); n != 4 {
		t.Errorf("%d dumps, want 4", n)
	}
	if got := w.exposed(`portsyncd_resyncs_total{reason="dump_interrupted"}`); got != "3" {
		t.Errorf("%s interrupted dumps are counted, want 3", got)
	}
}

// TestEndlessInterrupts interrupts every dump and checks that the loop limits the rate of its
// requests and that the timeout ends the wait.
func TestEndlessInterrupts(t *testing.T) {
	t.Parallel()
	const timeout = 500 * time.Millisecond
	w := newWarmStart(t, timeout, func(k *slowKernel) { k.interrupts = -1 })
	r := w.memory.await(t)
	// Pauses grow from 2 ms to 512 ms, less a quarter, so 9 fit. Before the record is read, a busy machine
	// may add some.
	if n := w.kernel.requests(); n > 25 {
		t.Errorf("%d dumps in %v, want at most 10", n, timeout)
	}
	for w.kernel.requests() < 5 { // the test's own timeout ends this
		time.Sleep(time.Millisecond)
	}
	if r.EOIU || !r.TimedOut || r.Deleted != 0 {
		t.Errorf("record %+v", r)
	}
	w.kernel.mu.Lock()
	w.kernel.interrupts = 0
	w.kernel.mu.Unlock()
	w.awaitState("the stale row is gone", func() bool { return w.row(2) == nil })
}
