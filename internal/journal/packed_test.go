package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestPacked checks that packed events are restored as they were, that a list drops the oldest
// first, and that it reuses its memory.
func TestPacked(t *testing.T) {
	changed := full()
	changed.Time = time.Date(1970, 1, 1, 0, 0, 0, int(time.Millisecond), time.UTC)
	changed.Port, changed.Reason, changed.Index = "\xff\x00", "", 1<<31-1
	want := []Event{full(), {Time: now, Seq: 1<<64 - 1, Kind: Start, Boot: boot}, changed}
	var p packed
	var u unpacker
	for round := range 100 {
		for i := range want {
			p.add(packEvent(nil, &want[i]))
		}
		i := 0
		p.each(func(event []byte) {
			if got := u.event(event); got != want[i] || seqOf(event) != want[i].Seq || string(portOf(event)) != want[i].Port {
				t.Errorf("round %d: restored %+v, want %+v", round, got, want[i])
			}
			i++
		})
		if i != len(want) || p.n != len(want) {
			t.Fatalf("round %d: %d events, count %d; want %d", round, i, p.n, len(want))
		}
		for i := range want {
			if got := seqOf(p.oldest()); got != want[i].Seq {
				t.Errorf("round %d: the oldest event is %d, want %d", round, got, want[i].Seq)
			}
			p.drop()
		}
	}
	if cap(p.text) > 2048 {
		t.Errorf("%d bytes for 3 events, want at most 2048", cap(p.text))
	}
	long := Event{Time: now, Kind: Reload, Reason: strings.Repeat("x", maxReason+1)}
	if got := u.event(packEvent(nil, &long)); got.Reason != long.Reason[:maxReason] {
		t.Errorf("a reason of %d bytes has %d, want %d", len(long.Reason), len(got.Reason), maxReason)
	}
}

// TestLoadMemory starts a journal with files of 10 MB. Loading them must need little more memory
// than the events that the journal keeps, and adding events to a full memory none.
func TestLoadMemory(t *testing.T) {
	const size, ports = 10 << 20, 512
	o := options(t.TempDir())
	var text []byte
	for seq := uint64(1); len(text) < size; seq++ {
		e := Event{Time: now.Add(time.Duration(seq) * time.Second), Seq: seq, Kind: LinkDown, Port: fmt.Sprintf("Ethernet%d", seq%ports*4),
			Flaps: 1, After: time.Hour, Index: 61, Admin: Up, Oper: Down, MTU: 9100, CarrierUp: 3, CarrierDown: uint32(seq)}
		if seq%20 == 0 {
			e = Event{Time: e.Time, Seq: seq, Kind: Health, Old: "healthy", New: "degraded", Reason: fmt.Sprintf("restart_storm: %d starts", seq)}
		}
		text = append(e.AppendJSON(text), '\n')
	}
	if err := os.WriteFile(filepath.Join(o.Dir, FileName), text, 0o644); err != nil {
		t.Fatal(err)
	}
	text = nil
	runtime.GC()
	j := New(o)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	j.load()
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("loading allocates %d KiB, of which %d KiB are kept", allocated>>10, kept>>10)
	if j.memory.n != maxEvents {
		t.Errorf("%d events in memory, want %d", j.memory.n, maxEvents)
	}
	if allocated > 1<<20 {
		t.Errorf("loading %d MiB allocates %d KiB, want at most 1024", size>>20, allocated>>10)
	}
	e := Event{Time: now, Seq: j.seq, Kind: LinkUp, Port: "Ethernet0", CarrierUp: 1}
	if n := testing.AllocsPerRun(10_000, func() { e.Seq++; j.memory.add(&e) }); n != 0 {
		t.Errorf("%v allocations for an event, want 0", n)
	}
	runtime.KeepAlive(j)
}

// TestPortSize checks that the state of a port without merged events is small. A switch has hundreds of
// ports.
func TestPortSize(t *testing.T) {
	if size := reflect.TypeFor[port]().Size(); size > 160 {
		t.Errorf("%d bytes, want at most 160", size)
	}
}
