package journal

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/netlinkraw"
)

const boot = "0b7f7f2e-0000-4000-8000-000000000001"

// fixture is a journal under test. Its time is that of the synctest bubble.
type fixture struct {
	*Journal
	t    *testing.T
	base time.Time
	stop func()
}

func options(dir string) Options {
	return Options{Dir: dir, BootID: func() string { return boot }, Base: time.Now(), Settings: Settings{Retention: 30 * 24 * time.Hour, MaxFileSize: 1 << 20}}
}

// start runs a journal until stop is called.
func start(t *testing.T, o Options) *fixture {
	j := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { j.Run(ctx); close(done) }()
	synctest.Wait()
	return &fixture{Journal: j, t: t, base: o.Base, stop: func() { cancel(); <-done }}
}

func (f *fixture) now() int64 { return int64(time.Since(f.base)) }

// port publishes the state of a port and waits for the writer.
func (f *fixture) port(name string, s PortState) {
	f.t.Helper()
	s.At = f.now()
	if !f.Source().Port(name, "", &s) {
		f.t.Fatal("the ring is full")
	}
	f.Source().Flush()
}

func (f *fixture) synced() {
	f.t.Helper()
	if !f.Source().Synced(f.now()) {
		f.t.Fatal("the ring is full")
	}
	f.Source().Flush()
}

// texts returns the events in memory that the filter selects, one in a line.
func (f *fixture) texts(filter Filter) string {
	time.Sleep(GatherFor + time.Millisecond)
	synctest.Wait()
	return describe(f.Query(&filter, time.Time{}).Events)
}

func describe(events []Event) string {
	var b strings.Builder
	for i := range events {
		e := &events[i]
		fmt.Fprintf(&b, "%d %s %s flaps=%d %s\n", e.Seq, e.Kind, e.Port, e.Flaps, e.Text())
	}
	return b.String()
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// up is an interface whose link is up.
func up(ups, downs uint32) PortState {
	return PortState{Present: true, Counted: true, LinkState: netlinkraw.LinkState{Admin: true, Oper: true, Index: 7, MTU: 9100, CarrierUp: ups, CarrierDown: downs}}
}

// down is an interface whose link is down.
func down(ups, downs uint32) PortState {
	s := up(ups, downs)
	s.Oper = false
	return s
}

// TestEventsOfPort checks which events a sequence of states leads to, and that the time and the
// duration of the state before are right.
func TestEventsOfPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, options(""))
		defer f.stop()
		f.synced()
		f.port("Ethernet0", down(0, 1))
		time.Sleep(time.Second)
		f.port("Ethernet0", up(1, 1))
		time.Sleep(90 * time.Second)
		at := time.Now()
		f.port("Ethernet0", down(1, 2))
		time.Sleep(time.Second)
		f.port("Ethernet0", down(4, 5)) // the messages in between were lost
		time.Sleep(time.Second)
		f.port("Ethernet0", up(6, 6))
		s := up(6, 6)
		s.MTU, s.Admin = 1500, false
		f.port("Ethernet0", s)
		s.Index = 8
		f.port("Ethernet0", s)
		f.port("Ethernet0", PortState{})
		f.port("Ethernet0", PortState{}) // nothing new
		want(t, "events", f.texts(Filter{}), `1 created Ethernet0 flaps=0 created, admin up, link down, MTU 9100
2 link_up Ethernet0 flaps=0 link up after 1s down
3 link_down Ethernet0 flaps=1 link down after 1m30s up
4 flapping Ethernet0 flaps=3 flapped 3 times, now down
5 link_up Ethernet0 flaps=1 link up, 1 link-down transition since the previous message
6 admin_down Ethernet0 flaps=0 admin down
7 mtu Ethernet0 flaps=0 MTU 9100 -> 1500
8 deleted Ethernet0 flaps=0 deleted: another interface took its place
9 created Ethernet0 flaps=0 created, admin down, link up, MTU 1500
10 deleted Ethernet0 flaps=0 deleted
`)
		if e := f.Query(&Filter{Kinds: []Kind{LinkDown}}, time.Time{}).Events[0]; !e.Time.Equal(millis(at)) {
			t.Errorf("link_down at %v, want %v", e.Time, millis(at))
		}
	})
}

