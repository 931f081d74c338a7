package portsync

import (
	"time"

	"portsyncd/internal/journal"
	"portsyncd/netlinkraw"
)

// journalFeed publishes port states to the journal. It never blocks: if the journal has no room, a
// state is published in a later turn.
type journalFeed struct {
	*base
	source  *journal.Source             // nil if there is no journal
	changes <-chan map[string]time.Time // of the journal; delivers once
	// late holds the names of the ports whose states are not published yet, oldest first. formers
	// holds the former name of each, or "".
	late    []string
	formers map[string]string
	synced  bool // publish the end of the initial dump after the late states
}

func newJournalFeed(b *base) journalFeed {
	f := journalFeed{base: b}
	if b.Journal != nil {
		f.source, f.changes, f.formers = b.Journal.Source(), b.Journal.Changes(), make(map[string]string)
	}
	return f
}

// event publishes the ports that a message has changed. A message that deletes one name and reports
// another is published as a rename.
func (f *journalFeed) event(ev *Event, actions []Action) {
	if f.source == nil {
		return
	}
	var reported *Port
	for i := range actions {
		if a := &actions[i]; a.Kind == Publish || a.Ignored == IgnoredKnown && a.Kind == Ignore {
			reported = a.Port
		}
	}
	former := ""
	for i := range actions {
		a := &actions[i]
		switch {
		case a.Kind != Delete || a.Port == reported:
		case reported != nil && !isOther(ev, a.Port):
			former = a.Port.Name
		case a.Port.ChangedAt == ev.At:
			f.gone(a.Port, ev)
		}
	}
	if reported != nil && reported.ChangedAt == ev.At {
		f.port(reported, former, ev.Dump)
	}
}

// gone publishes that a port has no interface any more. If the message that shows this gives the same
// interface a name that is not watched, it is published as a rename.
func (f *journalFeed) gone(p *Port, ev *Event) {
	if ev.Kind == netlinkraw.NewLink && string(ev.Name()) != p.Name && len(f.late) == 0 && !isOther(ev, p) {
		s := f.state.journalState(p, ev.Dump)
		if !s.Present && f.source.Renamed(p.Name, ev.Name(), &s) {
			return
		}
	}
	f.port(p, "", ev.Dump)
}

// isOther reports whether a message cannot be about the interface that p had, although the ifindex is
// the same. That interface was then deleted, the message about its deletion was lost, and another
// interface was created with its ifindex. The kernel never decreases the carrier counts of an
// interface.
func isOther(ev *Event, p *Port) bool {
	return ev.Counted && (ev.CarrierUp < p.CarrierUp || ev.CarrierDown < p.CarrierDown)
}

// port publishes the state of a port. If other states are queued, this one is queued after them.
func (f *journalFeed) port(p *Port, former string, dump bool) {
	if len(f.late) == 0 {
		s := f.state.journalState(p, dump)
		if f.source.Port(p.Name, former, &s) {
			return
		}
	}
	if _, waits := f.formers[p.Name]; !waits {
		f.late = append(f.late, p.Name)
		f.formers[p.Name] = former
	}
}

// syncedOnce publishes the end of the initial dump, before the states of later messages: an interface
// that is reported after it was created later.
func (f *journalFeed) syncedOnce() {
	f.synced = f.source != nil
	f.publishSynced()
}

// publishSynced publishes the end of the initial dump, if it is due, after the queued states.
func (f *journalFeed) publishSynced() {
	if f.synced && len(f.late) == 0 {
		f.synced = !f.source.Synced(f.clock.now())
	}
}

// flush publishes the queued states and wakes the journal.
func (f *journalFeed) flush() {
	if f.source == nil {
		return
	}
	f.publishLate()
	f.publishSynced()
	f.source.Flush()
}

// publishLate publishes queued states while the journal has room.
func (f *journalFeed) publishLate() {
	n := 0
	for _, name := range f.late {
		s := journal.PortState{At: f.clock.now()}
		if p := f.state.ports[name]; p != nil {
			s = f.state.journalState(p, false)
		}
		if !f.source.Port(name, f.formers[name], &s) {
			break
		}
		delete(f.formers, name)
		n++
	}
	if f.late = f.late[n:]; len(f.late) == 0 {
		f.late = nil
	}
}

// journalState returns the state of a port for the journal.
func (s *State) journalState(p *Port, dump bool) journal.PortState {
	l := s.links[p.Index]
	if l == nil || p.Index == 0 {
		return journal.PortState{At: p.ChangedAt, Dump: dump}
	}
	return journal.PortState{At: p.ChangedAt, Dump: dump, Present: true, Counted: l.counted, LinkState: p.LinkState}
}

// addEvent adds a daemon event to the journal, if there is one.
func (b *base) addEvent(e journal.Event) {
	if b.Journal != nil {
		b.Journal.Add(e)
	}
}

// inWords returns a description of the resync reason for use in events and pages.
func (r Reason) inWords() string {
	return [numReasons]string{"start of the daemon", "the kernel dropped link messages",
		"links changed during the dump", "the kernel ended the dump with an error", "the dump did not end in time",
		"reconnected to the databases", "a database was flushed"}[r]
}
