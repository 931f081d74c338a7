package netlinkraw

import "sync/atomic"

// Stats counts the datagrams and messages that a [Conn] has received since Dial. Its counters may
// be read from any goroutine.
type Stats struct {
	Datagrams atomic.Uint64 // received datagrams, including skipped datagrams
	Messages  atomic.Uint64 // returned messages, not counting Overruns

	// Overruns counts ENOBUFS errors: the receive buffer was full and the kernel dropped messages.
	Overruns atomic.Uint64
	// Truncated counts datagrams that were larger than their slot. The slots grow afterwards.
	Truncated atomic.Uint64
	// Forged counts datagrams whose sender was not the kernel.
	Forged atomic.Uint64
	// Malformed counts messages and remainders of datagrams that could not be decoded.
	Malformed atomic.Uint64
	// ForeignSeq counts replies to requests that this socket did not send.
	ForeignSeq atomic.Uint64
	// Ignored counts well-formed messages that this package does not use.
	Ignored atomic.Uint64
}
