package portsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/syslog"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// newLogged returns a loop without a kernel, and the buffer of its log.
func newLogged(t *testing.T) (*Loop, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: syslog.LevelNotice}))
	status := &Status{}
	return NewLoop(Options{Log: log, Status: status, Open: &Connector{},
		Metrics: NewMetrics(metrics.NewSet(), status, false)}), &out
}

// TestFaultLimits checks that the rate limit applies to each error separately, and that suppressed lines
// are counted.
func TestFaultLimits(t *testing.T) {
	l, out := newLogged(t)
	second := int64(time.Second)
	for range 3 {
		l.logger.resync(ReasonFlush, 0)
		l.logger.resync(ReasonOverrun, 1*second)
		l.logger.fault("Redis refused a command; retrying", errors.New("OOM"), 2*second)
		l.logger.fault("Redis refused a command; retrying", errors.New("READONLY"), 3*second)
	}
	l.logger.resync(ReasonOverrun, 70*second)
	for _, tt := range []struct {
		text  string
		level string
		times int
	}{
		{"reason=database_flushed suppressed=0", "INFO+2", 1},
		{"reason=overrun suppressed=0", "WARN", 1},
		{"reason=overrun suppressed=2", "WARN", 1},
		{"error=OOM suppressed=0", "ERROR", 1},
		{"error=READONLY suppressed=0", "ERROR", 1},
	} {
		n := 0
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, tt.text) && strings.Contains(line, "level="+tt.level+" ") {
				n++
			}
		}
		if n != tt.times {
			t.Errorf("%d lines with %q at %s, want %d; the log:\n%s", n, tt.text, tt.level, tt.times, out)
		}
	}
}

// TestNoSweepAfterLoss checks that an overrun between the end of a dump and the comparison with STATE_DB
// postpones the comparison until a dump without loss.
func TestNoSweepAfterLoss(t *testing.T) {
	l, _ := newLogged(t)
	l.audits.sweep = sweepStart
	l.state.DumpRequested(1, false)
	l.decide(&Event{Kind: netlinkraw.DumpDone, Seq: 1})
	if !l.audits.compare {
		t.Fatal("no comparison after a complete dump")
	}
	l.decide(&Event{Kind: netlinkraw.Overrun})
	if l.audits.compare || l.audits.sweep != sweepStart {
		t.Errorf("after an overrun: compare %t, sweep %q; want no comparison", l.audits.compare, l.audits.sweep)
	}
	l.state.DumpRequested(2, false)
	l.decide(&Event{Kind: netlinkraw.DumpDone, Seq: 2, Incomplete: true})
	if l.audits.compare {
		t.Error("comparison after a dump that lost messages")
	}
	l.state.DumpRequested(3, false)
	l.decide(&Event{Kind: netlinkraw.DumpDone, Seq: 3})
	if !l.audits.compare {
		t.Error("no comparison after the next complete dump")
	}
}

// TestDumpsThatCauseOneAnother checks that the pause grows between dumps that each lead to the next, and
// that a dump after a quiet second is requested at once.
func TestDumpsThatCauseOneAnother(t *testing.T) {
	d := newDumper(nil)
	now, dumps := int64(time.Hour), 0
	for end := now + int64(10*time.Second); now < end; dumps++ {
		d.want(now)
		now = max(now, d.due())
		d.wanted, d.running = false, true
		now += int64(time.Millisecond) // what the dump takes
		d.done(now)
	}
	if dumps > 40 {
		t.Errorf("%d dumps in 10 s, want at most 40", dumps)
	}
	now += 2 * int64(time.Second)
	if d.want(now); d.due() != now {
		t.Errorf("a dump after a quiet time is delayed by %v", time.Duration(d.due()-now))
	}
	d.wanted, d.running = false, true
	d.done(now)
	if pause := time.Duration(d.at - now); pause > 5*time.Millisecond {
		t.Errorf("the second dump after a quiet time is delayed by %v, want the minimum pause", pause)
	}
}

