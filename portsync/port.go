package portsync

// Port is the state of one interface name. It is owned by the goroutine that owns the State.
type Port struct {
	Name string

	// Properties of the interface with that name, by its last message. Index is 0 if there is no
	// such interface.
	Index       int32
	Admin, Oper bool
	MTU         uint32
	CarrierUp   uint32
	CarrierDown uint32

	ChangedAt int64 // when a message last changed one of these; 0 if never

	Configured  bool // CONFIG_DB has the port
	InitPending bool // PortInitDone waits for the port
	Accepted    bool // APPL_DB had the port at its last message, and its row was written to STATE_DB

	recheck    bool    // the port was accepted until APPL_DB lost its rows
	reproduced bool    // the port was produced again, and APPL_DB has not had it since
	refused    bool    // Redis refused to write the row
	pending    pending // owned by the Batch

	notApplied bool  // APPL_DB did not have the port at the last lookup for its interface
	expectedBy int64 // when the interface of a port that was added to CONFIG_DB should exist; 0 if none was added

	row          row    // the row in STATE_DB, as last acknowledged
	wasThere     bool   // the port had a row, or APPL_DB had the port before the start
	pendingSince int64  // when PortInitDone began to wait for the port, or when CONFIG_DB got the port later
	changes      uint64 // acknowledged writes that changed the row
	repair       repair // what a comparison found wrong, until a write is acknowledged

	info    *PortInfo      // never changed; nil if the port is not configured or its row was not read by the follower
	touched bool           // listed in State.touched
	present bool           // counted as PortPresent
	series  *portSeries    // nil if the port has no series
	view    *publishedPort // entry in Status; nil if the port is not listed
}

// row is the row of a port in STATE_DB.
type row struct {
	unknown bool // an earlier run may have written the row
	there   bool // the row exists
	admin   bool
	oper    bool
	mtu     uint32
}

// rowOf returns the row that STATE_DB should have for the interface of p.
func rowOf(p *Port) row {
	return row{there: true, admin: p.Admin, oper: p.Oper, mtu: p.MTU}
}

// repair is what a comparison found wrong with a row.
type repair uint8

const (
	repairNone  repair = iota
	repairRow          // the row lacks a field or has another value
	repairStale        // the row belongs to no interface
)

// PortState is the state of a port in /ports, /status and the metrics.
type PortState uint8

// The states of a port. A port is not listed if it is not configured, PortInitDone does not wait for
// it, and it has no row in STATE_DB.
const (
	// PortPending means that the port is configured or that PortInitDone waits for it, and that its
	// interface or its row does not exist yet. The row does not exist if APPL_DB does not have the
	// port, or if the write is in the backlog.
	PortPending PortState = iota
	// PortPresent means that the interface exists and its row is in STATE_DB.
	PortPresent
	// PortAbsent means that the interface existed and is gone, or that APPL_DB had the port before
	// the start and the kernel has no interface for it. PortInitDone can be waiting for the port.
	PortAbsent
)

// String returns "pending", "present" or "absent".
func (s PortState) String() string { return [...]string{"pending", "present", "absent"}[s] }

// state returns the state of p, which /ports, /status and the metrics are derived from.
func (p *Port) state() PortState {
	switch {
	case p.Index != 0 && p.row.there:
		return PortPresent
	case p.vanished():
		return PortAbsent
	}
	return PortPending
}

// vanished reports whether p had an interface and has none now. Such a port is absent, and later
// missing, even if PortInitDone waits for it, because after a warm start PortInitDone waits for all
// ports.
func (p *Port) vanished() bool { return p.Index == 0 && p.wasThere }

// visible reports whether p is listed.
func (p *Port) visible() bool {
	return p.Configured || p.InitPending || p.row.there || p.refused && p.Index != 0
}

// written reports whether STATE_DB has acknowledged the current state of p: its values if the
// interface exists, the deletion of its row if not.
func (p *Port) written() bool {
	switch {
	case p.pending.queued || p.refused:
		return false
	case p.Index == 0:
		return !p.row.there && !p.row.unknown
	}
	return p.row == rowOf(p)
}

// Configure sets the ports that CONFIG_DB has. Other ports are removed once they have no interface and
// no row.
func (s *State) Configure(names []string) {
	configured := make(map[string]bool, len(names))
	for _, name := range names {
		configured[name] = true
		if p := s.port([]byte(name)); !p.Configured {
			p.Configured = true
			s.touch(p)
		}
	}
	for _, p := range s.ports {
		if p.Configured && !configured[p.Name] {
			p.Configured, p.info = false, nil
			s.touch(p)
			s.forget(p)
		}
	}
}

// setUnswept sets whether STATE_DB may have rows of an earlier run.
func (s *State) setUnswept(unswept bool) { s.unswept = unswept }

// Swept updates the rows of all ports with the names of the rows that STATE_DB has. Rows can be from an
// earlier run, or lost by a flush. Rows of an earlier run without an interface are deleted as stale.
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

// untouch forgets which ports were touched.
func (s *State) untouch() {
	for _, p := range s.touched {
		p.touched = false
	}
	clear(s.touched)
	s.touched = s.touched[:0]
}

// touch marks p to be published at the end of the turn. Each change of a port calls it.
func (s *State) touch(p *Port) {
	if !p.touched {
		p.touched = true
		s.touched = append(s.touched, p)
	}
}
