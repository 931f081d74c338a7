package portsync

import (
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/journal"
)

// Pauses before a dump. A kernel that is being flooded overruns or interrupts one dump
// after the other: the pause grows, so that the loop reads messages before it requests the
// next dump, and stays short enough for a resync soon after the flood. It starts again at
// dumpPauseMin once no dump was wanted for dumpCalm; a dump that causes the next one, and
// succeeds every time, is therefore not requested without a pause.
const (
	dumpPauseMin = 2 * time.Millisecond
	dumpPauseMax = 500 * time.Millisecond
	dumpCalm     = time.Second
	dumpTimeout  = 5 * time.Second
)

// dumper requests dumps of all links, one at a time, since the kernel allows no second one
// on a socket. It records the resyncs that wait for a complete dump.
type dumper struct {
	*base
	wanted   bool
	quiet    bool // the wanted dump is that of an audit
	running  bool
	at       int64 // the wanted dump is not requested before
	deadline int64 // a running dump has failed if it has not ended by then
	pause    backoff.Backoff
	ended    int64 // when the last dump ended

	decided   []int64 // when each of the pending resyncs was decided on
	more      int     // resyncs beyond mostDecided
	resynced  int64   // when a resync last ended
	overranAt int64   // when the kernel last dropped messages
}

// mostDecided bounds dumper.decided. While a kernel interrupts dump after dump, further
// resyncs count as decided on together with the last one of the list.
const mostDecided = 1 << 12

func newDumper(b *base) dumper {
	return dumper{base: b, pause: backoff.Backoff{Min: dumpPauseMin, Max: dumpPauseMax}, deadline: never}
}

// resync counts a resync and wants the dump that completes it.
func (d *dumper) resync(reason Reason, now int64) {
	if reason == ReasonOverrun {
		d.overranAt = max(now, 1)
		d.addEvent(journal.Event{Kind: journal.Overrun})
	}
	if reason != ReasonStart {
		d.addEvent(journal.Event{Kind: journal.Resync, Reason: reason.inWords()})
	}
	d.Metrics.resyncs.At(int(reason)).Inc()
	d.want(now)
}

// want wants a dump that completes a resync decided on at time now.
func (d *dumper) want(now int64) {
	d.wanted, d.quiet = true, false
	if !d.running && now-d.ended > int64(dumpCalm) {
		d.pause.Reset()
	}
	if len(d.decided) < mostDecided {
		d.decided = append(d.decided, max(now, 1))
	} else {
		d.more++
	}
	if d.at < now {
		d.at = now
	}
}

// wantQuiet wants a dump for an audit. It completes no resync.
func (d *dumper) wantQuiet(now int64) { d.wanted, d.quiet, d.at = true, true, now }

// idle reports whether no dump is running or wanted.
func (d *dumper) idle() bool { return !d.running && !d.wanted }

// timedOut reports whether the running dump has not ended in time, and then ends it.
func (d *dumper) timedOut(now int64) bool {
	if !d.running || now < d.deadline {
		return false
	}
	d.done(now)
	return true
}

// request requests the dump that is wanted, if its time has come, and reports whether it
// did.
func (d *dumper) request(now int64) bool {
	if !d.wanted || d.running || now < d.at {
		return false
	}
	seq, err := d.Links.RequestLinkDump()
	if err != nil {
		d.at = now + int64(d.pause.Next())
		d.logger.fault("cannot request all links; retrying", err, now)
		return false
	}
	d.state.DumpRequested(seq, d.quiet)
	d.wanted, d.running = false, true
	d.deadline = now + int64(dumpTimeout)
	return true
}

// done records the end of a dump, complete or not. The next one waits for a pause.
func (d *dumper) done(now int64) {
	d.running, d.deadline, d.ended = false, never, now
	d.at = now + int64(d.pause.Next())
}

// completed ends the pending resyncs after a complete dump. It calls observe with the time
// at which each was decided on.
func (d *dumper) completed(now int64, observe func(since int64)) {
	for i, since := range d.decided {
		d.resynced = now
		observe(since)
		for ; d.more > 0 && i == mostDecided-1; d.more-- {
			observe(since)
		}
	}
	d.decided = d.decided[:0]
}

// unsynced returns since when the state may differ from the kernel's, or 0 if no resync is
// pending.
func (d *dumper) unsynced() int64 {
	if len(d.decided) == 0 {
		return 0
	}
	return d.decided[0]
}

// due returns when request or timedOut has something to do.
func (d *dumper) due() int64 {
	if d.wanted && !d.running {
		return d.at
	}
	return d.deadline
}

// resync wants a dump of all links. Its end, not that of an earlier dump, decides on the
// next comparison with STATE_DB.
func (l *Loop) resync(reason Reason) {
	now := l.clock.now()
	if reason == ReasonOverrun {
		l.audits.explained()
	}
	l.dumps.resync(reason, now)
	l.audits.postpone()
	l.logger.resync(reason, now)
}

// requestDump requests the dump that is wanted, if its time has come. A running dump that
// did not end in time is followed by another one.
func (l *Loop) requestDump(now int64) {
	if l.dumps.timedOut(now) {
		l.resync(ReasonSilent)
	}
	if l.dumps.request(now) {
		l.audits.dumpRequested()
	}
}

// requestLink requests the one link of a port. If the kernel refuses, a dump follows.
func (l *Loop) requestLink(p *Port) {
	if err := l.Links.RequestLink(p.Index); err != nil {
		l.logger.fault("cannot request a link; retrying", err, l.clock.now())
		l.resync(ReasonFailed)
	}
}

// synced follows a complete dump: the state is the kernel's.
func (l *Loop) synced() {
	now := l.clock.now()
	l.dumps.completed(now, func(since int64) {
		l.Metrics.resyncDuration.Observe(float64(now-since) / 1e9)
	})
	l.audits.dumpCompleted(now)
	if !l.initial.eoiu {
		l.initial.dumpCompleted(l.handover.ports)
		l.feed.syncedOnce()
	}
}

// resume follows an event after which the databases may have lost anything, such as a
// reconnect or a flush: the loop requests all links again and compares them with STATE_DB.
// A reconnect alone produces nothing a second time. A missing marker that had been produced
// shows that orchagent never got the configuration or has lost it.
func (l *Loop) resume(reason Reason) {
	for _, p := range l.state.ports {
		p.recheck = p.recheck || p.Accepted
	}
	l.recheck.reset()
	l.audits.wantSweep(sweepBack)
	l.resync(reason)
	l.handover.wantMarkers(l.clock.now())
}
