package netlinkraw

import "sync/atomic"

// Stats counts what came out of a [Conn] since Dial. Each counter only grows
// and may be read at any time from any goroutine.
type Stats struct {
	Datagrams atomic.Uint64 // received, the dropped ones included
	Messages  atomic.Uint64 // handed out, Overrun messages made here not included

	// Overruns moves when the kernel dropped messages for want of room
	// (ENOBUFS): a larger receive buffer or a faster reader is wanted.
	Overruns atomic.Uint64
	// Truncated moves when a datagram did not fit its slot. The slots then grow;
	// see slotSize.
	Truncated atomic.Uint64
	// Forged moves when some other process than the kernel sent us a datagram.
	Forged atomic.Uint64
	// Malformed moves when a message, or what is left of a datagram, could not
	// be decoded.
	Malformed atomic.Uint64
	// ForeignSeq moves when an answer came to a request that was not made.
	ForeignSeq atomic.Uint64
	// Ignored counts well-formed messages of types that mean nothing here.
	Ignored atomic.Uint64
}
