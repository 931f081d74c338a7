package journal

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"portsyncd/netlinkraw"
)

// Reasons of port events whose time may differ from the time of the change.
const (
	reasonResync   = "found by a resync; the change may have happened earlier"
	reasonDowntime = "found at the start; the change happened while the daemon was not running or not yet in sync"
	// reasonStarting is the reason for the first message about a port that an earlier process recorded:
	// it shows the present state, but not when the state changed.
	reasonStarting = "found at the start; the change may have happened while the daemon was not running"
	// reasonUnlisted is the reason for a port that is not in the initial dump of links. A cold
	// start ignores existing interfaces (PROTOCOL.md section 6).
	reasonUnlisted = "found at the start; deleted while the daemon was not running, or ignored by a cold start"
	reasonReplaced = "another interface took its place"
)

// maxPorts is the maximum number of names whose state the writer tracks. A switch has a few hundred
// ports.
const maxPorts = 8192

// port is the writer's state of one port name.
type port struct {
	name  string
	known bool // the state below was published or restored
	// restored is set if the state was recorded by an earlier process.
	restored bool
	PortState
	linkSince int64     // when Oper last changed, on the loop's clock, or 0 if unknown
	changed   time.Time // time of the newest event in this boot; zero if none is known
	stream    stream
}

// ports compares the published port states with the previous ones and returns the resulting events.
// Only the writer's goroutine uses it.
type ports struct {
	byName map[string]*port
	full   bool    // evict found nothing to remove and no stream has ended since
	synced bool    // the initial dump of links is complete
	events []Event // result of the last call, reused
	lost   uint64  // number of states dropped because ports was full
}

// get returns the entry for name and adds it if necessary. It returns nil if the table is full.
func (p *ports) get(name []byte) *port {
	if known := p.byName[string(name)]; known != nil {
		return known
	}
	if len(p.byName) >= maxPorts {
		if p.full || !p.evict() {
			p.full = true
			return nil
		}
	}
	if p.byName == nil {
		p.byName = make(map[string]*port)
	}
	added := &port{name: string(name)}
	p.byName[added.name] = added
	return added
}

// evict removes the ports that have neither an interface nor unrecorded merged events. It returns
// false if there are no such ports.
func (p *ports) evict() bool {
	before := len(p.byName)
	for name, known := range p.byName {
		if !known.Present && !known.stream.merging() {
			delete(p.byName, name)
		}
	}
	return len(p.byName) < before
}

// restore sets the last state of a port that an earlier process in the same boot recorded.
func (p *ports) restore(name string, state PortState) {
	if known := p.get([]byte(name)); known != nil {
		known.PortState, known.known, known.restored = state, true, true
	}
}

// restoreChange sets the time of the newest stored event of a port.
func (p *ports) restoreChange(name string, at time.Time) {
	if known := p.get([]byte(name)); known != nil {
		known.changed = at
	}
}

// changes returns the time of the newest event of each port that has one.
func (p *ports) changes() map[string]time.Time {
	all := make(map[string]time.Time)
	for name, known := range p.byName {
		if !known.changed.IsZero() {
			all[name] = known.changed
		}
	}
	return all
}

// update applies a state and returns the port and the resulting events. The events are valid until
// the next call and have no times. If there is no room for the port, update returns nil.
func (p *ports) update(r *record) (*port, []Event) {
	p.events = p.events[:0]
	known := p.get(r.name[:r.nameLen])
	if known == nil {
		p.lost++
		return nil, nil
	}
	other := r.other[:r.otherLen]
	if len(other) > 0 && r.Present {
		p.rename(known, other)
	}
	p.compare(known, &r.PortState)
	if len(other) > 0 && !r.Present && len(p.events) > 0 { // it is the event of a deletion
		e := &p.events[0]
		e.Kind, e.Old, e.New = Renamed, known.name, string(other)
	}
	return known, p.events
}

// rename moves the state of the former name to the new name.
func (p *ports) rename(to *port, former []byte) {
	from := p.byName[string(former)]
	if from == nil || !from.known || !from.Present || from == to {
		return
	}
	if to.known && to.Present {
		p.add(to, Deleted, reasonReplaced)
	}
	to.PortState, to.known, to.restored, to.linkSince = from.PortState, true, from.restored, from.linkSince
	from.PortState, from.restored, from.linkSince = PortState{}, false, 0
	p.add(to, Renamed, "").Old = from.name
}

