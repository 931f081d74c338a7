package portsync

// lack identifies the reason why a port has no row in STATE_DB, or one that is out of date.
type lack uint8

const (
	lackNothing   lack = iota // the row is up to date
	lackDump                  // the kernel has not reported all interfaces yet
	lackInterface             // no interface has its name
	lackOld                   // the interface is left over from an earlier run (PROTOCOL.md section 6)
	lackName                  // interfaces with this name are ignored
	lackKind                  // the interface is of kind team
	lackUnread                // messages about the interface cannot be read
	lackApplied               // APPL_DB did not have the port at the interface's last message
	lackRefused               // the databases refuse the row
	lackWrite                 // the current state has not been written yet
)

// code returns the reason as in the JSON documents, or "" if the row is up to date.
func (k lack) code() string {
	return [...]string{
		lackNothing:   "",
		lackDump:      "not_dumped",
		lackInterface: "no_interface",
		lackOld:       "old_interface",
		lackName:      "ignored_name",
		lackKind:      "team",
		lackUnread:    "unreadable",
		lackApplied:   "not_in_appl_db",
		lackRefused:   "refused",
		lackWrite:     "not_written",
	}[k]
}

// String returns a human-readable description of the reason.
func (k lack) String() string {
	return [...]string{
		lackNothing:   "its row is in STATE_DB",
		lackDump:      "the first link dump is not complete, so it is not known whether it has an interface",
		lackInterface: "it has no interface",
		lackOld:       "its interface is left over from an earlier run and is ignored until it is created again",
		lackName:      "interfaces whose name begins with neither " + frontPanelPrefix + " nor " + lagPrefix + " are ignored",
		lackKind:      "its interface is of kind team and is ignored",
		lackUnread:    "the kernel's messages about its interface cannot be read",
		lackApplied:   "its interface exists, but APPL_DB had no row of it at its last message",
		lackRefused:   "its interface exists, but the databases refuse its row",
		lackWrite:     "its interface exists; its row in STATE_DB is not written yet",
	}[k]
}

// lackOf returns why a port has no row, or one that is out of date.
func (s *State) lackOf(p *Port) lack {
	switch {
	case p.Index == 0 && !watched([]byte(p.Name)):
		return lackName
	case p.Index == 0 && s.leftOver(p.Name):
		return lackOld
	case p.Index == 0 && s.Exists(p.Name):
		return lackUnread
	case p.Index == 0 && !s.synced:
		return lackDump
	case p.Index == 0:
		return lackInterface
	case s.links[p.Index] != nil && s.links[p.Index].team:
		return lackKind
	case p.refused:
		return lackRefused
	case p.written():
		return lackNothing
	case p.notApplied && !p.pending.queued:
		return lackApplied
	}
	return lackWrite
}

// leftOver reports whether an interface named name is left over from an earlier run of the daemon.
func (s *State) leftOver(name string) bool {
	for _, o := range s.old {
		if o.name == name {
			return true
		}
	}
	return false
}

// touchNames marks the named ports for publication, if they exist. It is called when interfaces with
// these names start or stop being ignored.
func (s *State) touchNames(names ...string) {
	for _, name := range names {
		if p := s.ports[name]; p != nil {
			s.touch(p)
		}
	}
}