// TestCarrierCounts checks the flaps of messages without counts (AF_BRIDGE), of drivers that have
// none, and of drivers that reset their counts, and that a change found in a list of all links says
// so.
func TestCarrierCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, options(""))
		defer f.stop()
		f.synced()
		without := func(s PortState) PortState {
			s.Counted, s.CarrierUp, s.CarrierDown = false, 0, 0
			return s
		}
		f.port("Ethernet0", up(5, 4))
		f.port("Ethernet0", without(up(0, 0)))
		f.port("Ethernet0", down(5, 6)) // two more than in the message before the last
		f.port("Ethernet0", down(0, 0)) // reset
		f.port("Ethernet0", down(1, 1))
		f.port("Ethernet4", without(up(0, 0)))
		f.port("Ethernet4", without(down(0, 0)))
		s := without(up(0, 0))
		s.Dump = true
		f.port("Ethernet4", s)
		want(t, "events", f.texts(Filter{}), `1 created Ethernet0 flaps=0 created, admin up, link up, MTU 9100
2 link_down Ethernet0 flaps=2 link down, 2 link-down transitions since the previous message
3 flapping Ethernet0 flaps=1 flapped once, now down
4 created Ethernet4 flaps=0 created, admin up, link up, MTU 9100
5 link_down Ethernet4 flaps=1 link down
6 link_up Ethernet4 flaps=0 link up: found by a resync; the change may have happened earlier
`)
	})
}

// TestRename checks that a renamed interface keeps its state under the new name.
func TestRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, options(""))
		defer f.stop()
		f.synced()
		f.port("Ethernet0", up(1, 0))
		s := down(1, 1)
		s.At = f.now()
		f.Source().Port("Ethernet4", "Ethernet0", &s)
		f.port("Ethernet0", PortState{}) // as the deletion of its row
		want(t, "events", f.texts(Filter{}), `1 created Ethernet0 flaps=0 created, admin up, link up, MTU 9100
2 renamed Ethernet4 flaps=0 renamed from Ethernet0
3 link_down Ethernet4 flaps=1 link down
`)
		if got := f.Query(&Filter{Ports: []string{"Ethernet0"}}, time.Time{}).Events; len(got) != 2 {
			t.Errorf("the former name has %d events, want created and renamed", len(got))
		}
	})
}

// TestRenamedAway checks that an interface that gets a name which is not watched is recorded as renamed
// and not as deleted, with its last counts, and that the port has no interface afterwards, also after
// a restart of the daemon.
func TestRenamedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, options(""))
		defer f.stop()
		f.synced()
		f.port("Ethernet0", up(3, 2))
		s := PortState{At: f.now()}
		f.Source().Renamed("Ethernet0", []byte("eth7"), &s)
		f.Source().Renamed("Ethernet0", []byte("eth8"), &s) // no news
		f.Source().Flush()
		f.port("Ethernet0", up(3, 2))
		want(t, "events", f.texts(Filter{}), `1 created Ethernet0 flaps=0 created, admin up, link up, MTU 9100
2 renamed Ethernet0 flaps=0 renamed to eth7
3 created Ethernet0 flaps=0 created, admin up, link up, MTU 9100
`)
		e := f.Query(&Filter{Kinds: []Kind{Renamed}}, time.Time{}).Events[0]
		if e.Old != "Ethernet0" || e.New != "eth7" || e.CarrierUp != 3 || e.CarrierDown != 2 || e.Admin != Unknown {
			t.Errorf("%+v", e)
		}
		states := map[string]PortState{"Ethernet0": up(3, 2)}
		if replay(states, &e); states["Ethernet0"].Present || len(states) != 1 {
			t.Errorf("after the event the states are %+v", states)
		}
	})
}

// TestRestart checks that a journal continues its numbers after a restart, and records what changed
// in the meantime: of ports that flapped, as a message or the dump shows, of ports that disappeared, of
// one that a message deletes, and nothing of one that did not change.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		f := start(t, o)
		f.Add(Event{Kind: Start, Reason: "first"})
		time.Sleep(time.Second)
		f.synced()
		for _, name := range []string{"Ethernet0", "Ethernet4", "Ethernet8"} {
			f.port(name, up(1, 0))
		}
		time.Sleep(time.Second)
		f.stop()

		o.Base = time.Now()
		f = start(t, o)
		f.Restore("Ethernet12", up(1, 0))
		f.Restore("Ethernet16", up(1, 0))
		f.Restore("Ethernet20", up(1, 0))
		f.Add(Event{Kind: Start, Reason: "second"})
		time.Sleep(time.Second)
		message, dumped := up(3, 2), up(2, 1)
		dumped.Dump = true
		f.port("Ethernet0", message)
		f.port("Ethernet4", dumped)
		f.port("Ethernet16", PortState{})
		f.port("Ethernet20", up(1, 0))
		f.synced()
		want(t, "events after the restart", f.texts(Filter{After: 4}), `5 start  flaps=0 start: second
6 flapping Ethernet0 flaps=2 flapped 2 times, now up: found at the start; the change may have happened while the daemon was not running
7 flapping Ethernet4 flaps=1 flapped once, now up: found at the start; the change happened while the daemon was not running or not yet in sync
8 deleted Ethernet16 flaps=0 deleted
9 deleted Ethernet12 flaps=0 deleted: found at the start; deleted while the daemon was not running, or ignored by a cold start
10 deleted Ethernet8 flaps=0 deleted: found at the start; deleted while the daemon was not running, or ignored by a cold start
`)
		want(t, "events before the restart", f.texts(Filter{Until: o.Base.Add(-time.Second), Limit: 2}), `3 created Ethernet4 flaps=0 created, admin up, link up, MTU 9100
4 created Ethernet8 flaps=0 created, admin up, link up, MTU 9100
`)
		f.stop()
	})
}

