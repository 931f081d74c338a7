// Package journal records events of the ports and of the daemon: every port change with its time,
// and every start, stop, resync, lost connection and change of the health state.
//
// # Path of an event
//
// The event loop publishes a port's state after each message that changed it ([Source.Port]). A
// state is a fixed-size record in a ring; publishing it needs no lock, allocates no memory and
// never blocks. A single goroutine, [Journal.Run], compares each state with the previous one and
// derives the events. If the ring is full, the loop publishes the state later. No transition is
// lost, because the next state contains the kernel's counts of link transitions. Other goroutines
// record daemon events with [Journal.Add].
//
// # Storms
//
// Events are rate-limited. Each port, and each kind of daemon event, may record a burst of 20
// events and then one every 30 seconds. When a port exceeds this limit, its changes are merged into
// one event per period of 10 seconds, then one minute, then ten minutes, until the port has been
// quiet for 10 seconds. If the link went down, the merged event is of kind flapping, and its member
// flaps is the exact number of link-down transitions. Otherwise its kind is merged. All ports
// together may record a burst of 20,000 events and then five per second.
//
// # Files
//
// The newest 4096 events, and the newest eight events of each port, are kept in memory
// ([Journal.Query]). All events are appended in groups to events.jsonl in the storage directory, at
// most one second after the first event of a group, or up to ten seconds after it if more events
// keep arriving. Each group takes one write and one fsync. When the file reaches its maximum size
// or an eighth of the retention time, it is renamed to a name such as
// events-000007-20261005T101112Z.jsonl. Renamed files are deleted when they exceed the retention
// time. The oldest are also deleted when the total size of the renamed files exceeds the maximum
// size of one file. A line left incomplete by a power cut is skipped by readers and removed before
// the next write.
//
// If the disk fails, up to 1 MiB of events is queued for writing, and the events in memory remain
// available. Two daemons cannot write to the same directory; see [snapshot.DirLock].
//
// # Format
//
// A line is one JSON object in ASCII. Members that do not apply are omitted. Readers must ignore
// unknown members and accept unknown kinds.
//
//	time          time of the event by the system clock: UTC, RFC 3339, always three decimals
//	seq           sequence number, which increases across restarts; a gap means lost events
//	kind          see [Kind]
//	port          name of the port; omitted in events of the daemon
//	port_hex      the bytes of the name in hexadecimal, if they are not UTF-8
//	old, new      MTU, former name or health state before and after
//	reason        explanation, as text
//	boot          identifier of the boot, in start events
//	count         changes that a merged event represents, or rows that a repair writes
//	flaps         link-down transitions in this event, counted by the kernel
//	span_ms       time from the first to the last change of a merged event; the last is at time
//	after_ms      duration of the previous link state, or of the initial sync
//	ifindex, admin, oper, mtu, carrier_up, carrier_down
//	              state of the interface after the event; admin and oper are "up" or "down"
//
// For example:
//
//	{"time":"2026-11-27T03:04:05.678Z","seq":815,"kind":"link_down","port":"Ethernet48","flaps":1,
//	"after_ms":11220000,"ifindex":61,"admin":"up","oper":"down","mtu":9100,"carrier_up":3,"carrier_down":3}
//
// # Restarts
//
// Run reads the newest 1 MiB of the files and continues their sequence numbers. In the same boot, it also
// continues with their port states: a port that changed while the daemon was not running gets an event
// whose reason explains this.
//
// Times are read from the system clock when the event is recorded. If the clock is changed, an
// event of kind clock is recorded; seq gives the order of the events.
package journal
