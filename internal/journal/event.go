package journal

import (
	"slices"
	"time"
)

// Kind is the kind of an event. Its value is the text in the files and documents. A reader may
// meet kinds of a newer version, which are not listed here.
type Kind string

// Kinds of events of one port.
const (
	// Created: the port's interface appeared, or another interface took its place.
	Created Kind = "created"
	// Deleted: the port's interface disappeared.
	Deleted Kind = "deleted"
	// Renamed: the interface of the port named Old has now the name Port.
	Renamed Kind = "renamed"
	// AdminUp and AdminDown: the administrative state changed (IFF_UP).
	AdminUp   Kind = "admin_up"
	AdminDown Kind = "admin_down"
	// LinkUp and LinkDown: the operational state changed (IFF_RUNNING).
	LinkUp   Kind = "link_up"
	LinkDown Kind = "link_down"
	// MTU: the MTU changed from Old to New.
	MTU Kind = "mtu"
	// Flapping: the link went down and up, and one event stands for all changes in Span. Flaps is
	// the exact number of link-down transitions.
	Flapping Kind = "flapping"
	// Merged: the port changed too often, but its link did not go down. One event stands for all
	// changes in Span.
	Merged Kind = "merged"
)

// Kinds of events of the daemon.
const (
	Start          Kind = "start"           // the process started
	ColdStart      Kind = "cold_start"      // the daemon decided on a cold start
	WarmStart      Kind = "warm_start"      // the daemon decided on a warm start
	Ready          Kind = "ready"           // the initial sync is complete
	Stop           Kind = "stop"            // the process stops on request
	Overrun        Kind = "overrun"         // the kernel dropped link messages
	Resync         Kind = "resync"          // the daemon requested all links again
	RedisLost      Kind = "redis_lost"      // the connection to the databases ended
	RedisConnected Kind = "redis_connected" // the databases are connected
	Health         Kind = "health"          // the health state or its reasons changed
	Repair         Kind = "repair"          // a comparison found wrong rows, and the daemon repairs them
	Reload         Kind = "reload"          // the configuration was loaded again
	Clock          Kind = "clock"           // the system clock was set
	Dropped        Kind = "dropped"         // Count events are missing here
)

// Groups of kinds, by the names that [ParseKinds] accepts.
var groups = map[string][]Kind{
	"link": {LinkUp, LinkDown, Flapping},
	"port": {Created, Deleted, Renamed, AdminUp, AdminDown, LinkUp, LinkDown, MTU, Flapping, Merged},
	"daemon": {Start, ColdStart, WarmStart, Ready, Stop, Overrun, Resync, RedisLost, RedisConnected,
		Health, Repair, Reload, Clock, Dropped},
}

// Kinds returns all kinds, those of ports first.
func Kinds() []Kind { return slices.Concat(groups["port"], groups["daemon"]) }

// State is the state of a port's interface in one respect.
type State uint8

// The states. Unknown is the state of a port without an interface.
const (
	Unknown State = iota
	Down
	Up
)

// StateOf returns Up for true and Down for false.
func StateOf(up bool) State {
	if up {
		return Up
	}
	return Down
}

// String returns "up", "down" or "".
func (s State) String() string { return [...]string{"", "down", "up"}[s] }

// Event is one entry of the journal. The zero value of a field means that it does not apply or is
// not known.
type Event struct {
	// Time is when the change happened, by the system clock, in UTC with millisecond precision. It
	// can be earlier than the time of the event before, if the clock was set back.
	Time time.Time
	// Seq numbers the events in the order in which they were recorded. It grows over restarts. A
	// gap means that events were recorded and lost with the process before they were written.
	Seq  uint64
	Kind Kind
	Port string // name of the port, any bytes; "" for events of the daemon

	// Old and New are the values before and after: the MTU, the former name of a renamed
	// interface, the health state.
	Old, New string
	// Reason says why: the reason of a start, a resync or a health state, the error of a lost
	// connection. For a port it says why the time may be later than the change.
	Reason string

	Boot string // identifier of the boot, in Start events

	// Count is how many changes or occurrences a merged event stands for, or how many rows a
	// repair writes.
	Count uint64
	// Flaps is the number of link-down transitions in this event, as counted by the kernel
	// (IFLA_CARRIER_DOWN_COUNT), including those whose messages were lost. The sum over all events
	// of a port is exact.
	Flaps uint64
	// Span is the time from the first change of a merged event to the last one, which is at Time.
	Span time.Duration
	// After is how long the port was in the link state that ended with a LinkUp or LinkDown, or
	// how long the initial sync took.
	After time.Duration

	// The interface after the event.
	Index                  int32 // ifindex
	Admin, Oper            State
	MTU                    uint32
	CarrierUp, CarrierDown uint32 // transitions counted by the kernel
}

// millis returns t in UTC with the precision of the journal.
func millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond).Round(0) }
