package netlinkraw

import "slices"

// Batch holds received datagrams and walks over the messages in them. The zero
// value is ready for use; reuse it, it keeps what memory it needs. It must not
// be copied, nor used by two goroutines at once.
type Batch struct {
	datagrams [][]byte
	cut       []int  // which of them, counted from 1, lack their end; in ascending order
	next      int    // index of the first datagram not begun
	rest      []byte // of the datagram begun
	overrun   bool   // an Overrun is due after all of them

	msg   Message
	dumps *dumpTracker // of the Conn that filled the batch, or loadedDumps
	stats *Stats       // likewise, or loadedStats

	loadedDumps dumpTracker
	loadedStats Stats
}

// Load fills b with datagrams that came from elsewhere than a [Conn]: a
// simulated kernel, a recording, a fuzzer. b keeps the slices, not copies.
//
// There being no socket to compare with, every message with NLM_F_MULTI counts
// as part of a dump, and every error as the refusal of one. A dump can span
// several Loads.
func (b *Batch) Load(datagrams ...[]byte) {
	b.loadedDumps.any = true
	b.reset(&b.loadedDumps, &b.loadedStats)
	b.datagrams = append(b.datagrams, datagrams...)
	b.stats.Datagrams.Add(uint64(len(datagrams)))
}

// reset empties b and says on whose account the messages to come are booked.
func (b *Batch) reset(dumps *dumpTracker, stats *Stats) {
	b.datagrams, b.cut, b.next, b.rest, b.overrun = b.datagrams[:0], b.cut[:0], 0, nil, false
	b.msg = Message{}
	b.dumps, b.stats = dumps, stats
}

// Message returns the message that the last Next found. The next Next
// overwrites it; the package comment says how long its byte slices last.
func (b *Batch) Message() *Message { return &b.msg }

// Next goes to the next message that means something to this package and
// reports whether there was one. After false the batch is empty.
func (b *Batch) Next() bool {
	for {
		for len(b.rest) > 0 {
			if b.decodeNext() {
				return true
			}
		}
		if b.next == len(b.datagrams) {
			break
		}
		b.rest = b.datagrams[b.next]
		b.next++
	}
	b.msg = Message{}
	if !b.overrun {
		return false
	}
	b.overrun = false
	b.msg.Type = Overrun
	return true
}

// decodeNext consumes one message of b.rest and reports whether b.msg holds it.
func (b *Batch) decodeNext() bool {
	h, payload, rest, ok := cutMessage(b.rest)
	v := malformed
	switch {
	case ok:
		v = b.msg.decode(h, payload, b.dumps)
	case slices.Contains(b.cut, b.next):
		v = b.msg.decodeCut(b.rest, b.dumps)
	}
	b.rest = rest // nil if !ok: where the next message begins is unknown
	switch v {
	case malformed:
		b.stats.Malformed.Add(1)
	case ignored:
		b.stats.Ignored.Add(1)
	case foreign:
		b.stats.ForeignSeq.Add(1)
	case taken:
		b.stats.Messages.Add(1)
	}
	return v == taken
}
