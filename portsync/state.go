package portsync

import (
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"portsyncd/netlinkraw"
)

// ErrConcurrentUse is what a second goroutine gets that calls Step while
// another one is inside.
var ErrConcurrentUse = errors.New("port state used by two goroutines at once")

// link is one interface of the kernel, by ifindex.
type link struct {
	index int32
	seen  uint32 // the generation in which a message last showed it
	team  bool
	port  *Port

	counted bool   // downs is known
	downs   uint32 // link-down count in the last message that had one
}

// oldLink is an interface that was there before a cold start (PROTOCOL.md
// section 6): its messages are ignored until it is deleted.
type oldLink struct {
	name string
	seen uint32
}

// unreadLink is an interface whose last message could not be read. It exists, and
// keeps the state and the row that it had.
type unreadLink struct {
	name string
	seen uint32
}

// State decides what each link message means. It does no I/O, reads no clock
// and starts no goroutine; the facts come in with the events and the effects go
// out as actions. The tests are those of LinkSync::onMsg in sonic-swss
// portsyncd/linksync.cpp, in its order.
//
// A State has no mutex because one goroutine owns it; Step turns use from a
// second one into ErrConcurrentUse.
type State struct {
	busy  atomic.Bool
	ports map[string]*Port
	links map[int32]*link
	old   map[int32]*oldLink

	unread  map[int32]unreadLink
	unreads int // grows with each change of unread

	unswept bool    // STATE_DB may have rows of an earlier run
	touched []*Port // ports whose facts may have changed since the last publication
	now     int64   // when the event of Step was read

	initPending int    // ports that PortInitDone waits for
	initDone    bool   // PortInitDone was asked for
	gen         uint32 // grows with each dump request; marks what a dump has shown
	dumpSeq     uint32 // the request whose end counts
	lost        bool   // messages were lost since the last request
	quiet       bool   // the dump is an audit's

	synced bool  // a dump was complete: links that appear later and are newer were created since
	newest int32 // the largest ifindex in any message
	listed int32 // newest when the dump was requested
}

// NewState makes the state of a daemon that waits for the given ports and has
// seen no link yet.
func NewState(await []string) *State {
	s := &State{
		ports: make(map[string]*Port),
		links: make(map[int32]*link),
		old:   make(map[int32]*oldLink),

		unread: make(map[int32]unreadLink),
	}
	for _, name := range await {
		s.AddInitPending(name)
	}
	return s
}

// AddInitPending adds name to the ports that PortInitDone waits for, and returns its
// entry.
func (s *State) AddInitPending(name string) *Port {
	p := s.port([]byte(name))
	if !p.InitPending {
		p.InitPending = true
		s.initPending++
	}
	s.touch(p)
	return p
}

// AddOld declares an interface to be left over from an earlier run.
func (s *State) AddOld(index int32, name string) {
	s.old[index] = &oldLink{name: name, seen: s.gen}
	s.touchName(name)
}

// DumpRequested says that the kernel was asked for all links; seq is the
// sequence number of the request. What no message shows from here to the end
// of that dump is gone. With quiet set, a dump message that says what is known
// already leads to nothing: an audit must not make up for a message that was
// ignored because APPL_DB had no row (PROTOCOL.md D11).
func (s *State) DumpRequested(seq uint32, quiet bool) {
	s.gen++
	s.dumpSeq, s.lost, s.quiet = seq, false, quiet
	s.listed = s.newest
}

// interfaces returns how many interfaces with a name of ours there are, old ones
// apart.
func (s *State) interfaces() int { return len(s.links) }

// accepted returns the ports that APPL_DB has, whose rows an audit checks.
func (s *State) accepted() []*Port {
	var out []*Port
	for _, p := range s.ports {
		if p.Accepted {
			out = append(out, p)
		}
	}
	return out
}

// InitPending returns how many ports PortInitDone still waits for.
func (s *State) InitPending() int { return s.initPending }

