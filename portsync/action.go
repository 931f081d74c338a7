package portsync

// ActionKind is the kind of an Action.
type ActionKind uint8

// The kinds of Action.
const (
	Publish  ActionKind = iota // write the row of Port to STATE_DB, if APPL_DB has the port
	Delete                     // delete the row of Port from STATE_DB
	Ignore                     // do nothing; Ignored is the reason
	Settle                     // request the link of Port alone from the kernel
	Redump                     // request all links from the kernel; Reason is the reason
	Synced                     // the dump is complete: State is in sync with the kernel
	InitDone                   // produce PortInitDone
	Flapped                    // the link of Port went down Downs times
	Unread                     // a link message was too large to read
)

// Action is one effect that Step requires. The actions of one port must be carried out in order. A
// Publish may be skipped if another one follows; a Delete may not.
type Action struct {
	Kind    ActionKind
	Ignored IgnoreReason
	Reason  Reason
	Port    *Port  // of an Ignore only with IgnoredKnown
	Downs   uint32 // Flapped: link-down transitions since the interface's previous message
}

// IgnoreReason is the test of PROTOCOL.md section 8 that a link message did not pass.
type IgnoreReason uint8

// The reasons, in the order of the tests.
const (
	IgnoredName    IgnoreReason = iota // the name begins with neither Ethernet nor PortChannel
	IgnoredTeam                        // the link kind is team
	IgnoredMaster                      // a deletion with a master
	IgnoredOld                         // an interface that existed before a cold start
	IgnoredUnknown                     // APPL_DB has no such port
	IgnoredKnown                       // no news in the dump of an audit
	numIgnoreReasons
)

// String returns the value of the label "reason" of portsyncd_events_ignored_total.
func (r IgnoreReason) String() string {
	return [numIgnoreReasons]string{"name", "team", "master", "old", "unknown", "known"}[r]
}

// Reason is the reason of a resync.
type Reason uint8

// The reasons of a resync.
const (
	ReasonStart       Reason = iota
	ReasonOverrun            // the kernel dropped messages
	ReasonInterrupted        // links changed during the dump
	ReasonFailed             // the kernel ended the dump with an error
	ReasonSilent             // the dump did not end
	ReasonReconnect          // the connection to the databases was lost
	ReasonFlush              // a database was flushed
	numReasons
)

// String returns the value of the label "reason" of portsyncd_resyncs_total.
func (r Reason) String() string {
	return [numReasons]string{"start", "overrun", "dump_interrupted", "dump_failed", "dump_silent",
		"database_back", "database_flushed"}[r]
}

func ignore(r IgnoreReason) Action { return Action{Kind: Ignore, Ignored: r} }
