package netlinkraw

import "slices"

// Batch holds received datagrams and iterates over their messages. The zero value is ready to use.
// A Batch can be reused to avoid allocations. It must not be copied or used by several goroutines
// at the same time.
type Batch struct {
	datagrams [][]byte
	cut       []int  // 1-based numbers of the truncated datagrams, ascending
	next      int    // index of the next datagram
	rest      []byte // rest of the current datagram
	overrun   bool   // return an Overrun after the last datagram

	msg   Message
	dumps *dumpTracker // dump tracker of the Conn that filled the batch, or loadedDumps
	stats *Stats       // counters of the Conn that filled the batch, or loadedStats

	loadedDumps dumpTracker
	loadedStats Stats
}

// Load fills b with datagrams from a source other than a [Conn]: a simulated kernel, a recording or
// a fuzzer. It does not copy the datagrams.
//
// Load does not know which dumps were requested, so it treats every message with NLM_F_MULTI as
// part of a dump and every error as a failed dump. A dump can span several calls of Load.
func (b *Batch) Load(datagrams ...[]byte) {
	b.loadedDumps.any = true
	b.reset(&b.loadedDumps, &b.loadedStats)
	b.datagrams = append(b.datagrams, datagrams...)
	b.stats.Datagrams.Add(uint64(len(datagrams)))
}

// reset empties b and sets the dump tracker and counters to use for the next messages.
func (b *Batch) reset(dumps *dumpTracker, stats *Stats) {
	b.datagrams, b.cut, b.next, b.rest, b.overrun = b.datagrams[:0], b.cut[:0], 0, nil, false
	b.msg = Message{}
	b.dumps, b.stats = dumps, stats
}

// Message returns the current message. The next call of Next overwrites it. See the package
// documentation for the lifetime of its byte slices.
func (b *Batch) Message() *Message { return &b.msg }

// Next advances to the next message and reports whether there is one. It skips unknown and
// malformed messages. After Next returns false, the batch is empty.
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

// decodeNext decodes the first message of b.rest into b.msg. It reports whether b.msg is valid.
func (b *Batch) decodeNext() bool {
	h, payload, rest, ok := cutMessage(b.rest)
	res := malformed
	switch {
	case ok:
		res = b.msg.decode(h, payload, b.dumps)
	case slices.Contains(b.cut, b.next):
		res = b.msg.decodeCut(b.rest, b.dumps)
	}
	b.rest = rest // nil if !ok, since the start of the next message is unknown
	switch res {
	case malformed:
		b.stats.Malformed.Add(1)
	case ignored:
		b.stats.Ignored.Add(1)
	case foreign:
		b.stats.ForeignSeq.Add(1)
	case decoded:
		b.stats.Messages.Add(1)
	}
	return res == decoded
}
