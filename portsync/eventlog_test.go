package portsync

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"portsyncd/metrics"
	"portsyncd/syslog"
)

// newLogged returns a loop without a kernel whose log is collected.
func newLogged(t *testing.T) (*Loop, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: syslog.LevelNotice}))
	status := &Status{}
	return NewLoop(Options{Log: log, Status: status, Open: &Connector{},
		Metrics: NewMetrics(metrics.NewSet(), status, false)}), &out
}

// TestEachFaultIsLogged: a fault is logged although another one was logged less
// than a minute ago, and repetitions of each are counted.
func TestEachFaultIsLogged(t *testing.T) {
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

// TestNoSweepAfterLoss: an overrun that is told after the end of a dump, and before
// STATE_DB is compared, puts the comparison off until a dump without loss.
func TestNoSweepAfterLoss(t *testing.T) {
	l, _ := newLogged(t)
	l.audits.sweep = sweepStart
	l.state.DumpRequested(1, false)
	l.decide(&Event{Kind: DumpDone, Seq: 1}, nil)
	if !l.audits.compare {
		t.Fatal("a complete dump does not lead to a comparison")
	}
	l.decide(&Event{Kind: Overrun}, nil)
	if l.audits.compare || l.audits.sweep != sweepStart {
		t.Errorf("after an overrun: compare %t, sweep %q; want the comparison put off", l.audits.compare, l.audits.sweep)
	}
	l.state.DumpRequested(2, false)
	l.decide(&Event{Kind: DumpDone, Seq: 2, Incomplete: true}, nil)
	if l.audits.compare {
		t.Error("a dump that lost messages leads to a comparison")
	}
	l.state.DumpRequested(3, false)
	l.decide(&Event{Kind: DumpDone, Seq: 3}, nil)
	if !l.audits.compare {
		t.Error("the next complete dump does not lead to a comparison")
	}
}

// TestDumpsThatCauseOneAnother: dumps each of which ends well and leads to the
// next are requested ever more seldom; after a quiet second one is requested at once.
func TestDumpsThatCauseOneAnother(t *testing.T) {
	d := newDumper()
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
		t.Errorf("after a quiet time a dump waits for %v", time.Duration(d.due()-now))
	}
	d.wanted, d.running = false, true
	d.done(now)
	if pause := time.Duration(d.at - now); pause > 5*time.Millisecond {
		t.Errorf("a second dump after a quiet time waits for %v, want the least pause again", pause)
	}
}
