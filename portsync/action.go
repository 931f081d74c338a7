package portsync

// ActionKind identifies what an Action does.
type ActionKind uint8

// Action kinds.
const (
	Publish  ActionKind = iota // write the row of Port to STATE_DB, if APPL_DB has the port
	Delete                     // delete the row of Port from STATE_DB
	Ignore                     // do nothing; the reason is in Ignored
	Settle                     // request only the link of Port from the kernel
	Redump                     // request all links from the kernel; the reason is in Reason
	Synced                     // the dump is complete: State is in sync with the kernel
	InitDone                   // write PortInitDone for orchagent
	Flapped                    // the link of Port went down Downs times
	Unread                     // a link message was too large to read
)

// Action is an operation that the caller of Step must carry out. Actions for the same port must be
// carried out in order. A Publish may be skipped if another Publish for the port follows. A Delete
// must not be skipped.
type Action struct {
	Kind    ActionKind
	Ignored IgnoreReason // for an Ignore action
	Reason  Reason       // for a Redump action
	Port    *Port        // for an Ignore action, set only with IgnoredKnown
	Downs   uint32       // for a Flapped action: link-down transitions since the interface's previous message
}

// IgnoreReason is the reason why a link message is ignored: the first test of PROTOCOL.md section 8
// that the message failed.
type IgnoreReason uint8

// Reasons for ignoring a link message, in the order of the tests.
const (
	IgnoredName    IgnoreReason = iota // the name begins with neither Ethernet nor PortChannel
	IgnoredTeam                        // the link kind is team
	IgnoredMaster                      // a deletion message of a link that has a master
	IgnoredOld                         // an interface that existed before a cold start
	IgnoredUnknown                     // APPL_DB has no such port
	IgnoredKnown                       // a message of an audit's dump that reports no change
	numIgnoreReasons
)

// String returns the value of the label "reason" of portsyncd_events_ignored_total.
func (r IgnoreReason) String() string {
	return [numIgnoreReasons]string{"name", "team", "master", "old", "unknown", "known"}[r]
}

// Reason is the cause of a resync.
type Reason uint8

// Causes of a resync.
const (
	ReasonStart       Reason = iota
	ReasonOverrun            // the kernel dropped messages
	ReasonInterrupted        // links changed during the dump
	ReasonFailed             // the kernel ended the dump with an error
	ReasonSilent             // the dump timed out
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