// compare appends the events that lead from the port's known state to the new one, and stores the
// new state.
func (p *ports) compare(known *port, is *PortState) {
	was := known.PortState
	reason := p.reasonFor(known, is)
	first := !known.known
	known.PortState, known.known, known.restored = *is, true, false
	switch {
	case first && !p.synced:
		// The interface existed at startup and nothing has been recorded about it.
	case !is.Present:
		if was.Present {
			known.linkSince = 0
			e := p.add(known, Deleted, reason)
			e.Index, e.CarrierUp, e.CarrierDown = was.Index, was.CarrierUp, was.CarrierDown
		}
	case first || !was.Present:
		known.linkSince = max(is.At, 1)
		p.add(known, Created, reason)
	case was.Index != is.Index:
		known.linkSince = max(is.At, 1)
		e := p.add(known, Deleted, reasonReplaced)
		e.Index, e.Admin, e.Oper, e.MTU, e.CarrierUp, e.CarrierDown = was.Index, Unknown, Unknown, 0, was.CarrierUp, was.CarrierDown
		p.add(known, Created, reason)
	default:
		p.compareLink(known, &was, reason)
	}
}

// reasonFor returns the reason why an event may have a later time than the change that it
// describes, such as a resync, or "" if it has the correct time.
func (p *ports) reasonFor(known *port, is *PortState) string {
	switch {
	case is.Dump && known.restored:
		return reasonDowntime
	case is.Dump:
		return reasonResync
	case known.restored && is.Present:
		return reasonStarting
	}
	return ""
}

// compareLink appends the events of an interface that already existed.
func (p *ports) compareLink(known *port, was *PortState, reason string) {
	is := &known.PortState
	if was.Admin != is.Admin {
		p.add(known, pick(is.Admin, AdminUp, AdminDown), reason)
	}
	downs := uint64(0)
	switch {
	case !was.Counted || !is.Counted:
		if was.Oper && !is.Oper {
			downs = 1
		}
	case is.CarrierDown > was.CarrierDown: // a smaller count means that the driver has reset it
		downs = uint64(is.CarrierDown - was.CarrierDown)
	}
	if !is.Counted { // the message has no counts; keep the last ones
		is.Counted, is.CarrierUp, is.CarrierDown = was.Counted, was.CarrierUp, was.CarrierDown
	}
	switch {
	case was.Oper != is.Oper:
		e := p.add(known, pick(is.Oper, LinkUp, LinkDown), reason)
		e.Flaps = downs
		if known.linkSince != 0 {
			e.After = time.Duration(is.At - known.linkSince)
		}
		known.linkSince = max(is.At, 1)
	case downs > 0:
		known.linkSince = max(is.At, 1)
		e := p.add(known, Flapping, reason)
		e.Flaps, e.Count = downs, 2*downs
	}
	if was.MTU != is.MTU {
		e := p.add(known, MTU, reason)
		e.Old, e.New = strconv.FormatUint(uint64(was.MTU), 10), strconv.FormatUint(uint64(is.MTU), 10)
	}
}

// add appends an event with the port's current state.
func (p *ports) add(known *port, kind Kind, reason string) *Event {
	p.events = append(p.events, Event{Kind: kind, Port: known.name, Reason: reason})
	e := &p.events[len(p.events)-1]
	known.describe(e)
	return e
}

// describe sets the event's fields that describe the interface.
func (known *port) describe(e *Event) {
	if !known.Present {
		return
	}
	e.Index, e.MTU = known.Index, known.MTU
	e.Admin, e.Oper = StateOf(known.Admin), StateOf(known.Oper)
	e.CarrierUp, e.CarrierDown = known.CarrierUp, known.CarrierDown
}

// complete records that the initial dump of links is complete. It calls deleted for each port that
// an earlier process recorded and that no longer has an interface.
func (p *ports) complete(deleted func(*port, []Event)) {
	p.synced = true
	for _, name := range slices.Sorted(maps.Keys(p.byName)) {
		known := p.byName[name]
		if !known.restored {
			continue
		}
		p.events = p.events[:0]
		was := known.PortState
		known.PortState, known.restored = PortState{}, false
		if was.Present {
			e := p.add(known, Deleted, reasonUnlisted)
			e.Index, e.CarrierUp, e.CarrierDown = was.Index, was.CarrierUp, was.CarrierDown
			deleted(known, p.events)
		}
	}
}

func pick(first bool, a, b Kind) Kind {
	if first {
		return a
	}
	return b
}

// replay updates states with the state of a port after a stored event.
func replay(states map[string]PortState, e *Event) {
	if e.Port == "" || len(e.Port) >= nameSize {
		return
	}
	if e.Kind == Renamed {
		states[e.Old] = PortState{}
	}
	if e.Admin == Unknown {
		states[e.Port] = PortState{}
		return
	}
	states[e.Port] = PortState{
		Present: true, Counted: e.CarrierUp|e.CarrierDown != 0,
		LinkState: netlinkraw.LinkState{Index: e.Index, Admin: e.Admin == Up, Oper: e.Oper == Up, MTU: e.MTU,
			CarrierUp: e.CarrierUp, CarrierDown: e.CarrierDown},
	}
}
