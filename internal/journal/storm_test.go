package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
		const names = 40_000
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
		time.Sleep(time.Minute)
		synctest.Wait()
		most := totalBurst + uint64(time.Since(f.base)/totalRefill) + 1
		if n := f.Query(&Filter{Limit: 1}, time.Time{}).LastSeq; n > most {
			t.Errorf("%d events a minute after the storm, want at most %d", n, most)
		}
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

// TestDay checks how much a day of flaps writes: one port that flaps each minute, and a storm of 16
// ports of which each flaps each ten seconds.
func TestDay(t *testing.T) {
	for _, c := range []struct {
		name  string
		ports int
		every time.Duration
		most  int64
	}{
		{"one flap each minute", 1, time.Minute, 600_000},
		{"storm of 16 ports", 16, 10 * time.Second, 1_000_000},
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
				info, err := os.Stat(filepath.Join(o.Dir, FileName))
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
