package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/snapshot"
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
	return Options{Dir: dir, BootID: boot, Base: time.Now(), Settings: Settings{Retention: 30 * 24 * time.Hour, MaxFileSize: 1 << 20}}
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
	time.Sleep(gatherFor + time.Millisecond)
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
	return PortState{Present: true, Admin: true, Oper: true, Counted: true, Index: 7, MTU: 9100, CarrierUp: ups, CarrierDown: downs}
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
5 link_up Ethernet0 flaps=1 link up after 1s down
6 admin_down Ethernet0 flaps=0 admin down
7 mtu Ethernet0 flaps=0 MTU 9100 to 1500
8 deleted Ethernet0 flaps=0 deleted: another interface took its place
9 created Ethernet0 flaps=0 created, admin down, link up, MTU 1500
10 deleted Ethernet0 flaps=0 deleted
`)
		if e := f.Query(&Filter{Kinds: []Kind{LinkDown}}, time.Time{}).Events[0]; !e.Time.Equal(millis(at)) {
			t.Errorf("link_down at %v, want %v", e.Time, millis(at))
		}
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

// TestFlapsAreExact checks that the sum of flaps is the kernel's count when a storm fills the ring,
// states are skipped and events are merged, and that the last event has the final state.
func TestFlapsAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, options(""))
		defer f.stop()
		f.synced()
		f.port("Ethernet0", up(1, 0))
		const flaps = 20_000
		skipped := 0
		for i := range flaps {
			for _, s := range []PortState{down(1+uint32(i), 1+uint32(i)), up(2+uint32(i), 1+uint32(i))} {
				s.At = f.now()
				if i%7 == 3 || !f.Source().Port("Ethernet0", "", &s) {
					skipped++
				}
			}
			if i%100 == 99 {
				time.Sleep(50 * time.Millisecond)
				f.Source().Flush()
			}
		}
		s := up(1+flaps, flaps)
		f.port("Ethernet0", s)
		time.Sleep(time.Hour)
		events := f.Query(&Filter{}, time.Time{}).Events
		sum, last := uint64(0), events[len(events)-1]
		for _, e := range events {
			sum += e.Flaps
		}
		if sum != flaps || skipped == 0 {
			t.Errorf("flaps %d, %d states skipped; want %d, some skipped", sum, skipped, flaps)
		}
		if last.Oper != Up || last.CarrierDown != flaps || last.Kind != Flapping {
			t.Errorf("last event is %+v, want flapping, now up", last)
		}
		if len(events) > 2*streamBurst {
			t.Errorf("%d events, want at most %d", len(events), 2*streamBurst)
		}
		if first := events[streamBurst].Text(); !strings.HasPrefix(first, "flapped ") || !strings.HasSuffix(first, ", now up") {
			t.Errorf("merged event says %q", first)
		}
	})
}

// TestMergedPeriods checks that a port that flaps for a day leads to merged events of ten minutes,
// and that the port has events of its own again after it was quiet.
func TestMergedPeriods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, options(""))
		defer f.stop()
		f.synced()
		f.port("Ethernet0", up(1, 0))
		downs := uint32(0)
		for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); {
			downs++
			f.port("Ethernet0", down(downs, downs))
			time.Sleep(3 * time.Second)
			f.port("Ethernet0", up(downs+1, downs))
			time.Sleep(3 * time.Second)
		}
		time.Sleep(time.Hour)
		events := f.Query(&Filter{}, time.Time{}).Events
		if n := len(events); n < 140 || n > 200 {
			t.Errorf("%d events in a day, want about 165", n)
		}
		f.port("Ethernet0", down(downs+1, downs+1))
		got := f.texts(Filter{After: events[len(events)-1].Seq})
		if !strings.Contains(got, "link_down Ethernet0 flaps=1 link down after 1h") {
			t.Errorf("after the storm: %q, want one link_down", got)
		}
	})
}

// TestOtherChangesMerge checks that a port whose MTU changes all the time leads to an event of kind
// merged, and one that also flaps to one that names the other changes.
func TestOtherChangesMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, options(""))
		defer f.stop()
		f.synced()
		f.port("Ethernet0", up(1, 0))
		f.port("Ethernet4", up(1, 0))
		for i := range 100 {
			s := up(1, 0)
			s.MTU = 9100 + uint32(i+1)%2
			f.port("Ethernet0", s)
			s = up(1+uint32(i), uint32(i))
			s.MTU = 1500 + uint32(i)%2
			f.port("Ethernet4", s)
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		got := f.texts(Filter{Kinds: []Kind{Merged, Flapping}})
		for _, part := range []string{"merged Ethernet0 flaps=0 changed 81 times in 4s, now admin up, link up, MTU 9100: also changed: MTU 81",
			"flapping Ethernet4 flaps="} {
			if !strings.Contains(got, part) {
				t.Errorf("events\n%swant one with %q", got, part)
			}
		}
	})
}

// TestManyNames checks that names that come and go do not fill memory, and that the events that are
// not recorded are counted.
func TestManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		o.MaxFileSize = 64 << 20
		f := start(t, o)
		f.synced()
		const names = 60_000
		for i := range names {
			s := up(1, 0)
			s.At = f.now()
			name := fmt.Sprintf("Ethernet%d", i)
			f.Source().Port(name, "", &s)
			s = PortState{At: f.now()}
			f.Source().Port(name, "", &s)
			if i%1000 == 0 {
				f.Source().Flush()
				time.Sleep(30 * time.Millisecond)
			}
		}
		f.Source().Flush()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := len(f.ports.byName); n > maxPorts {
			t.Errorf("the writer keeps %d names, want at most %d", n, maxPorts)
		}
		if n := len(f.memory.recent); n > maxRecentPorts {
			t.Errorf("memory has events of %d ports, want at most %d", n, maxRecentPorts)
		}
		if n := len(f.open); n != 0 {
			t.Errorf("%d streams merge after a day of quiet, want 0", n)
		}
		f.stop()
		dropped, events := uint64(0), 0
		Read(o.Dir, &Filter{}, func(e *Event) error {
			events++
			if e.Kind == Dropped {
				dropped += e.Count
			}
			return nil
		})
		if dropped == 0 || events < totalBurst || events > totalBurst+maxPorts+100 {
			t.Errorf("%d events of %d are missing, %d are in the file", dropped, 2*names, events)
		}
	})
}

// TestRestart checks that a journal continues its numbers after a restart, and records what changed
// in the meantime: of a port that flapped, of one that disappeared, and nothing of one that did not
// change.
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
		f.Add(Event{Kind: Start, Reason: "second"})
		time.Sleep(time.Second)
		f.port("Ethernet0", up(3, 2))
		f.port("Ethernet4", up(1, 0))
		f.synced()
		want(t, "events after the restart", f.texts(Filter{After: 4}), `5 start  flaps=0 start: second