// TestUnreadableLinkIsNamed checks that an unreadable link is named in the log once, and in health until
// its next message was read.
func TestUnreadableLinkIsNamed(t *testing.T) {
	l, out := newLogged(t)
	named := func() string {
		l.publishStatus()
		if names := l.Status.unread.Load(); names != nil {
			return *names
		}
		return ""
	}
	ev := Event{Kind: netlinkraw.Unreadable, Index: 5}
	ev.SetName([]byte("Ethernet0"))
	l.decide(&ev)
	l.decide(&ev)
	if got := named(); got != "Ethernet0" {
		t.Errorf("health names %q", got)
	}
	if n := strings.Count(out.String(), "too large to read"); n != 1 || !strings.Contains(out.String(), "port=Ethernet0") {
		t.Errorf("%d lines, want one with the name:\n%s", n, out)
	}
	ev.Kind = netlinkraw.NewLink
	if l.decide(&ev); named() != "" {
		t.Errorf("health names %q after the message was read", named())
	}
}

// TestLines checks lines of the C++ daemon that do not occur in the recording.
func TestLines(t *testing.T) {
	ev := Event{Kind: netlinkraw.DelLink, Index: 5, Master: 9, Flags: 0x1002}
	ev.SetName([]byte("PortChannel1"))
	veth := Event{Index: 6, Flags: 0x1043, addressLen: 6, kindLen: 4}
	veth.SetName([]byte("Ethernet0"))
	copy(veth.address[:], "\x02\x42\xac\x11\x00\xff")
	copy(veth.linkKind[:], "veth")
	for _, tt := range []struct {
		entry logEntry
		want  string
	}{
		{logEntry{kind: lineMessage, ev: ev}, "onMsg: nlmsg type:17 key:PortChannel1 admin:0 oper:0 addr:none ifindex:5 master:9 flags:4098"},
		{logEntry{kind: lineMessage, ev: veth}, "onMsg: nlmsg type:16 key:Ethernet0 admin:1 oper:1 addr:02:42:ac:11:00:ff ifindex:6 master:0 type:veth flags:4163"},
		{logEntry{kind: lineDown, ev: ev}, "onMsg: Publish PortChannel1(ok:down) to state db"},
		{logEntry{kind: lineWarmStart, count: 4294967295}, "checkWarmStart: portsyncd doing warm start, restore count 4294967295"},
		{logEntry{kind: lineInitDone}, "main: PortInitDone"},
	} {
		if got := tt.entry.kind.component() + ": " + string(tt.entry.appendText(nil)); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// TestStormIsBounded checks that all lines of a start with 512 ports and a config reload are written, that
// an endless storm of messages stays below the limit of rsyslog, and that the number of dropped lines
// is logged.
func TestStormIsBounded(t *testing.T) {
	const ports, rsyslogLimit = 512, 20_000
	l, out := newLogged(t)
	e := &l.logger
	written := 0
	ev := Event{Kind: netlinkraw.NewLink, Index: 5}
	ev.SetName([]byte("Ethernet0"))
	message := func(at int64) {
		ev.At = at
		e.message(&ev, []Action{{Kind: Publish}})
		for e.ring.Peek() != nil {
			e.ring.Pop()
			written++
		}
	}
	for range ports * 8 * 2 { // 8 lines for each port, twice, which is more than enough
		message(0)
	}
	if written != ports*16 {
		t.Errorf("%d lines of a start and a reload, want %d", written, ports*16)
	}
	for at := int64(0); at < int64(300*time.Second); at += int64(5 * time.Millisecond) {
		message(at)
		e.missed(at)
	}
	if written > rsyslogLimit*9/10 {
		t.Errorf("%d lines in 300 s, want at most 90%% of the limit of rsyslog, %d", written, rsyslogLimit)
	}
	if !strings.Contains(out.String(), "dropped log lines about link messages") {
		t.Errorf("the number of dropped lines was not logged:\n%s", out)
	}
}

// TestAuditIsNotLogged checks that a message without news in the dump of an audit is not logged, because
// the C++ daemon makes no audits.
func TestAuditIsNotLogged(t *testing.T) {
	l, _ := newLogged(t)
	ev := Event{Kind: netlinkraw.NewLink, Index: 5}
	ev.SetName([]byte("Ethernet0"))
	for i, actions := range [][]Action{{{Kind: Publish}}, {{Kind: Ignore, Ignored: IgnoredOld}}, {{Kind: Ignore, Ignored: IgnoredKnown}}} {
		l.logger.message(&ev, actions)
		entry := l.logger.ring.Peek()
		if want := i < 2; (entry != nil) != want {
			t.Errorf("%v: logged %t, want %t", actions, entry != nil, want)
		}
		if entry != nil {
			l.logger.ring.Pop()
		}
	}
}

// TestBurstReachesSyslog checks that a burst of lines, larger than the queue of the syslog daemon, arrives
// completely and in order, and that the loop does not wait.
func TestBurstReachesSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	daemon, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	h := syslog.New(syslog.Options{SocketPath: path, Level: syslog.LevelNotice})
	e := newEventLog(slog.New(h), newClock(nil))
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() { e.run(done); close(ended) }()
	const burst = 2000
	for i := range uint32(burst) {
		e.put(lineWarmStart, "", i, 1)
	}
	e.flush()
	if e.overflow != 0 {
		t.Errorf("%d lines did not fit into the ring", e.overflow)
	}
	buf := make([]byte, 1024)
	daemon.SetReadDeadline(time.Now().Add(20 * time.Second))
	for i := range burst {
		n, err := daemon.Read(buf)
		if want := fmt.Sprintf("restore count %d", i); err != nil || !strings.HasSuffix(string(buf[:n]), want) {
			t.Fatalf("line %d: %q, %v", i, buf[:n], err)
		}
	}
	close(done)
	<-ended
	if h.Dropped() != 0 {
		t.Errorf("%d lines dropped", h.Dropped())
	}
}

// TestDroppedLines checks that lines are counted when the ring is full, and that their number is logged
// one second after the first.
func TestDroppedLines(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		e, log := &a.loop.logger, a.captureLog()
		for e.entry(now) != nil {
			e.ring.Push()
		}
		if e.missing != now+int64(time.Second) {
			t.Errorf("number is logged at %d", e.missing)
		}
		e.entry(now + 5)
		if e.missing != now+int64(time.Second) || e.overflow != 2 {
			t.Errorf("%[2]d lines, logged at %[1]d", e.missing, e.overflow)
		}
		e.missed(e.missing)
		if !strings.Contains(log.String(), "dropped log lines about link messages\" lines=2") {
			t.Errorf("log: %s", log)
		}
		e.missing = now
		e.missed(now)
		if strings.Count(log.String(), "\n") != 1 {
			t.Errorf("no line was dropped since; log: %s", log)
		}
	})
}

