// Package netlinkraw receives the state of network links from the kernel through rtnetlink, and
// encodes and decodes link messages. It is independent of ports.
//
// # Receiving
//
// [Dial] opens an rtnetlink socket and joins RTNLGRP_LINK. A dump requested afterwards with
// [Conn.RequestLinkDump] cannot miss a change, because live messages and the answer to the dump
// arrive in one queue, in the order in which the kernel sent them.
//
// [Conn.Receive] blocks until messages are queued, and then reads up to 32 datagrams with one system
// call. A datagram can hold many messages. [Batch.Next] iterates over them:
//
//	var b netlinkraw.Batch
//	for {
//		if err := c.Receive(&b); err != nil {
//			return err // os.ErrClosed after Close
//		}
//		for b.Next() {
//			m := b.Message()
//			...
//		}
//	}
//
// Receive and Next do not allocate. A [Message] and its byte slices ([Link].Name, [Link].Kind and
// [Link].Address) point into the read buffer of the Conn. They are valid until the next call of
// Next or Load on the Batch, or of Receive on the Conn with any Batch. Copy what is needed longer.
// Close does not free the buffer; the Receive that returns os.ErrClosed does.
//
// # Raw system calls
//
// Receive hides its system calls from the Go scheduler (RawSyscall6), because the first ordinary system
// call after all goroutines have slept wakes the scheduler's monitor thread, which then uses more CPU
// time than the system call. A hidden call must not block: the scheduler does not know that the thread
// waits. With MSG_DONTWAIT, the call blocks only during a dump of this socket, because it then generates
// the next part of the dump and can wait for the rtnl lock. From the request for a dump until its end
// was received, Receive therefore uses ordinary system calls.
//
// # Lost messages
//
// If the socket's receive buffer is full, the kernel drops messages and returns ENOBUFS once. It then also drops
// all further live messages until the queue is empty, so a dump that was requested earlier may be
// outdated. Receive therefore returns the queued messages first and then, when the queue is empty, one
// message of type [Overrun]. The caller must then request a dump and treat links that are not in it as
// deleted.
//
// A datagram can be larger than its slot in the read buffer (MSG_TRUNC): the message of a link with
// hundreds of alternative names has 70 KiB. The slots then grow, to at most 4 MiB in total, and an
// Overrun follows, so that the next dump reads the link. A link message larger than the maximum size
// of a slot, which current kernels cannot allocate, is returned as [Unreadable] with the name of the
// link but without its state.
//
// If messages were lost during a dump, its [DumpDone] has Incomplete set, whether it arrives before or
// after the Overrun. Links may be missing from such a dump.
//
// If links were created or deleted during a dump (NLM_F_DUMP_INTR), its DumpDone has Interrupted set.
// Links may be missing from it or repeated. Use the links in the dump, do not treat other links as
// deleted, and request another dump. The kernel runs one dump per socket; a request during a dump is answered by a
// DumpDone with Errno EBUSY. If an Overrun is expected, wait for it before requesting another dump.
//
// # Validation
//
// Any process with CAP_NET_ADMIN can send to the socket, so datagrams whose sender is not the kernel
// (port ID 0) are dropped. All lengths are checked. Malformed messages, and the rest of a datagram
// after a malformed header, are skipped and counted. Unknown message types and attributes are
// skipped. [Conn.Stats] returns the counters.
//
// # Concurrency
//
// One goroutine at a time may call Receive and use the Batch; a concurrent Receive returns
// [ErrConcurrentUse]. RequestLinkDump, RequestLink, Stats, ReceiveBuffer and Close may be called from
// any goroutine at any time. Close wakes a blocked Receive.
//
// # Other functions
//
// [ListLinks], [SetLinksDown] and [Requester] use sockets of their own that are not in the group. They
// are for startup and tests, and allocate memory. The Append functions encode requests, and link messages
// of a simulated kernel for [Batch.Load].
package netlinkraw
