// Package portsync keeps SONiC's databases in step with the kernel's links: it
// decides which links matter, what is written when, and how a start, a loss of
// messages and a loss of the databases are made up for.
//
// # One owner
//
// A Loop is the one owner of port state. It has no mutex because nobody else
// touches it: events reach it through a ring, and what others may see of it are
// atomics (Status, Metrics). Two guards turn a mistake into an error instead of
// a race: Run refuses to be called twice, State.Step to be entered twice.
//
// The goroutines, and what ends them:
//
//	the caller of Run   the loop itself; the context of Run
//	reader              drains the netlink socket into the ring; Links.Close
//	watch, one a server listens for loss, flushes and log settings; its connection
//	connect             looks for the databases; lives only while there are none
//	HealthMonitor.Watch         tells of another verdict on health; its context
//
// # The way of one event
//
// The reader copies a decoded message into a slot of the ring. The loop takes
// it, State.Step says what follows (publish, delete, ask again, nothing), the
// Batch merges that with what is wanted of the port already, and one exchange
// with the Store writes all that is wanted. What the databases answer is an
// event for State again: PortInitDone rests on it.
//
// While one exchange is under way events gather in the ring, so the size of a
// batch follows the backlog. A batch has one slot for each port: states of a
// living interface overtake one another, deletions do not, and memory is bounded
// by ports whatever happens.
//
// # What is guaranteed
//
//   - The last state wins. Whatever is lost (messages, a connection, an answer), the
//     remedy is one: a dump of all links, marked and swept, and a comparison with
//     STATE_DB where the databases may have lost something too.
//   - A write is repeated until it is acknowledged or overtaken.
//   - Fields of other daemons in the same row survive, but for a deletion.
//   - The loop waits for nothing but one answer of the databases at a time, each
//     within a deadline; never for a scrape, a disk or a log.
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
