package portsync

import (
	"fmt"
	"slices"
)

// missingPorts are the ports of CONFIG_DB without an interface, other than those that
// may still get one.
type missingPorts struct {
	count int
	names string // the first of them, for people
}

// String is a line for people.
func (m *missingPorts) String() string {
	if m.count == 1 {
		return "a configured port has no interface: " + m.names
	}
	return fmt.Sprintf("%d configured ports have no interface: %s", m.count, m.names)
}

// absences are the ports of CONFIG_DB without an interface.
type absences struct {
	since    map[*Port]int64 // of each, since when
	changed  bool            // since missing was found
	initDone bool            // what was known then
	synced   bool            // likewise
	at       int64           // when another one may be missing
	missing  *missingPorts   // nil: no port is missing
}

func newAbsences() absences { return absences{since: make(map[*Port]int64), at: never} }

// note takes the facts of one port.
func (a *absences) note(p *Port, why lack, now int64) {
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

// missingFrom returns from when on the absence of a port is not to be expected, on
// the loop's clock. Before PortInitDone a port that was never there is waited for,
// and nobody knows of any before the first list of links is complete.
func (l *Loop) missingFrom(p *Port, since int64) int64 {
	switch {
	case !l.initial.eoiu:
		return never
	case p.vanished():
		return max(since+int64(l.MissingAfter), p.expectedBy)
	case !l.state.InitDone():
		return never
	}
	return max(since+int64(l.LateAfter), p.expectedBy)
}

// findMissing brings up to date which ports are missing, and reports whether that
// has changed. It looks at the ports only when one may have come or gone, or when
// a time is over.
func (l *Loop) findMissing(now int64) bool {
	a := &l.absences
	if !a.changed && now < a.at && a.initDone == l.state.InitDone() && a.synced == l.initial.eoiu {
		return false
	}
	a.changed, a.at, a.initDone, a.synced = false, never, l.state.InitDone(), l.initial.eoiu
	var names []string
	for p, since := range a.since {
		if from := l.missingFrom(p, since); from <= now {
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
