// Package portsync copies the state of front-panel links from the kernel to SONiC's databases. It
// decides which links are ports, which rows are written and when, and how the daemon recovers from
// lost messages and lost connections.
//
// # Ownership
//
// A [Loop] owns all port state. It needs no mutex because it runs on one goroutine: link messages
// arrive through a ring, and other goroutines read atomic values ([Status], [Metrics]). A concurrent
// second call of Loop.Run or State.Step returns [ErrConcurrentUse] instead of causing a data race.
//
// The goroutines, and when they end:
//
//	caller of Run        runs the loop; ends with the context of Run
//	reader               reads the netlink socket into the ring; ends with Links.Close
//	connector            connects to the databases; runs only while they are not connected
//	watch                one per Redis server, detects connection loss, flushes, and changes of the
//	                     log settings and of the CONFIG_DB table PORT; ends with its connection
//	follower             reads the table PORT after a change; ends with the session
//	CONFIG_DB link       reconnects to CONFIG_DB if it has its own server; ends with the session
//	event log            writes queued log lines; ends after the loop
//	HealthMonitor.Watch  reports changes of the health state; ends with its context
//
// One iteration of the loop is called a turn. In each turn, the loop processes the link messages in the
// ring, writes the resulting rows, runs the timers that are due, and publishes its state.
//
// # Event processing
//
// The reader copies each decoded message to a slot of the ring as an [Event]. The loop passes the event
// to State.Step, which returns actions such as writing or deleting a row or requesting a link. The
// [Batch] merges them with the pending operations on the same row, and one Redis request writes the
// whole batch. State.Accept receives the result for each port and reports when PortInitDone is due.
//
// Messages that arrive during a request form the next batch, so batches grow with the backlog. A
// batch has one slot per port: a newer state of an interface replaces an older one, a deletion is
// never dropped, and memory is bounded by the number of ports.
//
// # Guarantees
//
//   - The last state wins. Lost messages, connections and replies always lead to a dump of all
//     links, and to a comparison with STATE_DB if the databases may have lost data too.
//   - A write is retried until it is acknowledged or replaced by a newer state.
//   - Fields of other daemons in the same row are kept, unless the row is deleted.
//   - The loop waits only for one database reply at a time, with a timeout. It never waits for a
//     scrape, a disk or the log.
//
// # Startup
//
// The daemon joins the link group and lists the existing interfaces before it starts the loop, because
// orchagent may create interfaces a second later. After connecting to the databases, the loop reads the
// LOGGER row and the [Facts] that [Decide] needs, writes restore_count, and requests a dump. On a cold
// start it then writes the ports and PortConfigDone for orchagent, and brings left-over interfaces
// down. A warm start writes nothing to STATE_DB before the end of the dump, and then writes only the
// rows that differ. The initial sync is complete, and the channel Loop.Ready is closed, when the first
// dump is complete and its writes are acknowledged.
//
// # Recovery
//
// Every loss leads to a resync. The causes are a receive buffer overrun, a dump that was
// interrupted, failed or timed out, a reconnect, and a flushed database. After an overrun the
// remaining messages are read from the socket before a dump is requested, because otherwise outdated
// messages would follow the dump. After a reconnect or a flush the loop also compares STATE_DB with the
// kernel. The pause between dumps grows from 2 to 500 ms. Audits find differences that no message or
// error reported.
//
// The carrier of a link can come up shortly before a dump, so that the kernel has not updated IFF_RUNNING
// yet: the dump has IFF_LOWER_UP without IFF_RUNNING. The loop requests such a link again instead of
// writing that the port is down.
//
// # Limitations
//
//   - The package does not subscribe to APPL_DB. As in the C++ daemon, an interface that is created
//     before its APPL_DB row is written on its next message (scenario netdev_before_pop).
//   - Each link message causes a write, even if it changes no field. Other daemons rely on repeated
//     writes to restore lost fields.
//   - The count in PortConfigDone is not updated when ports are added or removed at run time.
//   - Dumps do not use a separate netlink socket, because messages are ordered only within one socket.
package portsync
