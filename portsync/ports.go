package portsync

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// publishedPorts is the list of visible ports, in natural order of their names. The loop replaces
// the list when a port is added or removed; readers keep using the list they have loaded.
type publishedPorts struct {
	list  atomic.Pointer[[]*publishedPort]
	flaps flapTable
}

// add returns a new entry for a port. It appears in the list after the next call of change.
func (l *publishedPorts) add(name string) *publishedPort {
	p := &publishedPort{name: name, flaps: l.flaps.of(name)}
	p.flaps.shown = true
	return p
}

// remove marks an entry for removal. It stays in the list until the next call of change.
func (l *publishedPorts) remove(p *publishedPort) { p.gone, p.flaps.shown = true, false }

func (l *publishedPorts) all() []*publishedPort {
	if list := l.list.Load(); list != nil {
		return *list
	}
	return nil
}

// change adds the given entries to the list and removes the entries that are marked for removal.
func (l *publishedPorts) change(added []*publishedPort) {
	old := l.all()
	list := make([]*publishedPort, 0, len(old)+len(added))
	for _, p := range old {
		if !p.gone {
			list = append(list, p)
		}
	}
	list = append(list, added...)
	slices.SortFunc(list, func(a, b *publishedPort) int { return compareNames(a.name, b.name) })
	l.list.Store(&list)
}

// portCounts holds numbers of listed ports.
type portCounts struct{ Present, Up int64 }

func (l *publishedPorts) count() (c portCounts) {
	for _, p := range l.all() {
		c.Present += bit(p.present())
		c.Up += bit(p.oper.Load())
	}
	return c
}

// Ports returns the state of all ports at now, in natural order of their names. It may be called
// from any goroutine.
func (s *Status) Ports(now time.Time) []PortView {
	at := s.clock.reading(now)
	ports := s.ports.all()
	all := make([]PortView, len(ports))
	for i, p := range ports {
		all[i] = p.read(s.clock, at)
	}
	return all
}

// Port returns the state of one port at now. It returns false if [Status.Ports] does not list the
// port. It may be called from any goroutine.
func (s *Status) Port(name string, now time.Time) (PortView, bool) {
	ports := s.ports.all()
	i, found := slices.BinarySearchFunc(ports, name, func(p *publishedPort, name string) int {
		return compareNames(p.name, name)
	})
	if !found {
		return PortView{}, false
	}
	return ports[i].read(s.clock, s.clock.reading(now)), true
}

// compareNames compares names in natural order, in which Ethernet2 precedes Ethernet10.
func compareNames(a, b string) int {
	if n := cmp.Compare(prefix(a), prefix(b)); n != 0 {
		return n
	}
	if n := cmp.Compare(len(a), len(b)); n != 0 {
		return n
	}
	return cmp.Compare(a, b)
}

// prefix returns the characters of name before the first digit.
func prefix(name string) string {
	for i := range len(name) {
		if name[i] >= '0' && name[i] <= '9' {
			return name[:i]
		}
	}
	return name
}
