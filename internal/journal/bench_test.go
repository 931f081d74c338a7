package journal

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestNoAllocations checks that publishing the state of a port allocates no memory, with room in
// the ring and without.
func TestNoAllocations(t *testing.T) {
	j := New(options(""))
	s := up(1, 0)
	publish := func() {
		j.Source().Port("Ethernet0", "", &s)
		j.Source().Flush()
	}
	if n := testing.AllocsPerRun(100, publish); n != 0 {
		t.Errorf("%v allocations for each state, want 0", n)
	}
	for j.Source().Port("Ethernet0", "", &s) {
	}
	if n := testing.AllocsPerRun(100, publish); n != 0 {
		t.Errorf("%v allocations for each state that finds no room, want 0", n)
	}
}

// BenchmarkPublish measures what the event loop does for each state.
func BenchmarkPublish(b *testing.B) {
	j := New(options(""))
	s := up(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		if !j.Source().Port("Ethernet128", "", &s) {
			b.Fatal("no room")
		}
		j.Source().Flush()
		j.source.ring.Peek()
		j.source.ring.Pop()
	}
}

// BenchmarkWriter measures what the writer does for each state, without the disk: a state that
// leads to an event of its own, and one of a storm, which is merged.
func BenchmarkWriter(b *testing.B) {
	for name, every := range map[string]time.Duration{"event": time.Minute, "storm": time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			o := options(b.TempDir())
			o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
			j := New(o)
			j.ports.synced = true
			at, downs := int64(0), uint32(0)
			var r record
			r.nameLen = uint8(copy(r.name[:], "Ethernet0"))
			b.ReportAllocs()
			for b.Loop() {
				at += int64(every)
				downs++
				r.PortState = up(downs+1, downs)
				r.At = at
				j.takePort(&r)
				j.closeStreams(at, false)
				if j.store.events > flushEvents {
					j.store.pending, j.store.events = j.store.pending[:0], 0
				}
			}
		})
	}
}

// BenchmarkRead100MB measures reading 100 MB of events: those of the last 24 hours of a month, all
// of them, and those of one port.
func BenchmarkRead100MB(b *testing.B) {
	dir := b.TempDir()
	const size = 100 << 20
	file, err := os.Create(filepath.Join(dir, FileName))
	if err != nil {
		b.Fatal(err)
	}
	var text []byte
	written, seq := 0, uint64(0)
	for written < size {
		seq++
		e := Event{Time: now.Add(time.Duration(seq) * 4400 * time.Millisecond), Seq: seq, Kind: LinkDown, Port: fmt.Sprintf("Ethernet%d", seq%64*4),
			Flaps: 1, After: 11220 * time.Second, Index: 61, Admin: Up, Oper: Down, MTU: 9100, CarrierUp: 3, CarrierDown: 3}
		if text = append(e.AppendJSON(text), '\n'); len(text) > 1<<20 {
			n, err := file.Write(text)
			if err != nil {
				b.Fatal(err)
			}
			written += n
			text = text[:0]
		}
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	last := now.Add(time.Duration(seq) * 4400 * time.Millisecond)
	for _, c := range []struct {
		name string
		f    Filter
	}{
		{"24h", Filter{Since: last.Add(-24 * time.Hour)}},
		{"all", Filter{}},
		{"port", Filter{Ports: []string{"Ethernet48"}}},
		{"newest1000", Filter{Limit: 1000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			events := 0
			for b.Loop() {
				stats, err := Read(dir, &c.f, func(*Event) error { return nil })
				if err != nil {
					b.Fatal(err)
				}
				events = stats.Events
			}
			b.ReportMetric(float64(events), "events")
		})
	}
}
