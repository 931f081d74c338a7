package portsync

import (
	"fmt"
	"slices"
)

// missingPorts describes the ports that are in CONFIG_DB and should have an interface but do not.
type missingPorts struct {
	count int
	names string // names of the first ports
}

// String returns the text of the health reason.
func (m *missingPorts) String() string {
	if m.count == 1 {
		return "a configured port has no interface: " + m.names
	}
	return fmt.Sprintf("%d configured ports have no interface: %s", m.count, m.names)
}

// absences tracks the ports of CONFIG_DB that have no interface and decides which of them are
// missing.
type absences struct {
	*base
	since    map[*Port]int64 // when each port lost its interface or was first seen without one
	changed  bool            // since has changed after missing was computed
	initDone bool            // State.InitDone when missing was computed
	synced   bool            // the initial dump was complete when missing was computed
	at       int64           // when the next port may become missing
	missing  *missingPorts   // nil if no port is missing
}

func newAbsences(b *base) absences { return absences{base: b, since: make(map[*Port]int64), at: never} }

// update records the state of one port. why is the reason why the port has no row.
func (a *absences) update(p *Port, why lack, now int64) {
	_, was := a.since[p]
	switch is := p.Configured && why == lackInterface; {
	case is && !was:
		a.since[p] = now
	case was && !is:
		delete(a.since, p)
	case !was:
		return
	}
	a.changed = true
}

// missingFrom returns the time from which a port without an interface counts as missing. No port is
// missing before the initial dump is complete. A port that never had an interface is not missing
// before PortInitDone.
func (a *absences) missingFrom(p *Port, since int64) int64 {
	switch {
	case !a.synced:
		return never
	case p.vanished():
		return max(since+int64(a.MissingAfter), p.expectedBy)
	case !a.initDone:
		return never
	}
	return max(since+int64(a.LateAfter), p.expectedBy)
}

// find updates the missing ports and reports whether they have changed. synced tells whether the
// initial dump is complete. find examines the ports only if one was added or removed, or if a port
// may have become missing.
func (a *absences) find(now int64, synced bool) bool {
	initDone := a.state.InitDone()
	if !a.changed && now < a.at && a.initDone == initDone && a.synced == synced {
		return false
	}
	a.changed, a.at, a.initDone, a.synced = false, never, initDone, synced
	var names []string
	for p, since := range a.since {
		if from := a.missingFrom(p, since); from <= now {
			names = append(names, p.Name)
		} else {
			a.at = min(a.at, from)
		}
	}
	if len(names) == 0 {
		was := a.missing
		a.missing = nil
		return was != nil
	}
	slices.SortFunc(names, compareNames)
	is := missingPorts{count: len(names), names: nameList(names)}
	if a.missing != nil && *a.missing == is {
		return false
	}
	a.missing = &is
	return true
}
