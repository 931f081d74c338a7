// Package netlinkraw reads the state of network links from the kernel and
// carries link messages to and from bytes. It knows nothing of ports.
//
// # One socket
//
// [Dial] opens an AF_NETLINK socket of family NETLINK_ROUTE and joins
// RTNLGRP_LINK before it returns, so that a dump requested later
// ([Conn.RequestLinkDump]) cannot miss a change: live messages and the answer
// to the dump arrive through the one queue, in the order in which the kernel
// put them there.
//
// [Conn.Receive] blocks until the kernel has something and then takes what is
// queued, up to 32 datagrams, in one system call. A [Batch] walks over it; a
// datagram can hold many messages:
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
// Neither call allocates. The price is a rule about memory: a [Message] and
// the byte slices in it ([Link].Name, [Link].Kind) lie in the receive buffer
// of the Conn. They are valid until the next Next or Load on the Batch, and
// until the next Receive on the Conn, whichever Batch it fills. Keep a copy,
// not a slice. Close leaves the buffer in place; the Receive that reports
// os.ErrClosed gives it back.
//
// # Loss
//
// The kernel may drop messages, and says so once with ENOBUFS. From then on it
// drops every live message for this socket until its queue has been emptied,
// so a dump taken before that moment proves nothing. Receive therefore
// remembers the loss, goes on handing out what is queued, and only when it has
// seen the queue empty delivers one message of type [Overrun], in order, after
// everything that survived. Making up for the loss is the caller's
// job: request a dump after an Overrun, take its links as the truth, and the
// links that are not in it as gone.
//
// A datagram can be larger than its slot (MSG_TRUNC): a link with hundreds of
// alternative names takes 70 KiB. The slots then grow, within 4 MiB for all of
// them, and the loss ends in an Overrun, so that the dump after it reads the link.
// A link message larger than the largest slot, which Linux cannot allocate, arrives
// as [Unreadable]: with the name of the link and without its state.
//
// A dump during which messages were lost is Incomplete, whether its DumpDone or
// the Overrun comes first. Conclude nothing from what it did not bring.
//
// A dump during which links came or went can have missed or repeated some
// (NLM_F_DUMP_INTR). Its [DumpDone] says Interrupted: use what it brought,
// conclude nothing from what it did not bring, dump again. The kernel runs one
// dump per socket; a request made while one is running is answered by a
// DumpDone whose Errno is EBUSY. While an Overrun is due, wait for it before
// dumping again.
//
// # What is believed
//
// Only a datagram whose sender address has port id 0, the kernel's, is read:
// any process with CAP_NET_ADMIN can send to our port. Lengths are checked
// even though the kernel wrote them. A malformed message is skipped and
// counted, as is everything after a header that cannot be trusted; unknown
// message types and attributes are skipped. [Conn.Stats] has the counts.
//
// # Concurrency
//
// One goroutine at a time may call Receive and use the Batch; a second one
// gets [ErrConcurrentUse]. RequestLinkDump, RequestLink, Stats, ReceiveBuffer
// and Close may be called from any goroutine at any time. Close wakes a blocked
// Receive.
//
// # Besides
//
// [ListLinks], [SetLinksDown] and [Requester] each use a socket of their own,
// outside the group, and are meant for start-up and tests, not for a hot path.
// The Append functions build messages: requests, and whole link messages for a
// simulated kernel, whose bytes [Batch.Load] takes without any socket.
package netlinkraw
