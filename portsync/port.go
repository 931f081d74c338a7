package portsync

// Port is what is known of one interface name. It belongs to the goroutine that
// owns the State.
type Port struct {
	Name string

	// The interface that has the name, as the kernel last described it. Index is
	// 0 while there is none.
	Index       int32
	Admin, Oper bool
	MTU         uint32
	CarrierUp   uint32
	CarrierDown uint32

	ChangedAt int64 // when a message last changed one of these; 0: never

	Configured  bool // CONFIG_DB has a row of it
	InitPending bool // PortInitDone waits for it
	Accepted    bool // at its last message APPL_DB had the port, and STATE_DB got its row

	recheck    bool    // it was served until APPL_DB lost its rows
	reproduced bool    // orchagent was handed it a second time, and APPL_DB has not had it since
	refused    bool    // the databases refused its row
	pending    pending // belongs to the Batch

	notApplied bool  // APPL_DB had no row of it when it was last looked up for its interface
	expectedBy int64 // by then the interface of a row that is new in CONFIG_DB should exist; 0: no such row

	row          row    // the row in STATE_DB as the databases last acknowledged it
	wasThere     bool   // it had a row once, or orchagent had set it up before the start
	pendingSince int64  // when PortInitDone began to wait for it, or CONFIG_DB had its row later
	changes      uint64 // writes that changed the row
	repair       repair // a comparison found its row wrong, and no write has been acknowledged since

	touched bool           // listed in State.touched
	present bool           // counted among the ports that are PortPresent
	series  *portSeries    // its series; nil while it has none
	view    *publishedPort // what Status shows of it; nil while it is not shown
}

// row is the row of a port in STATE_DB.
type row struct {
	unknown bool // an earlier run may have written it
	there   bool // the row exists
	admin   bool
	oper    bool
	mtu     uint32
}

// rowOf returns the row that STATE_DB is to have for the interface of p.
func rowOf(p *Port) row {
	return row{there: true, admin: p.Admin, oper: p.Oper, mtu: p.MTU}
}

// repair says what a comparison found wrong about a row.
type repair uint8

const (
	repairNone  repair = iota
	repairRow          // the row lacks a field or has another value
	repairStale        // the row belongs to no interface
)

// PortState says in one word how a port is.
type PortState uint8

// The states of a port. A port that is neither configured nor awaited and has no
// row in STATE_DB is not shown.
const (
	// PortPending: the port is configured or awaited, and its interface has not
	// come yet, or its interface has no row in STATE_DB yet: APPL_DB does not have
	// the port, or the row waits to be written.
	PortPending PortState = iota
	// PortPresent: the interface exists and its row is in STATE_DB.
	PortPresent
	// PortAbsent: the interface existed and is gone, or orchagent had set the port up
	// before the start and the kernel has no interface for it. PortInitDone may wait for
	// it.
	PortAbsent
)

// String returns "pending", "present" or "absent".
func (s PortState) String() string { return [...]string{"pending", "present", "absent"}[s] }

// state returns the state of p. All that is shown of ports rests on it.
func (p *Port) state() PortState {
	switch {
	case p.Index != 0 && p.row.there:
		return PortPresent
	case p.vanished():
		return PortAbsent
	}
	return PortPending
}

// vanished reports whether p has no interface and had one. A port that vanished is
// absent, and missing after a while, whether or not PortInitDone waits for it: a warm
// start waits for all ports.
func (p *Port) vanished() bool { return p.Index == 0 && p.wasThere }

// visible reports whether p is shown at all.
func (p *Port) visible() bool {
	return p.Configured || p.InitPending || p.row.there || p.refused && p.Index != 0
}

// written reports whether STATE_DB has acknowledged what is shown of p: the
// interface's values, or that there is no row where there is no interface.
func (p *Port) written() bool {
	switch {
	case p.pending.queued || p.refused:
		return false
	case p.Index == 0:
		return !p.row.there && !p.row.unknown
	}
	return p.row == rowOf(p)
}

// Configure sets which ports CONFIG_DB has. The others stay only as long as they
// have an interface or a row.
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
			p.Configured = false
			s.touch(p)
			s.forget(p)
		}
	}
}

// Swept takes the names of the rows that STATE_DB has, those of an earlier run and
// those that a flushed database lost included. Rows of an earlier run that belong
// to no interface are deleted as stale.
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

// touch has the port published at the end of the turn. Whatever changes a fact
// of a port calls it.
func (s *State) touch(p *Port) {
	if !p.touched {
		p.touched = true
		s.touched = append(s.touched, p)
	}
}
