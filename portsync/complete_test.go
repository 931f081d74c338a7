package portsync

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/netlinkraw"
)

// TestAbsentAfterRestart checks that a port that orchagent had set up before the start and that
// has no interface is absent and then missing, pending or not, once the initial dump is complete. A
// port that never had an interface is pending.
func TestAbsentAfterRestart(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4", "Ethernet8")
	l := a.loop
	l.handover.ports = []PortConfig{{Name: "Ethernet0", HasAdmin: true}, {Name: "Ethernet4", HasAdmin: true}, {Name: "Ethernet8"}}
	l.state.AddInitPending("Ethernet4")
	states := func() (all []string) {
		for _, p := range a.status.View(time.Now()).Ports {
			all = append(all, p.State)
		}
		return all
	}
	a.turn()
	if got, want := states(), []string{"pending", "pending", "pending"}; !slices.Equal(got, want) {
		t.Errorf("before the dump: %q, want %q", got, want)
	}
	l.initial.dumpCompleted(l.handover.ports)
	a.turn()
	if got, want := states(), []string{"absent", "absent", "pending"}; !slices.Equal(got, want) {
		t.Errorf("after the dump: %q, want %q", got, want)
	}
	l.MissingAfter = 0
	l.shown.absences.changed = true
	l.shown.absences.find(l.clock.now(), l.initial.eoiu)
	if got, want := l.shown.absences.missing, (&missingPorts{gone: 2, goneNames: "Ethernet0, Ethernet4"}); got == nil || *got != *want {
		t.Errorf("missing: %+v, want %+v", got, want)
	}
}

// TestChangeTime checks that the time of the last change is that of the message that changed a
// value of the port, or created or deleted its interface.
func TestChangeTime(t *testing.T) {
	s := NewState(nil)
	at := func(now int64, ev Event, want int64) {
		t.Helper()
		ev.At = now
		if _, err := s.Step(&ev, nil); err != nil {
			t.Fatal(err)
		}
		if got := s.ports["Ethernet0"].ChangedAt; got != want {
			t.Errorf("at %d: changed at %d, want %d", now, got, want)
		}
	}
	message := func(flags, mtu, up, downs uint32) Event {
		ev := linkEvent(netlinkraw.NewLink, 5, "Ethernet0", downs)
		ev.Flags, ev.MTU, ev.CarrierUp = flags, mtu, up
		return ev
	}
	s.Configure([]string{"Ethernet0"})
	at(10, message(0, 1500, 0, 0), 10)
	at(20, message(0, 1500, 0, 0), 10)
	at(30, message(unix.IFF_UP, 1500, 0, 0), 30)
	at(40, message(unix.IFF_UP|unix.IFF_RUNNING, 1500, 0, 0), 40)
	at(50, message(unix.IFF_UP|unix.IFF_RUNNING, 9100, 0, 0), 50)
	at(60, message(unix.IFF_UP|unix.IFF_RUNNING, 9100, 1, 0), 60)
	at(70, message(unix.IFF_UP|unix.IFF_RUNNING, 9100, 1, 1), 70)
	bridge := message(unix.IFF_UP|unix.IFF_RUNNING, 9100, 0, 0)
	bridge.Counted = false
	at(80, bridge, 70)
	at(90, linkEvent(netlinkraw.DelLink, 5, "Ethernet0", 1), 90)
	at(100, linkEvent(netlinkraw.NewLink, 6, "Ethernet0", 0), 100)
	at(110, linkEvent(netlinkraw.NewLink, 6, "eth6", 0), 110)
}

// TestPublicationIsComplete plays random histories and checks after each turn that Status shows
// what a publication of all ports from scratch would show.
func TestPublicationIsComplete(t *testing.T) {
	t.Parallel()
	names := []string{"Ethernet0", "Ethernet4", "Ethernet8", "Ethernet12", "eth1"}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		a := newRig(t, names[:2]...)
		l := a.loop
		for range 60 {
			for range r.IntN(4) {
				kind := netlinkraw.NewLink
				if r.IntN(4) == 0 {
					kind = netlinkraw.DelLink
				}
				ev := linkEvent(kind, int32(3+r.IntN(4)), names[r.IntN(len(names))], uint32(r.IntN(9)))
				ev.MTU, ev.Team, ev.Dump = 1500+uint32(r.IntN(3)), r.IntN(8) == 0, kind == netlinkraw.NewLink && r.IntN(3) == 0
				if r.IntN(3) == 0 {
					ev.Flags = unix.IFF_UP | unix.IFF_LOWER_UP // the kernel is asked again if it is of a dump
				}
				a.event(ev)
			}
			name := names[r.IntN(4)]
			switch r.IntN(14) {
			case 0:
				if a.db.Hash(lab.ApplDB, "PORT_TABLE:"+name) == nil {
					a.addAppl(name)
				} else {
					a.removeAppl(name)
				}
			case 1:
				a.spoilRow(name)
			case 2:
				a.removeRow(name)
			case 3:
				a.setRow(name, "9100")
			case 4:
				a.refuse(lab.OutOfMemory)
			case 5:
				a.refuse("")
				l.db.retryAt = 0
			case 6:
				l.state.Configure(names[r.IntN(2) : r.IntN(3)+2])
			case 7:
				a.audit()
			case 8:
				l.state.AddInitPending(name)
			case 9:
				l.recheckRows(0)
			case 10:
				l.db.session = nil
			case 11:
				if l.db.session == nil {
					l.db.session = a.session
				}
			case 12:
				l.state.unswept = true
			case 13:
				l.resume(ReasonFlush)
				l.handover.todo.markers = false
			}
			a.turn()
			a.comparePorts(seed)
		}
	}
}

