// Package portsync copies the state of the kernel's front panel links to SONiC's databases. It
// decides which links are relevant, which rows are written and when, and how the daemon recovers
// from lost messages and lost connections.
//
// # Ownership
//
// A Loop owns all port state. It needs no mutex because it runs on one goroutine: events arrive
// through a ring, and other goroutines read atomics (Status, Metrics). Two checks turn incorrect use
// into an error instead of a data race: Run must not be called twice, and State.Step must not be
// entered twice.
//
// The goroutines, and when they end:
//
//	caller of Run        runs the loop; ends with the context of Run
//	reader               reads the netlink socket into the ring; ends with Links.Close
//	watch                one per Redis server, detects connection loss, flushes and changed log
//	                     settings; ends with its connection
//	connect              connects to the databases; runs only while they are not connected
//	event log            writes queued log lines; ends after the loop
//	HealthMonitor.Watch  reports changes of health; ends with its context
//
// # Event processing
//
// The reader copies each decoded message to a slot of the ring. The loop passes it to State.Step,
// which returns actions such as publishing or deleting a row or requesting a link. The Batch merges
// them with the port's pending actions, and one Redis request writes the whole batch.
// State.Accept receives the result for each port and decides when PortInitDone is due.
//
// Events that arrive during a request form the next batch, so batches grow with the backlog. A
// batch has one slot per port: a new state of an interface replaces an older one, a deletion is
// never replaced, and memory is bounded by the number of ports.
//
// # Guarantees
//
//   - The last state wins. Lost messages, connections and replies always lead to a dump of all
//     links, and to a comparison with STATE_DB if the databases may have lost data too.
//   - A write is repeated until it is acknowledged or replaced by a newer one.
//   - Fields of other daemons in the same row are kept, unless the row is deleted.
//   - The loop waits only for one database reply at a time, with a timeout. It never waits for a
//     scrape, a disk or the log.
//
// # Startup
//
// The loop first joins the link group and lists the existing interfaces, because orchagent may
// create interfaces a second later. After connecting, it reads the LOGGER row and the facts that
// [Decide] needs, writes restore_count, and requests a dump. On a cold start it then writes the ports
// and PortConfigDone for orchagent, and brings left-over interfaces down. READY=1 is sent when the
// first dump is complete and its writes are acknowledged. A warm start writes nothing to STATE_DB
// before the end of the dump, and then writes only differences.
//
// # Recovery
//
// Every loss leads to a resync. The causes are a receive buffer overrun, a dump that was
// interrupted, failed or timed out, a reconnect, and a flushed database. After an overrun the loop
// drains the socket before it requests a dump, because stale messages would follow an earlier dump.
// After a reconnect or a flush it also compares STATE_DB. The pause between dumps grows from 2 to
// 500 ms. Audits find differences that nothing else reported.
//
// A dump may be taken after the carrier has come up and before the kernel has processed this:
// IFF_LOWER_UP is set and IFF_RUNNING is not. The loop requests such a link again instead of writing
// that the port is down.
//
// # Limitations
//
//   - The package does not subscribe to APPL_DB. As in the C++ daemon, an interface that is created
//     before its APPL_DB row is written on its next message (scenario netdev_before_pop).
//   - It does not skip a write because the row was written before. Other daemons rely on repeated
//     writes to restore lost fields.
//   - It does not correct the count in PortConfigDone when ports change at run time.
//   - It does not use a second netlink socket for dumps, because messages are ordered only within
//     one socket.
package portsync
