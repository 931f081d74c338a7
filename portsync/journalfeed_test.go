package portsync

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/netlinkraw"

	"golang.org/x/sys/unix"
)

// withJournal gives the rig a journal in memory whose initial dump is complete.
func (a *rig) withJournal() {
	l := a.loop
	l.Journal = journal.New(journal.Options{Base: l.clock.base})
	l.feed = newJournalFeed(&l.base)
	l.feed.syncedOnce()
	l.feed.flush()
}

// journaled runs the journal over what the loop has published, and returns its events in words.
func (a *rig) journaled() []string {
	a.t.Helper()
	a.loop.feed.flush()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a.loop.Journal.Run(ctx)
	var texts []string
	for _, e := range a.loop.Journal.Query(&journal.Filter{}, time.Time{}).Events {
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("%s %s %s %d", e.Port, e.Kind, e.Old, e.Flaps)))
	}
	return texts
}

// carrier adds a message about the link with ifindex 5. downs is its number of link-down transitions.
func (a *rig) carrier(name string, up bool, downs uint32, dump bool) {
	a.t.Helper()
	ev := Event{Kind: netlinkraw.NewLink, Index: 5, MTU: 9100, Flags: unix.IFF_UP, Counted: true,
		CarrierUp: downs, CarrierDown: downs, Dump: dump}
	if up {
		ev.Flags |= unix.IFF_RUNNING
	}
	ev.SetName([]byte(name))
	a.event(ev)
}

func (a *rig) wantJournaled(want ...string) {
	a.t.Helper()
	if got := a.journaled(); !slices.Equal(got, want) {
		a.t.Errorf("the journal has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestJournalOfPorts checks that the journal gets each change of a port once, that a rename is one
// event, and that a message without news adds none.
func TestJournalOfPorts(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4")
	a.withJournal()
	a.carrier("Ethernet0", true, 0, false)
	a.carrier("Ethernet0", true, 0, false)
	a.carrier("Ethernet0", false, 1, false)
	a.carrier("Ethernet0", true, 1, false)
	a.turn()
	a.carrier("Ethernet4", true, 1, false)
	a.turn()
	a.link(netlinkraw.DelLink, 5, "Ethernet4", 9100)
	a.turn()
	a.wantJournaled("Ethernet0 created  0", "Ethernet0 link_down  1", "Ethernet0 link_up  0",
		"Ethernet4 renamed Ethernet0 0", "Ethernet4 deleted  0")
	a.carrier("Ethernet0", true, 1, false)
	a.turn()
	a.carrier("eth7", true, 1, false)
	a.turn()
	a.carrier("Ethernet0", true, 1, false)
	a.turn()
	a.wantJournaled("Ethernet0 created  0", "Ethernet0 link_down  1", "Ethernet0 link_up  0",
		"Ethernet4 renamed Ethernet0 0", "Ethernet4 deleted  0",
		"Ethernet0 created  0", "Ethernet0 renamed Ethernet0 0", "Ethernet0 created  0")
}

// TestJournalAfterInitialDump checks that an interface that is created directly after the initial dump,
// so that the loop reads both in one turn, gets an event, and that one of the dump gets none.
func TestJournalAfterInitialDump(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4")
	l := a.loop
	l.Journal = journal.New(journal.Options{Base: l.clock.base})
	l.feed, l.initial.eoiu, l.state.synced = newJournalFeed(&l.base), false, false
	l.state.DumpRequested(9, false)
	a.event(Event{Kind: netlinkraw.DumpDone, Seq: 9})
	a.carrier("Ethernet0", true, 0, false)
	a.turn()
	a.wantJournaled("Ethernet0 created  0")
	if port := l.state.ports["Ethernet0"]; port.lastChange() == 0 {
		t.Error("the change of a port that was created after the initial dump is unknown")
	}
}

// TestJournalOfReusedIndex checks that an interface with the ifindex of a deleted one, whose deletion
// message was lost, is not published as a rename if its carrier counts are lower.
func TestJournalOfReusedIndex(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4")
	a.withJournal()
	a.carrier("Ethernet0", true, 3, false)
	a.turn()
	a.carrier("Ethernet4", true, 2, false)
	a.turn()
	a.carrier("eth7", true, 1, false)
	a.turn()
	a.wantJournaled("Ethernet0 created  0", "Ethernet0 deleted  0", "Ethernet4 created  0", "Ethernet4 deleted  0")
}

// TestJournalOfAudit checks that the journal gets the carrier counts that only the dump of an audit
// shows.
func TestJournalOfAudit(t *testing.T) {
	a := newRig(t, "Ethernet0")
	a.withJournal()
	a.carrier("Ethernet0", true, 0, false)
	a.turn()
	a.loop.state.DumpRequested(2, true)
	a.carrier("Ethernet0", true, 7, true)
	a.turn()
	a.wantJournaled("Ethernet0 created  0", "Ethernet0 flapping  7")
	a.want(`portsyncd_events_ignored_total{reason="known"}`, "1")
}

// TestJournalWithoutRoom checks that states for which the journal has no room are published later,
// in the order of the changes and with their former names.
func TestJournalWithoutRoom(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4")
	a.withJournal()
	a.carrier("Ethernet0", true, 0, false)
	a.turn()
	filler := journal.PortState{}
	for a.loop.feed.source.Port("Ethernet8", "", &filler) {
	}
	a.carrier("Ethernet0", false, 1, false)
	a.carrier("Ethernet4", false, 1, false)
	a.carrier("Ethernet4", true, 1, false)
	a.turn()
	a.loop.feed.flush()
	if got := a.loop.feed.late; !slices.Equal(got, []string{"Ethernet0", "Ethernet4"}) {
		t.Fatalf("%q wait, want Ethernet0 and Ethernet4", got)
	}
	a.journaled() // makes room
	a.wantJournaled("Ethernet0 created  0", "Ethernet0 deleted  0", "Ethernet4 created  0")
	if len(a.loop.feed.formers) != 0 {
		t.Errorf("%v wait after there was room", a.loop.feed.formers)
	}
}

// TestJournalOfDaemon checks that the loop adds its own events to the journal.
func TestJournalOfDaemon(t *testing.T) {
	a := newRig(t, "Ethernet0")
	a.withJournal()
	a.event(Event{Kind: netlinkraw.Overrun})
	a.turn()
	a.setRow("Ethernet0", "1500") // no interface has it
	a.audit()
	a.loop.connected(&session{store: a.session.store, done: make(chan struct{})})
	a.wantJournaled("overrun  0", "resync  0", "repair  0", "redis_connected  0", "resync  0")
}
