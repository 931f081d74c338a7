package portsync

import (
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/internal/journal"
)

// Pauses before a dump. During a flood of messages, the kernel may overrun the socket or interrupt
// every dump. The pause grows to give the loop time to read messages before the next dump, but
// stays short enough for a resync soon after the flood. It is reset to dumpPauseMin when no dump
// was requested for dumpCalm. Dumps that trigger each other therefore never follow without a pause,
// even if each one succeeds.
const (
	dumpPauseMin = 2 * time.Millisecond
	dumpPauseMax = 500 * time.Millisecond
	dumpCalm     = time.Second
	dumpTimeout  = 5 * time.Second
)

// dumper requests dumps of all links, one at a time, because the kernel allows only one dump per
// socket. It records the resyncs that wait for a complete dump.
type dumper struct {
	*base
	wanted   bool
	quiet    bool // the wanted dump is that of an audit
	running  bool
	at       int64 // earliest time of the next dump request
	deadline int64 // when a running dump times out
	pause    backoff.Backoff
	ended    int64 // when the last dump ended

	decided   []int64 // start times of the pending resyncs
	more      int     // number of pending resyncs beyond mostDecided
	resynced  int64   // when a resync last ended
	overranAt int64   // when the kernel last dropped messages

	heldAt int64 // when the loop stopped reading link messages to access the databases; 0 while it reads them
	held   int64 // for how long it has read none during the pending resync
}

// mostDecided is the maximum length of dumper.decided. If the kernel keeps interrupting dumps,
// further resyncs are recorded with the start time of the last entry.
const mostDecided = 1 << 12

func newDumper(b *base) dumper {
	return dumper{base: b, pause: backoff.Backoff{Min: dumpPauseMin, Max: dumpPauseMax}, deadline: never}
}

// resync counts a resync and schedules the dump that completes it.
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

// want schedules a dump that completes a resync. now is the start time of that resync.
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

// wantQuiet schedules a dump for an audit. Unlike want, it does not start a resync.
func (d *dumper) wantQuiet(now int64) { d.wanted, d.quiet, d.at = true, true, now }

// idle reports whether no dump is running or scheduled.
func (d *dumper) idle() bool { return !d.running && !d.wanted }

// timedOut reports whether the running dump has timed out. If so, it marks the dump as ended.
func (d *dumper) timedOut(now int64) bool {
	at := now
	if d.heldAt != 0 {
		at = d.heldAt // later messages of the dump have not been read
	}
	if !d.running || at < d.deadline {
		return false
	}
	d.done(now)
	return true
}

// request requests the scheduled dump if it is due. It reports whether it did.
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

// done records that the running dump has ended, whether it was complete or not. The next dump
// starts after a pause.
func (d *dumper) done(now int64) {
	d.running, d.deadline, d.ended = false, never, now
	d.at = now + int64(d.pause.Next())
}

// completed ends all pending resyncs after a complete dump. It calls observe with the start time of
// each of them.
func (d *dumper) completed(now int64, observe func(since int64)) {
	for i, since := range d.decided {
		d.resynced = now
		observe(since)
		for ; d.more > 0 && i == mostDecided-1; d.more-- {
			observe(since)
		}
	}
	d.decided, d.held = d.decided[:0], 0
}

// hold records that the loop stops reading link messages at now, because it accesses the databases. The
// kernel is not responsible for a dump that does not complete meanwhile.
func (d *dumper) hold(now int64) { d.heldAt = max(now, 1) }

// release records that the loop reads link messages again.
func (d *dumper) release(now int64) {
	if d.unsynced() != 0 {
		d.held += max(now-max(d.heldAt, d.unsynced()), 0)
	}
	if d.running {
		d.deadline += max(now-d.heldAt, 0)
	}
	d.heldAt = 0
}

// slowSince returns the time at which the kernel would have begun the pending resync if the loop had read
// link messages all the time, and the time at which the loop stopped reading. Each is 0 if there is none.
func (d *dumper) slowSince() (from, held int64) {
	if d.unsynced() == 0 {
		return 0, 0
	}
	return d.unsynced() + d.held, d.heldAt
}

// unsynced returns the time since which the state may differ from the kernel's, or 0 if no resync
// is pending.
func (d *dumper) unsynced() int64 {
	if len(d.decided) == 0 {
		return 0
	}
	return d.decided[0]
}

// due returns the time at which the scheduled dump must be requested or the running dump times out.
func (d *dumper) due() int64 {
	if d.wanted && !d.running {
		return d.at
	}
	return d.deadline
}

// resync starts a resync. A comparison with STATE_DB that is due is postponed until the new dump is
// complete.
func (l *Loop) resync(reason Reason) {
	now := l.clock.now()
	if reason == ReasonOverrun {
		l.audits.explained()
	}
	l.dumps.resync(reason, now)
	l.audits.postpone()
	l.logger.resync(reason, now)
}

// requestDump requests the scheduled dump if it is due. If a running dump has timed out, it starts
// another resync.
func (l *Loop) requestDump(now int64) {
	if l.dumps.timedOut(now) {
		l.resync(ReasonSilent)
	}
	if l.dumps.request(now) {
		l.audits.dumpRequested()
	}
}

// requestLink requests only the link of p. If the request fails, it starts a resync.
func (l *Loop) requestLink(p *Port) {
	if err := l.Links.RequestLink(p.Index); err != nil {
		l.logger.fault("cannot request a link; retrying", err, l.clock.now())
		l.resync(ReasonFailed)
	}
}

// synced is called after a complete dump, when the state matches the kernel.
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

// resume is called when the databases may have lost data, for example after a reconnect or a flush.
// The loop requests all links again and compares them with STATE_DB. A reconnect alone does not
// cause the configuration to be written again: that happens only if a marker written earlier is
// missing, which means that orchagent did not receive the configuration or has lost it.
func (l *Loop) resume(reason Reason) {
	for _, p := range l.state.ports {
		p.recheck = p.recheck || p.Accepted
	}
	l.recheck.reset()
	l.audits.wantSweep(sweepBack)
	l.resync(reason)
	l.handover.wantMarkers(l.clock.now())
}