6 flapping Ethernet0 flaps=2 flapped 2 times, now up: found at the start; the change happened while the daemon was not running
7 deleted Ethernet12 flaps=0 deleted: found at the start; the change happened while the daemon was not running
8 deleted Ethernet8 flaps=0 deleted: found at the start; the change happened while the daemon was not running
`)
		want(t, "events before the restart", f.texts(Filter{Until: o.Base.Add(-time.Second), Limit: 2}), `3 created Ethernet4 flaps=0 created, admin up, link up, MTU 9100
4 created Ethernet8 flaps=0 created, admin up, link up, MTU 9100
`)
		f.stop()
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
		o.Base, o.BootID = time.Now(), "other"
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
		if !strings.Contains(got, "events are missing: too many events of the daemon at once") {
			t.Errorf("dropped: %q", got)
		}
	})
}

// TestStopWritesAll checks that the end of Run writes what is pending, merged events included.
func TestStopWritesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		f := start(t, o)
		f.synced()
		for i := range uint32(30) {
			f.port("Ethernet0", up(i+1, i))
		}
		f.Add(Event{Kind: Stop, Reason: "terminated"})
		f.stop()
		var events []Event
		stats, err := Read(o.Dir, &Filter{}, func(e *Event) error { events = append(events, *e); return nil })
		sum := uint64(0)
		for _, e := range events {
			sum += e.Flaps
		}
		if err != nil || sum != 29 || stats.Events != streamBurst+2 || stats.Damaged != 0 {
			t.Errorf("read %d flaps, %+v, %v; want 29 flaps", sum, stats, err)
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

// failingFS fails all writes while err is set.
type failingFS struct {
	snapshot.FS
	mu  sync.Mutex
	err error
}

func (f *failingFS) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failingFS) Open(path string, flags int, mode os.FileMode) (snapshot.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil && flags&os.O_APPEND != 0 {
		return nil, &os.PathError{Op: "open", Path: path, Err: f.err}
	}
	return f.FS.Open(path, flags, mode)
}

// TestDiskFails checks that events wait while the disk fails, that the fault is logged and reported
// once, and that all events are written afterwards.
func TestDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var troubles []string
		disk := &failingFS{FS: snapshot.OS, err: os.ErrPermission}
		o := options(t.TempDir())
		o.FS, o.Log = disk, slog.New(slog.NewTextHandler(&log, nil))
		o.Troubled = func(s string) { troubles = append(troubles, s) }
		f := start(t, o)
		for range 5 {
			f.Add(Event{Kind: Reload})
			time.Sleep(2 * time.Minute)
		}
		if got := f.texts(Filter{}); strings.Count(got, "\n") != 5 {
			t.Errorf("memory has %q, want 5 events", got)
		}
		disk.set(nil)
		time.Sleep(2 * time.Minute)
		f.stop()
		n := 0
		if _, err := Read(o.Dir, &Filter{}, func(*Event) error { n++; return nil }); err != nil || n != 5 {
			t.Errorf("%d events in the file, %v; want 5", n, err)
		}
		if len(troubles) != 2 || !strings.Contains(troubles[0], "permission denied") || troubles[1] != "" {
			t.Errorf("troubles %q, want one and its end", troubles)
		}
		if got := strings.Count(log.String(), "cannot write events"); got != 1 {
			t.Errorf("the fault is logged %d times, want once:\n%s", got, log.String())
		}
	})
}

// TestSecondDaemon checks that a journal writes nothing into a directory that another one has
// locked, says so, and writes when the other one has ended, with numbers after those of the other.
func TestSecondDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		o.Lock = &snapshot.DirLock{Path: o.Dir}
		first := start(t, o)
		first.Add(Event{Kind: Reload, Reason: "first"})
		time.Sleep(5 * time.Second)

		var trouble atomic.Value
		other := o
		other.Lock = &snapshot.DirLock{Path: o.Dir}
		other.Troubled = func(s string) { trouble.Store(s) }
		second := start(t, other)
		second.Add(Event{Kind: Reload, Reason: "refused"})
		time.Sleep(5 * time.Second)
		if got := trouble.Load().(string); !strings.Contains(got, "another process uses the directory") {
			t.Errorf("trouble %q, want that another process uses the directory", got)
		}
		for range 3 {
			first.Add(Event{Kind: Reload, Reason: "first"})
			time.Sleep(time.Minute)
		}
		first.stop()
		o.Lock.Release()
		time.Sleep(2 * time.Minute)
		if got := trouble.Load().(string); got != "" {
			t.Errorf("trouble %q after the other one has ended", got)
		}
		second.Add(Event{Kind: Reload, Reason: "second"})
		second.stop()
		var got []string
		Read(o.Dir, &Filter{}, func(e *Event) error { got = append(got, fmt.Sprint(e.Seq, e.Reason)); return nil })
		if s := strings.Join(got, " "); s != "1first 2first 3first 4first 5second" {
			t.Errorf("the file has %s", s)
		}
		other.Lock.Release()
	})
}

// TestRotation checks that files are rotated by size and that the earlier ones have no more bytes
// together than one file may have.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t.TempDir())
		o.MaxFileSize = 4 << 10
		f := start(t, o)
		for range 500 {
			f.Add(Event{Kind: Reload, Reason: strings.Repeat("x", 100)})
			time.Sleep(time.Minute)
		}
		f.stop()
		names, err := filepath.Glob(filepath.Join(o.Dir, "events-*.jsonl"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no earlier file, %v", err)
		}
		sum := int64(0)
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			sum += info.Size()
		}
		if sum > o.MaxFileSize {
			t.Errorf("earlier files have %d bytes, want at most %d", sum, o.MaxFileSize)
		}
	})
}

// TestDay checks how much a day of flaps writes: one port that flaps each minute, and a storm of 64
// ports of which each flaps each ten seconds.
func TestDay(t *testing.T) {
	for _, c := range []struct {
		name  string
		ports int
		every time.Duration
		most  int64
	}{
		{"one flap each minute", 1, time.Minute, 600_000},
		{"storm of 64 ports", 64, 10 * time.Second, 4_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options(t.TempDir())
				o.MaxFileSize = 64 << 20
				f := start(t, o)
				f.synced()
				downs := uint32(0)
				for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); downs++ {
					for _, s := range []PortState{up(downs+1, downs), down(downs+1, downs+1)} {
						for i := range c.ports {
							f.port(fmt.Sprintf("Ethernet%d", 4*i), s)
						}
						time.Sleep(c.every / 2)
					}
				}
				f.stop()
				info, err := os.Stat(filepath.Join(o.Dir, fileName))
				if err != nil {
					t.Fatal(err)
				}
				sum := uint64(0)
				stats, _ := Read(o.Dir, &Filter{}, func(e *Event) error { sum += e.Flaps; return nil })
				t.Logf("%d flaps: %d events, %d bytes", sum, stats.Events, info.Size())
				if want := uint64(downs) * uint64(c.ports); sum != want || info.Size() > c.most {
					t.Errorf("%d flaps in %d bytes, want %d in at most %d", sum, info.Size(), want, c.most)
				}
			})
		})
	}
}
