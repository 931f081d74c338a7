// Package portsync copies the state of the kernel's front panel links into SONiC's databases. It
// decides which links matter, which rows are written when, and how the daemon recovers from lost
// messages and lost connections.
//
// # Ownership
//
// A Loop owns all port state. It has no mutex, because one goroutine runs it: events arrive through a
// ring, and other goroutines read atomics (Status, Metrics). Two checks turn wrong use into an error
// instead of a data race: Run cannot be called twice, and State.Step cannot be entered twice.
//
// The goroutines, and what ends them:
//
//	caller of Run        runs the loop; ends with the context of Run
//	reader               reads the netlink socket into the ring; ends with Links.Close
//	watch                one per Redis server, detects connection loss, flushes and changed log
//	                     settings; ends with its connection
//	connect              connects to the databases; runs only while they are not connected
//	event log            writes queued log lines; ends after the loop
//	HealthMonitor.Watch  reports changes of health; ends with its context
//
// # Path of an event
//
// The reader copies a decoded message into a slot of the ring. The loop passes it to State.Step, which
// returns actions: publish, delete, request a link, or nothing. The Batch merges them with the pending
// actions of the port, and one exchange with Redis writes the whole batch. State.Accept takes the
// result for each port, which decides when PortInitDone is due.
//
// Events that arrive during an exchange form the next batch, so the size of a batch follows the
// backlog. A batch has one slot for each port: a new state of an interface replaces an older one, a
// deletion is never replaced, and memory is bounded by the number of ports.
//
// # Guarantees
//
//   - The last state wins. The recovery from lost messages, connections and replies is always a dump
//     of all links, and a comparison with STATE_DB if the databases may have lost something too.
//   - A write is repeated until it is acknowledged or replaced by a newer one.
//   - Fields of other daemons in the same row are kept, unless the row is deleted.
//   - The loop waits only for one database reply at a time, with a deadline. It never waits for a
//     scrape, a disk or the log.
//
// # Start
//
// The loop joins the link group and lists the existing interfaces before anything else, because
// orchagent may create interfaces a second later. After connecting it reads the LOGGER row and the
// facts that [Decide] needs, writes restore_count, and requests a dump. A cold start then produces the
// ports and PortConfigDone, and sets left-over interfaces down. READY=1 follows when the first dump is
// complete and its writes are acknowledged. A warm start writes nothing to STATE_DB before the end of
// the dump, and then only differences.
//
// # Loss
//
// Every loss leads to a resync: a receive buffer overrun (after the socket is drained, because an
// earlier dump would be followed by stale messages), a dump that was interrupted, failed or timed out,
// and a reconnect or a flushed database, after which STATE_DB is compared too. The pauses between dumps
// grow from 2 to 500 ms. The audit finds differences that nothing else reported.
//
// A dump can fall between the arrival of the carrier and the moment when the kernel acts on it:
// IFF_LOWER_UP is set and IFF_RUNNING is not. The loop asks for such a link once more instead of
// writing a port down that never went down.
//
// # What the package does not do
//
//   - It does not subscribe to APPL_DB. As in the C++ daemon, an interface that exists before its
//     APPL_DB row is written by its next message (scenario netdev_before_pop).
//   - It does not skip a write because the row was written before. Other daemons rely on repeated
//     writes to restore lost fields.
//   - It does not correct the count in PortConfigDone when ports change at run time.
//   - It does not use a second netlink socket for dumps, because only one socket keeps the order.
package portsync