// TestOlderEventsInFiles checks that memory does not claim to have all events after a restart that
// read only a part of the files.
func TestOlderEventsInFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			size int
			want bool
		}{{100, true}, {loadBytes + 1000, false}} {
			o := options(t.TempDir())
			o.MaxFileSize = 2 * loadBytes
			f := start(t, o)
			for n := 0; n < c.size; n += maxReason {
				f.Add(Event{Kind: Reload, Reason: strings.Repeat("x", maxReason)})
				time.Sleep(streamRefill)
			}
			f.stop()
			o.Base = time.Now()
			f = start(t, o)
			if d := f.Query(&Filter{}, time.Time{}); d.Complete != c.want || len(d.Events) == 0 {
				t.Errorf("%d bytes: complete %t with %d events, want %t", c.size, d.Complete, len(d.Events), c.want)
			}
			f.stop()
		}
	})
}

// TestReboot checks that the states of another boot are not compared with the present ones.
func TestReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		f := start(t, o)
		f.Add(Event{Kind: Start})
		f.synced()
		f.port("Ethernet0", up(1, 0))
		f.stop()
		o.Base, o.BootID = time.Now(), func() string { return "other" }
		f = start(t, o)
		f.Add(Event{Kind: Start})
		f.synced()
		want(t, "events after the reboot", f.texts(Filter{After: 2}), "3 start  flaps=0 start\n")
		f.stop()
	})
}

// TestDaemonEvents checks that events of the daemon and of ports are recorded in the order of their
// times, that repeated ones are merged, and that too many at once are counted.
func TestDaemonEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, options(""))
		defer f.stop()
		f.synced()
		f.Add(Event{Kind: RedisLost, Reason: "EOF"})
		time.Sleep(time.Millisecond)
		f.port("Ethernet0", up(1, 0))
		time.Sleep(time.Millisecond)
		f.Add(Event{Kind: RedisConnected})
		want(t, "events", f.texts(Filter{}), `1 redis_lost  flaps=0 redis lost: EOF
2 created Ethernet0 flaps=0 created, admin up, link up, MTU 9100
3 redis_connected  flaps=0 redis connected
`)
		for range 100 {
			f.Add(Event{Kind: Overrun})
			time.Sleep(25 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		want(t, "merged events", f.texts(Filter{Kinds: []Kind{Overrun}, After: 3 + streamBurst}), "24 overrun  flaps=0 overrun 80 times in 2s\n")
		for range daemonQueue + 10 { // the writer does not run meanwhile
			f.Add(Event{Kind: Reload})
		}
		got := f.texts(Filter{Kinds: []Kind{Dropped}})
		if !strings.Contains(got, "events are missing: too many daemon events at once") {
			t.Errorf("dropped: %q", got)
		}
	})
}

// TestClock checks that a clock that is set forward and back is recorded, and that the times of
// later events follow it.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		offset := time.Duration(0)
		o := options("")
		o.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(offset)
		}
		f := start(t, o)
		defer f.stop()
		f.Add(Event{Kind: Start})
		time.Sleep(time.Minute)
		for _, step := range []time.Duration{24 * time.Hour, -time.Hour, 500 * time.Millisecond} {
			mu.Lock()
			offset += step
			mu.Unlock()
			f.Add(Event{Kind: Reload})
			time.Sleep(time.Minute)
		}
		want(t, "events", f.texts(Filter{}), `1 start  flaps=0 start
2 clock  flaps=0 clock: set forward by 24h0m0s
3 reload  flaps=0 reload
4 clock  flaps=0 clock: set back by 1h0m0s
5 reload  flaps=0 reload
6 reload  flaps=0 reload
`)
		events := f.Query(&Filter{}, time.Time{}).Events
		if d := events[4].Time.Sub(events[2].Time); d != -59*time.Minute {
			t.Errorf("the event after the step back is %v later, want -59m", d)
		}
	})
}
