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
package portsync
