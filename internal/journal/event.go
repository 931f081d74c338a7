package journal

import (
	"slices"
	"time"
)

// Kind is the kind of an event. Its value is the string used in files and documents. Files written
// by a newer version may contain other kinds.
type Kind string

// Kinds of port events.
const (
	// Created: the port's interface was created or replaced by another interface.
	Created Kind = "created"
	// Deleted: the port's interface was deleted.
	Deleted Kind = "deleted"
	// Renamed: the interface was renamed from Old to Port or, if New is set, from Port to New, which
	// is a name that is not watched.
	Renamed Kind = "renamed"
	// AdminUp and AdminDown: the administrative state changed (IFF_UP).
	AdminUp   Kind = "admin_up"
	AdminDown Kind = "admin_down"
	// LinkUp and LinkDown: the operational state changed (IFF_RUNNING).
	LinkUp   Kind = "link_up"
	LinkDown Kind = "link_down"
	// MTU: the MTU changed from Old to New.
	MTU Kind = "mtu"
	// Flapping: the link repeatedly went down and up. One event represents all changes within Span.
	// Flaps is the exact number of link-down transitions.
	Flapping Kind = "flapping"
	// Merged: the port changed too often, but its link did not go down. One event represents all
	// changes within Span.
	Merged Kind = "merged"
)

// Kinds of daemon events.
const (
	Start          Kind = "start"           // the process started
	ColdStart      Kind = "cold_start"      // the daemon decided on a cold start
	WarmStart      Kind = "warm_start"      // the daemon decided on a warm start
	Ready          Kind = "ready"           // the initial sync is complete
	Stop           Kind = "stop"            // the process is shutting down on request
	Overrun        Kind = "overrun"         // the kernel dropped link messages
	Resync         Kind = "resync"          // the daemon requested all links again
	RedisLost      Kind = "redis_lost"      // the connection to the databases ended
	RedisConnected Kind = "redis_connected" // the daemon connected to the databases
	Health         Kind = "health"          // the health state or its reasons changed
	Repair         Kind = "repair"          // a comparison found wrong rows; the daemon repairs them
	Reload         Kind = "reload"          // the configuration was loaded again
	Clock          Kind = "clock"           // the system clock was set
	Dropped        Kind = "dropped"         // Count events are missing here
)

// group returns the kinds of a group that [ParseKinds] accepts, or nil if there is no such group.
func group(name string) []Kind {
	switch name {
	case "link":
		return []Kind{LinkUp, LinkDown, Flapping}
	case "port":
		return []Kind{Created, Deleted, Renamed, AdminUp, AdminDown, LinkUp, LinkDown, MTU, Flapping, Merged}
	case "daemon":
		return []Kind{Start, ColdStart, WarmStart, Ready, Stop, Overrun, Resync, RedisLost, RedisConnected,
			Health, Repair, Reload, Clock, Dropped}
	}
	return nil
}

// Kinds returns all kinds, port events first.
func Kinds() []Kind { return slices.Concat(group("port"), group("daemon")) }

// State is the administrative or operational state of a port's interface.
type State uint8

// States. A port without an interface has the state Unknown.
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

// Event is an entry of the journal. A zero field does not apply or is unknown.
type Event struct {
	// Time is the system clock's time of the change, in UTC with millisecond precision. It can be
	// earlier than the previous event's time if the clock was set back.
	Time time.Time
	// Seq is the sequence number, assigned in the order in which events were recorded. It keeps
	// increasing across restarts. A gap means that events were lost because the process ended
	// before they were written.
	Seq  uint64
	Kind Kind
	Port string // name of the port, any bytes; "" for daemon events

	// Old and New are the values before and after the change: the MTU, the name of a renamed
	// interface, or the health state.
	Old, New string
	// Reason explains the event: the reason for a start, a resync or a health state, or the error
	// that ended a connection. In a port event, it explains why the change may have happened before
	// Time.
	Reason string

	Boot string // identifier of the boot, in Start events

	// Count is the number of changes or occurrences that a merged event represents, or the number
	// of rows that a repair writes.
	Count uint64
	// Flaps is the number of link-down transitions that this event represents, as counted by the
	// kernel (IFLA_CARRIER_DOWN_COUNT), including transitions whose messages were lost. The sum
	// over all events of a port is exact.
	Flaps uint64
	// Span is the time from the first to the last change of a merged event. The last change was at
	// Time.
	Span time.Duration
	// After is how long the link state that a LinkUp or LinkDown ended had lasted, or how long the
	// initial sync took.
	After time.Duration

	// State of the interface after the event.
	Index                  int32 // ifindex
	Admin, Oper            State
	MTU                    uint32
	CarrierUp, CarrierDown uint32 // transitions counted by the kernel
}

// millis returns t in UTC, truncated to milliseconds.
func millis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond).Round(0) }
