package netlinkraw

import "sync/atomic"

// Stats counts the datagrams and messages of a [Conn] since Dial. Any goroutine may read the counters.
type Stats struct {
	Datagrams atomic.Uint64 // received datagrams, including skipped ones
	Messages  atomic.Uint64 // returned messages, except for Overrun messages of Receive

	// Overruns counts ENOBUFS: the kernel dropped messages because the receive buffer was full.
	Overruns atomic.Uint64
	// Truncated counts datagrams that were larger than their slot. The slots then grow.
	Truncated atomic.Uint64
	// Forged counts datagrams that the kernel did not send.
	Forged atomic.Uint64
	// Malformed counts messages, and rests of datagrams, that could not be decoded.
	Malformed atomic.Uint64
	// ForeignSeq counts answers to requests that this socket did not send.
	ForeignSeq atomic.Uint64
	// Ignored counts well-formed messages that this package does not use.
	Ignored atomic.Uint64
}
