// Package journal records what happened to the ports and to the daemon: each change of a port with
// its time, and each start, stop, resync, loss of a connection and change of the health state.
//
// # Path of an event
//
// The event loop publishes the state of a port after each message that changed it ([Source.Port]).
// A state is one fixed-size record in a ring: no lock, no memory allocation, no wait. One
// goroutine, [Journal.Run], compares each state with the state before and derives the events. When
// the ring is full, the loop publishes the port later; the next state contains what was missed,
// because it has the kernel's counts of link transitions. Other goroutines record events of the
// daemon with [Journal.Add].
//
// # Storms
//
// Each port, and each kind of daemon event, has 20 events at once and then one each 30 seconds.
// When a port has used them up, its changes are merged into one event for each period of 10
// seconds, one minute, and then ten minutes, or until the port has been quiet for 10 seconds. A
// merged event has the kind flapping if the link went down, with the exact number of link-down
// transitions in flaps, or else the kind merged. All ports together have 20,000 events at once and
// then five each second.
//
// # Files
//
// The newest 4096 events, and the newest eight of each port, are in memory ([Journal.Query]). All
// events are appended to events.jsonl in the storage directory, at most one second after the first
// of a group, and up to ten seconds after it while events keep coming. Each group is one write and
// one fsync. A file of the maximum size, or an eighth of the retention time old, is renamed to
// events-000007-20261005T101112Z.jsonl. Earlier files are removed when they are older than the
// retention time, and the oldest ones when they have more bytes together than the maximum size of
// one file. A line that a power cut left incomplete is removed before the next write, and skipped
// by readers.
//
// A disk that fails delays the writes; up to 1 MiB of events waits, and the events in memory remain.
// Two daemons cannot write to one directory: see [snapshot.DirLock].
//
// # Format
//
// A line is one JSON object of ASCII characters. Members that do not apply are left out. Readers
// must accept other members and kinds.
//
//	time          when it happened, by the system clock: UTC, RFC 3339, always three decimals
//	seq           number of the event; grows over restarts; a gap means lost events
//	kind          see [Kind]
//	port          name of the port; events of the daemon have none
//	port_hex      the bytes of the name in hexadecimal, if they are not UTF-8
//	old, new      MTU, former name or health state before and after
//	reason        why, in words
//	boot          identifier of the boot, in start events
//	count         changes that a merged event stands for, or rows that a repair writes
//	flaps         link-down transitions in this event, counted by the kernel
//	span_ms       from the first to the last change of a merged event; time is the last one
//	after_ms      how long the state before lasted, or the initial sync took
//	ifindex, admin, oper, mtu, carrier_up, carrier_down
//	              the interface after the event; admin and oper are "up" or "down"
//
// For example:
//
//	{"time":"2026-11-27T03:04:05.678Z","seq":815,"kind":"link_down","port":"Ethernet48","flaps":1,
//	"after_ms":11220000,"ifindex":61,"admin":"up","oper":"down","mtu":9100,"carrier_up":3,"carrier_down":3}
//
// # Restarts
//
// Run reads the newest 1 MiB of the files. Numbers continue, and so do the states of the ports if
// the boot is the same: a port that changed while the daemon did not run gets an event that says so
// in its reason.
//
// The times are those of the system clock when the event was recorded. When the clock is set, an
// event of kind clock says so; seq tells the order.
package journal
