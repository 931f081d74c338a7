package portsync

import (
	"slices"

	"portsyncd/netlinkraw"
)

// Port is the state of one interface name. It is owned by the goroutine that owns the State.
type Port struct {
	Name string

	// LinkState holds the properties of the interface with this name, as of its last message. Index
	// is 0 if there is no such interface.
	netlinkraw.LinkState

	ChangedAt int64 // when a message last changed one of these properties; 0 if never
	// before is set if ChangedAt is only the time of the first message about an interface that existed
	// before the initial dump was complete, and its last change is not known.
	before bool

	Configured  bool // the port is in CONFIG_DB
	InitPending bool // PortInitDone waits for the port
	Accepted    bool // APPL_DB had the port at its last message, so its row was written to STATE_DB

	recheck    bool    // the port was accepted before APPL_DB lost its rows
	reproduced bool    // the port was written for orchagent again and is not in APPL_DB yet
	refused    bool    // Redis refused the write of the row
	pending    pending // owned by the Batch

	notApplied bool  // APPL_DB did not have the port at the last lookup for its interface
	expectedBy int64 // when the interface should exist after the port was added to CONFIG_DB; 0 if it was not added

	row          row    // the row in STATE_DB, as last acknowledged
	wasThere     bool   // the port had a row or an interface that was deleted first, or APPL_DB had it before startup
	pendingSince int64  // when the port became pending, or when it was added to CONFIG_DB later
	changes      uint64 // number of acknowledged writes that changed the row
	repair       repair // difference found by a comparison, until a write is acknowledged

	info    *PortInfo      // immutable; nil if the port is not configured or its row was not read by the follower
	touched bool           // the port is in State.touched
	listed  bool           // set only within State.Configure: the port is in its argument
	present bool           // the port is counted as PortPresent
	series  *portSeries    // nil if the port has no series
	view    *publishedPort // entry in Status; nil if the port is not listed
}

// row is a port's row in STATE_DB.
type row struct {
	unknown bool // an earlier run may have written the row
	there   bool // the row exists
	admin   bool
	oper    bool
	mtu     uint32
}

// lastChange returns the time of the last change, or 0 if it is unknown.
func (p *Port) lastChange() int64 {
	if p.before {
		return 0
	}
	return p.ChangedAt
}

// SetChanges sets when each of the named ports last changed before the initial sync, according to the journal.
// The times are readings of the loop's clock. Times after now are ignored, because they mean that the
// system clock was set back.
func (s *State) SetChanges(times map[string]int64, now int64) {
	for name, at := range times {
		if p := s.ports[name]; p != nil && p.lastChange() == 0 && at <= now {
			p.ChangedAt, p.before = at, false
			s.touch(p)
		}
	}
}

// rowOf returns the row that STATE_DB should have for the interface of p.
func rowOf(p *Port) row {
	return row{there: true, admin: p.Admin, oper: p.Oper, mtu: p.MTU}
}

// repair identifies what a comparison found wrong with a row in STATE_DB.
type repair uint8

const (
	repairNone  repair = iota
	repairRow          // the row lacks a field or has another value
	repairStale        // the row has no interface
)

// PortState is the state of a port in /ports, /status and the metrics.
type PortState uint8

// Port states. A port is listed if it is configured, if PortInitDone waits for it, or if it has a
// row in STATE_DB.
const (
	// PortPending means that the port is configured or that PortInitDone waits for it, but its
	// interface or its row does not exist yet. The row does not exist if APPL_DB does not have the
	// port, or if the write is in the backlog.
	PortPending PortState = iota
	// PortPresent means that the interface exists and its row is in STATE_DB.
	PortPresent
	// PortAbsent means that the interface existed while APPL_DB had the port, and was deleted, or that
	// APPL_DB had the port before startup and the kernel has no interface for it. PortInitDone may be
	// waiting for such a port. If an interface with the name exists but is ignored, the port is
	// PortPending.
	PortAbsent
)

// String returns "pending", "present" or "absent".
func (s PortState) String() string { return [...]string{"pending", "present", "absent"}[s] }

// state returns the PortState of p, which /ports, /status and the metrics report. why is the
// result of State.lackOf.
func (p *Port) state(why lack) PortState {
	switch {
	case p.isPresent():
		return PortPresent
	case why == lackInterface && p.wasThere:
		return PortAbsent
	}
	return PortPending
}

// isPresent reports whether p is PortPresent.
func (p *Port) isPresent() bool { return p.Index != 0 && p.row.there }

// visible reports whether p is listed.
func (p *Port) visible() bool {
	return p.Configured || p.InitPending || p.row.there || p.refused && p.Index != 0
}

// written reports whether Redis has acknowledged the current state of p: the values if the
// interface exists, or the deletion of the row if it does not.
func (p *Port) written() bool {
	switch {
	case p.pending.queued || p.refused:
		return false
	case p.Index == 0:
		return !p.row.there && !p.row.unknown
	}
	return p.row == rowOf(p)
}

// Configure sets the names of the ports in the CONFIG_DB table PORT. A port that is not in names is
// removed once it has neither an interface nor a row in STATE_DB.
func (s *State) Configure(names []string) {
	if len(s.ports) == 0 { // at a start
		s.ports, s.touched = make(map[string]*Port, len(names)), slices.Grow(s.touched, len(names))
	}
	for _, name := range names {
		p := s.ports[name]
		if p == nil || !p.Configured {
			p = s.port([]byte(name))
			p.Configured = true
		}
		p.listed = true
	}
	for _, p := range s.ports {
		if p.Configured && !p.listed {
			p.Configured, p.info = false, nil
			s.touch(p)
			s.forget(p)
		}
		p.listed = false
	}
}

// setUnswept sets whether STATE_DB may have rows of an earlier run.
func (s *State) setUnswept(unswept bool) { s.unswept = unswept }

// Swept updates the row state of all ports. rows holds the names of the rows that STATE_DB has: a
// row may be from an earlier run or may have been lost in a flush. Rows of an earlier run without
// an interface are deleted as stale.
func (s *State) Swept(rows map[string]bool) {
	s.unswept = false
	for _, p := range s.ports {
		is := p.row
		switch {
		case !rows[p.Name], is.unknown && p.Index == 0:
			is = row{}
		case is.unknown && p.Index != 0 && p.Configured:
			is.there = true
		}
		if is != p.row {
			p.row = is
			s.touch(p)
		}
	}
}

// untouch clears the list of touched ports.
func (s *State) untouch() {
	for _, p := range s.touched {
		p.touched = false
	}
	clear(s.touched)
	s.touched = s.touched[:0]
}

// touch marks p as changed, so that its state is published at the end of the turn. State.port calls
// it. Code that has a port from elsewhere must call touch when it changes the port.
func (s *State) touch(p *Port) {
	if !p.touched {
		p.touched = true
		s.touched = append(s.touched, p)
	}
}
