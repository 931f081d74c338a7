package portsync

import (
	"fmt"
	"slices"
)

// missingPorts are the ports of CONFIG_DB whose interface does not exist and should.
type missingPorts struct {
	count int
	names string // the first of them
}

// String returns the text of the health reason.
func (m *missingPorts) String() string {
	if m.count == 1 {
		return "a configured port has no interface: " + m.names
	}
	return fmt.Sprintf("%d configured ports have no interface: %s", m.count, m.names)
}

// absences owns the list of ports of CONFIG_DB that have no interface, and decides which of
// them are missing.
type absences struct {
	*base
	since    map[*Port]int64 // when each lost its interface or was first seen without one
	changed  bool            // since is newer than missing
	initDone bool            // State.InitDone when missing was found
	synced   bool            // whether the first dump was complete then
	at       int64           // when another port may become missing
	missing  *missingPorts   // nil: no port is missing
}

func newAbsences(b *base) absences { return absences{base: b, since: make(map[*Port]int64), at: never} }

// update takes the state of one port; why is what it lacks.
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

// missingFrom returns the time from which a port without an interface is missing. No port is
// before the first dump is complete, nor before PortInitDone if it never had an interface.
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

// find brings the missing ports up to date and reports whether they have changed. synced
// says whether the first dump is complete. It reads the list only when a port was
// added to it or removed, or when a port may have become missing.
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
