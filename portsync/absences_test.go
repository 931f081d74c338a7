package portsync

import (
	"testing"
	"time"
)

// TestFindMissing checks that a port becomes missing after MissingAfter and not earlier, and that only a
// change of the missing ports is reported.
func TestFindMissing(t *testing.T) {
	atRest(t, func(a *rig, now int64) {
		l := a.loop
		p := l.state.port([]byte("Ethernet0"))
		p.wasThere = true
		l.shown.absences = newAbsences(&l.base)
		l.shown.absences.find(now, l.initial.eoiu)
		l.shown.absences.update(p, lackInterface, now)
		steps := []struct {
			at      int64
			changed bool
			missing bool
		}{
			{now, false, false},
			{now + int64(missingAfter) - 1, false, false},
			{now + int64(missingAfter), true, true},
			{now + int64(missingAfter) + 1, false, true},
		}
		for _, s := range steps {
			if changed := l.shown.absences.find(s.at, l.initial.eoiu); changed != s.changed || (l.shown.absences.missing != nil) != s.missing {
				t.Errorf("after %v: changed %t, missing %v", time.Duration(s.at-now), changed, l.shown.absences.missing)
			}
		}
		if l.shown.absences.at != never {
			t.Errorf("next check at %d, want never", l.shown.absences.at)
		}
		l.shown.absences.update(p, lackInterface, now+5) // no change
		if l.shown.absences.find(now+int64(time.Hour), l.initial.eoiu) || l.shown.absences.ports[p].since != now {
			t.Errorf("an update without a change has an effect: %+v", l.shown.absences)
		}
		l.shown.absences.changed = true
		if l.shown.absences.find(now+int64(time.Hour), l.initial.eoiu) {
			t.Error("a change is reported although the same ports are missing")
		}
		if got := *l.shown.absences.missing; got != (missingPorts{gone: 1, goneNames: "Ethernet0"}) || got.count() != 1 {
			t.Errorf("missing: %+v", got)
		}
		// The interface of an earlier run has a minute to be created again.
		l.shown.absences.initDone = true
		l.state.initDone = true
		l.shown.absences.update(p, lackOld, now)
		for _, s := range []struct {
			at   int64
			want int
		}{{now + int64(lateAfter) - 1, 0}, {now + int64(lateAfter), 1}} {
			l.shown.absences.find(s.at, l.initial.eoiu)
			if got := l.shown.absences.missing; (got != nil) != (s.want > 0) || got != nil && *got != (missingPorts{old: 1, oldNames: "Ethernet0"}) {
				t.Errorf("with an interface of an earlier run, after %v: %+v", time.Duration(s.at-now), got)
			}
		}
		l.shown.absences.update(p, lackNothing, now)
		if !l.shown.absences.find(now+int64(time.Hour), l.initial.eoiu) || l.shown.absences.missing != nil {
			t.Errorf("after the interface was created: %+v", l.shown.absences)
		}
		l.shown.absences.changed = true
		if l.shown.absences.find(now+int64(time.Hour), l.initial.eoiu) {
			t.Error("a change is reported although no port is missing, as before")
		}
	})
}

// TestMissingFrom checks from when on a port without an interface counts as missing.
func TestMissingFrom(t *testing.T) {
	const since, expected = int64(100), int64(time.Hour)
	for name, c := range map[string]struct {
		eoiu, wasThere, initDone bool
		expectedBy               int64
		want                     int64
		why                      lack
	}{
		"before the initial dump":                             {false, true, true, 0, never, lackInterface},
		"existed":                                             {true, true, false, 0, since + int64(missingAfter), lackInterface},
		"existed, and is expected later":                      {true, true, true, expected, expected, lackInterface},
		"never existed, before PortInitDone":                  {true, false, false, 0, never, lackInterface},
		"never existed, after PortInitDone":                   {true, false, true, 0, since + int64(lateAfter), lackInterface},
		"never existed, and expected later":                   {true, false, true, expected, expected, lackInterface},
		"an interface of an earlier run, before PortInitDone": {true, true, false, 0, never, lackOld},
		"an interface of an earlier run, after PortInitDone":  {true, true, true, 0, since + int64(lateAfter), lackOld},
	} {
		l := newQuietLoop()
		l.shown.absences.synced, l.shown.absences.initDone = c.eoiu, c.initDone
		if got := l.shown.absences.missingFrom(&Port{wasThere: c.wasThere, expectedBy: c.expectedBy}, absence{since, c.why}); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestAbsentWithoutRow checks that a port whose interface was deleted before its row was written is absent,
// as if the row had been written, unless APPL_DB did not have the port.
func TestAbsentWithoutRow(t *testing.T) {
	for result, want := range map[Outcome]PortState{OutcomeAccepted: PortAbsent, OutcomeNotAccepted: PortPending} {
		l := newQuietLoop()
		p := l.state.port([]byte("Ethernet0"))
		p.Configured, p.Index = true, 3
		l.writes.add(Action{Kind: Publish, Port: p}, 1)
		p.Index = 0
		l.writes.add(Action{Kind: Delete, Port: p}, 2)
		if !p.Lookup() {
			t.Error("APPL_DB is not asked for a port whose write was replaced by a deletion")
		}
		was := p.pending
		was.result = result
		l.answered(p, was)
		if got := p.state(l.state.lackOf(p)); got != want {
			t.Errorf("outcome %d: %v, want %v", result, got, want)
		}
	}
}