// TestLinesAreGathered checks that the lines of events that follow each other are written together, and
// that they do not wait if there are many, or at the end.
func TestLinesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written atomic.Int64
		log := slog.New(&countHandler{lines: &written})
		e := newEventLog(log, newClock(nil))
		done, ended := make(chan struct{}), make(chan struct{})
		go func() { e.run(done); close(ended) }()
		event := func(lines int) {
			for range lines {
				e.put(lineConfig, "", 0, 1)
			}
			e.flush()
			synctest.Wait()
		}
		want := func(when string, lines int64) {
			t.Helper()
			if got := written.Load(); got != lines {
				t.Errorf("%s: %d lines written, want %d", when, got, lines)
			}
		}
		const manyLines = logRingSize / 4
		synctest.Wait()
		for range 4 {
			event(2)
			time.Sleep(journal.GatherFor / 5)
		}
		want("before the interval has passed", 0)
		time.Sleep(journal.GatherFor / 5)
		synctest.Wait()
		want("after the interval", 8)
		event(manyLines - 1)
		want("with one line less than many", 8)
		event(1)
		want("with many lines", 8+manyLines)
		event(1)
		close(done)
		<-ended
		want("at the end", 9+manyLines)
	})
}

// countHandler counts lines.
type countHandler struct {
	slog.Handler
	lines *atomic.Int64
}

func (*countHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *countHandler) Handle(context.Context, slog.Record) error {
	h.lines.Add(1)
	return nil
}
