package portsync

// ActionKind says what follows from an event.
type ActionKind uint8

// The kinds of Action.
const (
	Publish  ActionKind = iota // set the four fields in STATE_DB, if APPL_DB has the port
	Delete                     // delete the row in STATE_DB
	Ignore                     // nothing; Ignored says why
	Settle                     // ask the kernel for the port's link alone
	Redump                     // ask the kernel for all links again; Reason says why
	Synced                     // the dump is over: the state is the kernel's
	InitDone                   // produce PortInitDone
	Flapped                    // the port's carrier went Downs times
	Unread                     // the message of a link could not be read: nothing is known of its state
)

// Action is one effect that Step asks for. For one port they must be carried
// out in order; states may overtake one another, a deletion may not be skipped.
type Action struct {
	Kind    ActionKind
	Ignored IgnoreReason
	Reason  Reason
	Port    *Port
	Downs   uint32 // Flapped: link-down transitions since the interface's previous message
}

// IgnoreReason is the test of PROTOCOL.md section 8 that a link message did not pass.
type IgnoreReason uint8

// The reasons, in the order of the tests.
const (
	IgnoredName    IgnoreReason = iota // the name begins with neither Ethernet nor PortChannel
	IgnoredTeam                        // the link is of kind team
	IgnoredMaster                      // a deletion that carries a master
	IgnoredOld                         // an interface of an earlier run
	IgnoredUnknown                     // APPL_DB has no such port
	IgnoredKnown                       // part of an audit's dump, and known already
	numIgnoreReasons
)

// String returns the value of the label "reason" of portsyncd_events_ignored_total.
func (r IgnoreReason) String() string {
	return [numIgnoreReasons]string{"name", "team", "master", "old", "unknown", "known"}[r]
}

// Reason is why all links are asked for again.
type Reason uint8

// The reasons of a resync.
const (
	ReasonStart       Reason = iota
	ReasonOverrun            // the kernel dropped messages
	ReasonInterrupted        // links changed during the dump
	ReasonFailed             // the kernel ended the dump with an error
	ReasonSilent             // the dump did not end
	ReasonReconnect          // the databases were away
	ReasonFlush              // a database was flushed
	numReasons
)

// String names the reason as the label of the metric does.
func (r Reason) String() string {
	return [numReasons]string{"start", "overrun", "dump_interrupted", "dump_failed", "dump_silent",
		"database_back", "database_flushed"}[r]
}

func ignore(r IgnoreReason) Action { return Action{Kind: Ignore, Ignored: r} }