// comparePorts compares what is shown with the state of each port.
func (a *rig) comparePorts(seed uint64) {
	a.t.Helper()
	l := a.loop
	present, shown := int64(0), 0
	for _, p := range l.state.ports {
		if p.isPresent() {
			present++
		}
		if p.visible() != (p.view != nil) || p.visible() != (p.series != nil) {
			a.t.Fatalf("seed %d: %s is shown: %t, want %t: %+v", seed, p.Name, p.view != nil, p.visible(), p)
		}
		if p.view == nil {
			continue
		}
		shown++
		if !slices.Contains(l.Status.ports.all(), p.view) {
			a.t.Fatalf("seed %d: %s is not listed", seed, p.Name)
		}
		is, want := p.view.read(l.clock, 0), &publishedPort{name: p.Name, flaps: p.view.flaps}
		why := l.state.lackOf(p)
		want.publish(p, why)
		if got := lack(p.view.lack.Load()); got != why {
			a.t.Fatalf("seed %d: %s: shown is %v, want %v: %+v", seed, p.Name, got, why, p)
		}
		if is, absent := l.shown.absences.ports[p]; absent != (p.Configured && (why == lackInterface || why == lackOld)) || absent && is.why != why {
			a.t.Fatalf("seed %d: %s counts as absent: %t: %+v", seed, p.Name, absent, p)
		}
		got, expected := fmt.Sprintf("%+v", is), fmt.Sprintf("%+v", want.read(l.clock, 0))
		if is.LastChange != nil {
			if want.changedAt.Load() != p.view.changedAt.Load() {
				a.t.Fatalf("seed %d: %s changed at %d, shown is %d", seed, p.Name, want.changedAt.Load(), p.view.changedAt.Load())
			}
			is.LastChange = nil
			w := want.read(l.clock, 0)
			w.LastChange = nil
			got, expected = fmt.Sprintf("%+v", is), fmt.Sprintf("%+v", w)
		}
		if got != expected {
			a.t.Fatalf("seed %d: shown is %s, want %s", seed, got, expected)
		}
		for i, m := range portMetrics {
			if got, want := p.series.of.columns[i].get(p.series.row), m.value(p, l.clock); got != want {
				a.t.Fatalf("seed %d: %s of %s is %v, want %v", seed, m.name, p.Name, got, want)
			}
		}
	}
	if n := len(l.Status.ports.all()); n != shown {
		a.t.Fatalf("seed %d: %d ports are listed, want %d", seed, n, shown)
	}
	if got := l.Status.present.Load(); got != present {
		a.t.Fatalf("seed %d: %d ports present, want %d", seed, got, present)
	}
	if got := l.Status.backlog.Load(); got != int64(l.writes.batch.Len()) {
		a.t.Fatalf("seed %d: the backlog is %d, want %d", seed, got, l.writes.batch.Len())
	}
}

// TestAnswerClocks checks that each answer of the databases counts as an answer, only a success as
// progress, and that a refusal is shown until the next success.
func TestAnswerClocks(t *testing.T) {
	for name, exchange := range map[string]func(a *rig){
		"a batch":      func(a *rig) { a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500); a.turn() },
		"a read":       func(a *rig) { a.loop.countRows(0) },
		"PortInitDone": func(a *rig) { a.loop.handover.todo.initDone = true; a.turn() },
	} {
		a := newRig(t, "Ethernet0")
		l := a.loop
		a.refuse(lab.OutOfMemory)
		l.db.answeredAt, l.db.progressAt = 0, 0
		exchange(a)
		refusal := a.loop.db.refusal
		if l.db.answeredAt == 0 || l.db.progressAt != 0 || refusal == nil {
			t.Errorf("%s is refused: answered at %d, progress at %d, refusal %v", name, l.db.answeredAt, l.db.progressAt, refusal)
		}
		a.refuse("")
		l.db.retryAt, l.db.answeredAt = 0, 0
		exchange(a)
		if l.db.answeredAt == 0 || l.db.progressAt == 0 || l.db.refusal != nil {
			t.Errorf("%s is done: answered at %d, progress at %d, refusal %v", name, l.db.answeredAt, l.db.progressAt, l.db.refusal)
		}
	}
}