// initPendingNames returns up to most names of ports that PortInitDone waits for.
func (s *State) initPendingNames(most int) []string {
	var names []string
	for name, p := range s.ports {
		if p.InitPending {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names[:min(most, len(names))]
}

// InitDone reports whether PortInitDone was asked for.
func (s *State) InitDone() bool { return s.initDone }

// Exists reports whether an interface of that name exists, old ones included.
func (s *State) Exists(name string) bool {
	if p := s.ports[name]; p != nil && p.Index != 0 {
		return true
	}
	if s.leftOver(name) {
		return true
	}
	for _, u := range s.unread {
		if u.name == name {
			return true
		}
	}
	return false
}

// Step takes one message of the kernel and appends the actions that follow from it
// to out.
func (s *State) Step(ev *Event, out []Action) ([]Action, error) {
	if !s.busy.CompareAndSwap(false, true) {
		return out, ErrConcurrentUse
	}
	defer s.busy.Store(false)
	s.now = ev.At
	switch ev.Kind {
	case netlinkraw.NewLink, netlinkraw.Unreadable:
		out = s.newLink(ev, out)
	case netlinkraw.DelLink:
		out = s.delLink(ev, out)
	case netlinkraw.DumpDone:
		out = s.dumpDone(ev, out)
	case netlinkraw.Overrun:
		s.lost = true
		out = append(out, Action{Kind: Redump, Reason: ReasonOverrun})
	}
	return out, nil
}

// Accept records whether APPL_DB had the port when its row was to be written. It
// reports whether PortInitDone is due now.
func (s *State) Accept(p *Port, accepted bool) (initDone bool) {
	s.touch(p)
	p.Accepted, p.notApplied = accepted && p.Index != 0, !accepted
	if accepted && p.InitPending {
		p.InitPending = false
		s.initPending--
	}
	return accepted && s.initDoneDue()
}

// newLink follows PROTOCOL.md section 8, with the rename of D7 in front.
func (s *State) newLink(ev *Event, out []Action) []Action {
	created := s.created(ev)
	s.newest = max(s.newest, ev.Index)
	if o := s.old[ev.Index]; o != nil {
		o.seen = s.gen
		if o.name != string(ev.Name()) {
			s.touchName(o.name)
			o.name = string(ev.Name())
			s.touchName(o.name)
		}
		return append(out, ignore(IgnoredOld))
	}
	if ev.Kind == netlinkraw.NewLink || !watched(ev.Name()) {
		s.wasRead(ev.Index)
	}
	l, before := s.links[ev.Index], len(out)
	if l != nil && l.port.Name != string(ev.Name()) {
		out = s.drop(l, out)
		l = nil
	}
	if !watched(ev.Name()) {
		return ignored(out, before, IgnoredName)
	}
	if ev.Kind == netlinkraw.Unreadable {
		return s.notRead(ev, l, out)
	}
	p := s.port(ev.Name())
	known := l != nil
	if !known {
		// Two interfaces never share a name. If another one still has it here,
		// its deletion or rename was lost, and the row is that of the former.
		if former := s.links[p.Index]; p.Index != 0 && former != nil {
			out = s.drop(former, out)
			p = s.port(ev.Name())
		}
		l = &link{index: ev.Index, port: p}
		s.links[ev.Index] = l
	}
	l.seen = s.gen
	// Messages of family AF_BRIDGE carry no kind; what is a team stays one.
	l.team = l.team || ev.Team
	s.touch(p)
	if p.Index != ev.Index { // another interface than before, or the first
		p.notApplied, p.expectedBy = false, 0
	}
	p.Index = ev.Index
	if ev.Team {
		return ignored(out, before, IgnoredTeam)
	}
	out = l.flaps(ev, created, out)
	if ev.Dump && s.quiet && known && p.Admin == ev.Admin() && p.Oper == ev.Oper() && p.MTU == ev.MTU {
		return append(out, ignore(IgnoredKnown))
	}
	if ev.Dump && ev.unsettled() {
		return append(out, Action{Kind: Settle, Port: p})
	}
	s.describe(p, ev, known)
	return append(out, Action{Kind: Publish, Port: p})
}

// describe takes the values of a message about the interface of p. This is the
// one place that tells whether a port has changed.
func (s *State) describe(p *Port, ev *Event, known bool) {
	counted := ev.Counted || !known
	if !known || p.Admin != ev.Admin() || p.Oper != ev.Oper() || p.MTU != ev.MTU ||
		counted && (p.CarrierUp != ev.CarrierUp || p.CarrierDown != ev.CarrierDown) {
		p.ChangedAt = ev.At
	}
	p.Admin, p.Oper, p.MTU = ev.Admin(), ev.Oper(), ev.MTU
	if counted {
		p.CarrierUp, p.CarrierDown = ev.CarrierUp, ev.CarrierDown
	}
}

// ignored appends that the message failed test t, unless the message led to
// something already: a rename deletes the row of the old name.
func ignored(out []Action, before int, r IgnoreReason) []Action {
	if len(out) > before {
		return out
	}
	return append(out, ignore(r))
}

// created reports whether the link of a message was created while we followed links:
// the kernel numbers links in the order of their creation. Its count then began at 0,
// even if the message about its creation was lost.
func (s *State) created(ev *Event) bool {
	before := s.newest
	if ev.Dump {
		before = s.listed
	}
	return s.synced && ev.Index > before
}

// flaps appends a Flapped action if the carrier went since the link's previous message.
// The first message of a link that existed before says nothing of when it flapped.
func (l *link) flaps(ev *Event, created bool, out []Action) []Action {
	if !ev.Counted {
		return out
	}
	from := l.downs
	if !l.counted && !created {
		from = ev.CarrierDown
	}
	l.counted, l.downs = true, ev.CarrierDown
	if ev.CarrierDown <= from {
		return out
	}
	return append(out, Action{Kind: Flapped, Port: l.port, Downs: ev.CarrierDown - from})
}

// notRead is for a link of which the message says no more than that it exists.
func (s *State) notRead(ev *Event, l *link, out []Action) []Action {
	if l != nil {
		l.seen = s.gen
	}
	name := string(ev.Name())
	if s.unread[ev.Index].name != name {
		s.unreads++
		s.touchName(name)
	}
	s.unread[ev.Index] = unreadLink{name: name, seen: s.gen}
	return append(out, Action{Kind: Unread})
}

// wasRead is for a link whose message could be read, or that is gone.
func (s *State) wasRead(index int32) {
	if u, ok := s.unread[index]; ok {
		delete(s.unread, index)
		s.unreads++
		s.touchName(u.name)
	}
}

// unreadNames lists the links whose messages cannot be read; nil: there is none.
func (s *State) unreadNames() *string {
	if len(s.unread) == 0 {
		return nil
	}
	var names []string
	for _, u := range s.unread {
		names = append(names, u.name)
	}
	slices.SortFunc(names, compareNames)
	text := nameList(names)
	return &text
}

func (s *State) delLink(ev *Event, out []Action) []Action {
	switch {
	case !watched(ev.Name()) && s.links[ev.Index] == nil && s.old[ev.Index] == nil:
		return append(out, ignore(IgnoredName))
	case ev.Team:
		s.release(s.links[ev.Index])
		return append(out, ignore(IgnoredTeam))
	case ev.Master != 0:
		// It left a bridge, or is about to vanish and will be reported once more.
		return append(out, ignore(IgnoredMaster))
	}
	s.wasRead(ev.Index)
	switch {
	case s.old[ev.Index] != nil:
		// The index can come back with another interface (D8).
		s.touchName(s.old[ev.Index].name)
		delete(s.old, ev.Index)
		return append(out, ignore(IgnoredOld))
	}
	before := len(out)
	if l := s.links[ev.Index]; l != nil {
		if l.port.Name != string(ev.Name()) {
			out = s.drop(l, out)
		} else {
			out = l.flaps(ev, false, out)
			s.release(l)
		}
	}
	if !watched(ev.Name()) {
		return ignored(out, before, IgnoredName)
	}
	p := s.port(ev.Name())
	if p.Index != 0 {
		// Another interface has the name already: a late word on the former one.
		return out
	}
	return append(out, Action{Kind: Delete, Port: p})
}

// dumpDone ends a resync: what the dump did not show is gone.
func (s *State) dumpDone(ev *Event, out []Action) []Action {
	if ev.Seq != s.dumpSeq || s.lost || ev.Incomplete {
		return out // answered by a later request, made or about to be made
	}
	if s.initDoneDue() {
		out = append(out, Action{Kind: InitDone})
	}
	switch {
	case ev.Failed:
		return append(out, Action{Kind: Redump, Reason: ReasonFailed})
	case ev.Interrupted:
		return append(out, Action{Kind: Redump, Reason: ReasonInterrupted})
	}
	for _, index := range slices.Sorted(maps.Keys(s.links)) {
		if l := s.links[index]; l.seen != s.gen {
			out = s.drop(l, out)
		}
	}
	for index, u := range s.unread {
		if u.seen != s.gen {
			s.wasRead(index)
		}
	}
	for index, o := range s.old {
		if o.seen != s.gen {
			s.touchName(o.name)
			delete(s.old, index)
		}
	}
	s.synced = true
	return append(out, Action{Kind: Synced})
}

// initDoneDue reports whether PortInitDone is due: once, when no port is pending. It
// is called where the C++ daemon, which checks after each read of its socket, can
// find the set empty: at the end of a dump and after a port was accepted.
func (s *State) initDoneDue() bool {
	if s.initDone || s.initPending > 0 {
		return false
	}
	s.initDone = true
	return true
}

// drop is for an interface that lost its name or its life without a deletion
// message: its row goes, unless another interface has the name by now.
func (s *State) drop(l *link, out []Action) []Action {
	p, owner := l.port, l.port.Index == l.index
	s.release(l)
	if owner && !l.team {
		out = append(out, Action{Kind: Delete, Port: p})
	}
	return out
}

// release forgets an interface and leaves its name without one.
func (s *State) release(l *link) {
	if l == nil {
		return
	}
	delete(s.links, l.index)
	if p := l.port; p.Index == l.index {
		s.touch(p)
		p.ChangedAt = s.now
		p.Index, p.Accepted, p.recheck = 0, false, false
		if l.team {
			s.forget(p)
		}
	}
}

// port returns the entry of a name, made on first sight.
func (s *State) port(name []byte) *Port {
	if p := s.ports[string(name)]; p != nil {
		return p
	}
	p := &Port{Name: string(name), row: row{unknown: s.unswept}}
	s.ports[p.Name] = p
	return p
}

// forget drops the entry of a name that nothing refers to any more, so that
// names which come and go leave nothing behind. The batch calls it once a
// deletion is acknowledged.
func (s *State) forget(p *Port) {
	if p.Index == 0 && !p.visible() && !p.reproduced && !p.pending.queued {
		delete(s.ports, p.Name)
	}
}
