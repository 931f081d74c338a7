package portsync

import (
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"portsyncd/netlinkraw"
)

// ErrConcurrentUse is returned by State.Step and Loop.Run if the same call is in progress on another
// goroutine.
var ErrConcurrentUse = errors.New("port state used by two goroutines concurrently")

// link is a kernel interface.
type link struct {
	index int32
	seen  uint32 // value of State.gen when a message last reported the link
	team  bool
	port  *Port

	counted bool   // downs is set
	downs   uint32 // link-down count of the last message with carrier counts
}

// ignoredLink is an interface whose messages are not used.
type ignoredLink struct {
	name string
	seen uint32 // value of State.gen when a message last reported the interface
}

// State tracks links and ports and determines the actions that each kernel message requires. It
// performs no I/O, reads no clock and starts no goroutines: Step takes an event and returns
// actions. Messages must pass the same tests, in the same order, as in LinkSync::onMsg of the C++
// daemon (sonic-swss portsyncd/linksync.cpp).
//
// A State must be used by one goroutine only. Step returns ErrConcurrentUse if it is called while
// another call is running.
type State struct {
	busy  atomic.Bool
	ports map[string]*Port
	links map[int32]*link

	// old has the interfaces that existed before a cold start. Their messages are ignored until they
	// are deleted (PROTOCOL.md section 6).
	old map[int32]ignoredLink
	// unread has the interfaces whose last message was too large to read. Their ports keep their
	// previous states and rows.
	unread map[int32]ignoredLink
	hides  int // incremented on each change of the names in old or unread

	unswept bool    // STATE_DB may have rows of an earlier run
	touched []*Port // ports that may have changed since they were last published
	now     int64   // when the current event was read

	initPending int    // number of ports that PortInitDone waits for
	initDone    bool   // the InitDone action was returned
	gen         uint32 // incremented by each dump request; marks the links that the dump reported
	dumpSeq     uint32 // sequence number of the last dump request
	lost        bool   // messages were lost since the last dump request
	quiet       bool   // the dump belongs to an audit

	synced bool  // a dump has completed, so links with a larger ifindex were created later
	newest int32 // the largest ifindex in any message
	listed int32 // value of newest when the dump was requested
}

// NewState returns a state without links, in which PortInitDone waits for the given ports.
func NewState(pending []string) *State {
	s := &State{
		ports:  make(map[string]*Port),
		links:  make(map[int32]*link),
		old:    make(map[int32]ignoredLink),
		unread: make(map[int32]ignoredLink),
	}
	for _, name := range pending {
		s.AddInitPending(name)
	}
	return s
}

// AddInitPending adds the named port to the ports that PortInitDone waits for and returns the port.
func (s *State) AddInitPending(name string) *Port {
	p := s.port([]byte(name))
	if !p.InitPending {
		p.InitPending = true
		s.initPending++
	}
	return p
}

// AddOld records an interface that existed before a cold start.
func (s *State) AddOld(index int32, name string) { s.hide(s.old, index, []byte(name)) }

// hide records in set, which is s.old or s.unread, that the messages of an interface are not used.
// If name is nil, the interface is removed from set. hide marks the ports with the previous and the
// new name of the interface for publication.
func (s *State) hide(set map[int32]ignoredLink, index int32, name []byte) {
	is := set[index]
	if string(name) != is.name {
		was := is.name
		is.name = string(name)
		s.hides++
		s.touchNames(was, is.name)
	}
	if name == nil {
		delete(set, index)
		return
	}
	is.seen = s.gen
	set[index] = is
}

// DumpRequested records that a dump of all links was requested with the sequence number seq. Links
// that are not reported before the end of that dump are removed. If quiet is set, dump messages
// that report no change are ignored: an audit must not write the row of a port whose last message
// was ignored because APPL_DB did not have the port (PROTOCOL.md D11).
func (s *State) DumpRequested(seq uint32, quiet bool) {
	s.gen++
	s.dumpSeq, s.lost, s.quiet = seq, false, quiet
	s.listed = s.newest
}

// interfaces returns the number of tracked interfaces, not counting old ones.
func (s *State) interfaces() int { return len(s.links) }

