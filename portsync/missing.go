package portsync

import (
	"fmt"
	"slices"
	"strings"
)

// missingPorts describes the ports that are in CONFIG_DB and should have an interface but do not,
// and those that have only an interface of an earlier run.
type missingPorts struct {
	gone, old           int
	goneNames, oldNames string // names of the first ports
}

// count returns the number of ports.
func (m *missingPorts) count() int { return m.gone + m.old }

// String returns the text of the health reason.
func (m *missingPorts) String() string {
	var texts []string
	add := func(n int, names, one, several string) {
		switch {
		case n == 1:
			texts = append(texts, "a configured port "+one+": "+names)
		case n > 1:
			texts = append(texts, fmt.Sprintf("%d configured ports %s: %s", n, several, names))
		}
	}
	add(m.gone, m.goneNames, "has no interface", "have no interface")
	add(m.old, m.oldNames, "has only an interface of an earlier run, which is ignored until it is created again",
		"have only interfaces of an earlier run, which are ignored until they are created again")
	return strings.Join(texts, "; ")
}

// absence is the state of a port that has no interface, or only one that is ignored.
type absence struct {
	since int64 // when the port lost its interface, or was first seen without one
	why   lack  // lackInterface or lackOld
}

// absences tracks the ports of CONFIG_DB that have no interface, or only one of an earlier run, and
// decides which of them are missing.
type absences struct {
	*base
	ports    map[*Port]absence
	changed  bool          // ports has changed after missing was computed
	initDone bool          // State.InitDone when missing was computed
	synced   bool          // the initial dump was complete when missing was computed
	at       int64         // when the next port may become missing
	missing  *missingPorts // nil if no port is missing
}

func newAbsences(b *base) absences {
	return absences{base: b, ports: make(map[*Port]absence), at: never}
}

// update records the state of one port. why is the reason why the port has no row.
func (a *absences) update(p *Port, why lack, now int64) {
	was, absent := a.ports[p]
	switch is := p.Configured && (why == lackInterface || why == lackOld); {
	case is && (!absent || was.why != why):
		a.ports[p] = absence{now, why}
	case absent && !is:
		delete(a.ports, p)
	case !absent:
		return
	}
	a.changed = true
}

// missingFrom returns the time from which a port without an interface counts as missing. No port is
// missing before the initial dump is complete. A port that never had an interface, or has one of an
// earlier run, is not missing before PortInitDone.
func (a *absences) missingFrom(p *Port, is absence) int64 {
	switch {
	case !a.synced:
		return never
	case p.state(is.why) == PortAbsent:
		return max(is.since+int64(a.MissingAfter), p.expectedBy)
	case !a.initDone:
		return never
	}
	return max(is.since+int64(a.LateAfter), p.expectedBy)
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
	var gone, old []string
	for p, is := range a.ports {
		switch from := a.missingFrom(p, is); {
		case from > now:
			a.at = min(a.at, from)
		case is.why == lackOld:
			old = append(old, p.Name)
		default:
			gone = append(gone, p.Name)
		}
	}
	if len(gone)+len(old) == 0 {
		was := a.missing
		a.missing = nil
		return was != nil
	}
	slices.SortFunc(gone, compareNames)
	slices.SortFunc(old, compareNames)
	is := missingPorts{gone: len(gone), goneNames: nameList(gone), old: len(old), oldNames: nameList(old)}
	if a.missing != nil && *a.missing == is {
		return false
	}
	a.missing = &is
	return true
}