// accepted returns the ports that APPL_DB has. Audits check their rows.
func (s *State) accepted() []*Port {
	var out []*Port
	for _, p := range s.ports {
		if p.Accepted {
			out = append(out, p)
		}
	}
	return out
}

// InitPending returns the number of ports that PortInitDone waits for.
func (s *State) InitPending() int { return s.initPending }

// initPendingNames returns the names of at most limit ports that PortInitDone waits for.
func (s *State) initPendingNames(limit int) []string {
	var names []string
	for name, p := range s.ports {
		if p.InitPending {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names[:min(limit, len(names))]
}

// InitDone reports whether PortInitDone is due or was written.
func (s *State) InitDone() bool { return s.initDone }

// Exists reports whether an interface with that name exists, including old interfaces.
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

// Step processes one kernel message. It appends the required actions to out and returns the
// extended slice.
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

// Accept records whether APPL_DB had the port when its row was due to be written. It reports
// whether PortInitDone has become due.
func (s *State) Accept(p *Port, accepted bool) (initDone bool) {
	p.Accepted, p.notApplied = accepted && p.Index != 0, !accepted
	if accepted && p.InitPending {
		p.InitPending = false
		s.initPending--
	}
	return accepted && s.initDoneDue()
}

// newLink processes RTM_NEWLINK: it handles renames (D7) and then follows PROTOCOL.md section 8.
func (s *State) newLink(ev *Event, out []Action) []Action {
	created := s.created(ev)
	s.newest = max(s.newest, ev.Index)
	if _, old := s.old[ev.Index]; old {
		s.hide(s.old, ev.Index, ev.Name())
		return append(out, ignore(IgnoredOld))
	}
	if ev.Kind == netlinkraw.NewLink || !watched(ev.Name()) {
		s.hide(s.unread, ev.Index, nil)
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
		return s.addUnreadable(ev, l, out)
	}
	p := s.port(ev.Name())
	known := l != nil
	if !known {
		// Two interfaces never share a name. If another one has it here, its
		// deletion or rename was lost, and the row belongs to it.
		if former := s.links[p.Index]; p.Index != 0 && former != nil {
			out = s.drop(former, out)
			p = s.port(ev.Name())
		}
		l = &link{index: ev.Index, port: p}
		s.links[ev.Index] = l
	}
	l.seen = s.gen
	// Messages of family AF_BRIDGE have no link kind, so a team stays a team.
	l.team = l.team || ev.Team
	if p.Index != ev.Index { // the first interface of the port, or a different one
		p.notApplied, p.expectedBy = false, 0
	}
	p.Index = ev.Index
	if ev.Team {
		return ignored(out, before, IgnoredTeam)
	}
	out = l.flaps(ev, created, out)
	if ev.Dump && s.quiet && known && p.Admin == ev.Admin() && p.Oper == ev.Oper() && p.MTU == ev.MTU {
		s.describe(p, ev, known) // the carrier counts may have changed
		return append(out, Action{Kind: Ignore, Ignored: IgnoredKnown, Port: p})
	}
	if ev.Dump && ev.unsettled() {
		return append(out, Action{Kind: Settle, Port: p})
	}
	s.describe(p, ev, known)
	return append(out, Action{Kind: Publish, Port: p})
}

// describe copies the values of a message about the interface of p. It is the only function that
// decides whether a port has changed. Before the initial dump is complete, the first message about
// an interface does not show whether the interface has just changed, so it sets before. The journal
// decides this in the same way.
func (s *State) describe(p *Port, ev *Event, known bool) {
	is := p.LinkState
	is.Admin, is.Oper, is.MTU = ev.Admin(), ev.Oper(), ev.MTU
	if ev.Counted || !known {
		is.CarrierUp, is.CarrierDown = ev.CarrierUp, ev.CarrierDown
	}
	if !known || is != p.LinkState {
		p.LinkState, p.ChangedAt, p.before = is, ev.At, !known && !s.synced && p.ChangedAt == 0
	}
}

// ignored appends an Ignore action unless the message has already caused an action, such as the
// deletion of the old name's row on a rename.
func ignored(out []Action, before int, r IgnoreReason) []Action {
	if len(out) > before {
		return out
	}
	return append(out, ignore(r))
}

// created reports whether the link of a message was created after the first complete dump. The
// kernel assigns increasing ifindexes. The carrier counts of such a link started at 0, even if the
// message about its creation was lost.
func (s *State) created(ev *Event) bool {
	before := s.newest
	if ev.Dump {
		before = s.listed
	}
	return s.synced && ev.Index > before
}

// flaps appends a Flapped action if the link went down since its previous message. The first
// message of a link that existed before startup does not show when the link went down, so it is not
// counted.
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

// addUnreadable records a link whose message was too large to read.
func (s *State) addUnreadable(ev *Event, l *link, out []Action) []Action {
	if l != nil {
		l.seen = s.gen
	}
	s.hide(s.unread, ev.Index, ev.Name())
	return append(out, Action{Kind: Unread})
}

// unreadNames returns the names of the links whose messages cannot be read, or nil if there are
// none.
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

// delLink processes RTM_DELLINK.
func (s *State) delLink(ev *Event, out []Action) []Action {
	_, old := s.old[ev.Index]
	switch {
	case !watched(ev.Name()) && s.links[ev.Index] == nil && !old:
		return append(out, ignore(IgnoredName))
	case ev.Team:
		s.release(s.links[ev.Index])
		return append(out, ignore(IgnoredTeam))
	case ev.Master != 0:
		// The link has left a bridge. If it was deleted, another message follows.
		return append(out, ignore(IgnoredMaster))
	}
	s.hide(s.unread, ev.Index, nil)
	if old {
		// The kernel can reuse the ifindex (D8).
		s.hide(s.old, ev.Index, nil)
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
		// Another interface has the name now.
		return out
	}
	return append(out, Action{Kind: Delete, Port: p})
}

// dumpDone processes the end of a dump. Links that were not reported by the dump are removed.
func (s *State) dumpDone(ev *Event, out []Action) []Action {
	if ev.Seq != s.dumpSeq || s.lost || ev.Incomplete {
		return out // a later dump was or will be requested
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
	for _, set := range []map[int32]ignoredLink{s.unread, s.old} {
		for index, l := range set {
			if l.seen != s.gen {
				s.hide(set, index, nil)
			}
		}
	}
	if !s.synced {
		s.synced = true
		for _, p := range s.ports {
			if p.Index == 0 {
				s.touch(p) // its lack has changed
			}
		}
	}
	return append(out, Action{Kind: Synced})
}

// initDoneDue returns true once, when no port is pending and PortInitDone is therefore due. It is
// called when the set of pending ports may have become empty: at the end of a dump, and after a
// port was accepted. The C++ daemon checks after each read of its socket.
func (s *State) initDoneDue() bool {
	if s.initDone || s.initPending > 0 {
		return false
	}
	s.initDone = true
	return true
}

// drop removes an interface that was renamed, or whose deletion message was lost. It appends an action
// that deletes the row of the port, unless another interface now has its name.
func (s *State) drop(l *link, out []Action) []Action {
	p, owner := l.port, l.port.Index == l.index
	s.release(l)
	if owner && !l.team {
		out = append(out, Action{Kind: Delete, Port: p})
	}
	return out
}

// release removes an interface and detaches it from its port.
func (s *State) release(l *link) {
	if l == nil {
		return
	}
	delete(s.links, l.index)
	if p := l.port; p.Index == l.index {
		s.touch(p)
		p.ChangedAt, p.before = s.now, false
		p.Index, p.Accepted, p.recheck = 0, false, false
		if l.team {
			s.forget(p)
		}
	}
}

// port returns the named port, which the caller is about to change, and marks it for publication.
// It adds the port if necessary.
func (s *State) port(name []byte) *Port {
	p := s.ports[string(name)]
	if p == nil {
		p = &Port{Name: string(name), row: row{unknown: s.unswept}}
		s.ports[p.Name] = p
	}
	s.touch(p)
	return p
}

// forget removes a port that is no longer referenced, so that memory use does not grow with each
// new name. It is also called when the deletion of a row is acknowledged.
func (s *State) forget(p *Port) {
	if p.Index == 0 && !p.visible() && !p.reproduced && !p.pending.queued {
		delete(s.ports, p.Name)
	}
}
