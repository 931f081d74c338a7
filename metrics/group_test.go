package metrics

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestCompareNatural checks the order of each pair of a sorted list.
func TestCompareNatural(t *testing.T) {
	sorted := []string{
		"", "0", "00", "01", "1", "2", "10", "99999999999999999999998", "99999999999999999999999",
		"Ethernet0", "Ethernet2", "Ethernet10", "Ethernet10_1", "Ethernet10_2", "Ethernet10_11",
		"Ethernet10a", "EthernetA", "PortChannel1", "eth1/2", "eth1/10", "eth2/1",
	}
	for i, a := range sorted {
		for j, b := range sorted {
			got := compareNatural(a, b)
			if want := i - j; got < 0 != (want < 0) || got > 0 != (want > 0) {
				t.Errorf("compare %q with %q: %d, want the sign of %d", a, b, got, want)
			}
		}
	}
}

// FuzzCompareNatural checks that compareNatural is a total order: antisymmetric, transitive, and 0
// for equal strings only.
func FuzzCompareNatural(f *testing.F) {
	f.Add("a01", "a1", "a001b")
	f.Add("1a", "01", "1")
	f.Add("9", ":", "/")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, bc, ac := compareNatural(a, b), compareNatural(b, c), compareNatural(a, c)
		if ab != -compareNatural(b, a) {
			t.Errorf("%q and %q: not antisymmetric", a, b)
		}
		if (ab == 0) != (a == b) {
			t.Errorf("%q and %q compare as %d", a, b, ab)
		}
		if ab <= 0 && bc <= 0 && ac > 0 {
			t.Errorf("%q <= %q <= %q, but the first is greater than the last", a, b, c)
		}
	})
}

// ports returns the label values of port in the text of set.
func ports(set *Set) []string {
	var names []string
	for line := range strings.Lines(string(set.AppendText(nil))) {
		if _, rest, ok := strings.Cut(line, `{port="`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			names = append(names, name)
		}
	}
	return names
}

// TestGroupRows checks adding, removing and adding a row again.
func TestGroupRows(t *testing.T) {
	set := NewSet()
	g := set.NewGroup("port")
	c := g.NewCounter("x_total", "help")
	if got := ports(set); got != nil {
		t.Errorf("ports before the first Add: %v", got)
	}
	a := g.Add("a")
	c.In(a).Inc()
	if again := g.Add("a"); again != a {
		t.Error("Add of an existing name returned another row")
	}
	a.Remove()
	a.Remove() // does nothing
	if got := ports(set); got != nil {
		t.Errorf("ports after Remove: %v", got)
	}
	b := g.Add("a")
	if got := c.In(b).Load(); got != 0 {
		t.Errorf("counter of the row added again is %d, want 0", got)
	}
	a.Remove() // no effect: the name belongs to another row now
	c.In(a).Inc()
	if got := ports(set); !slices.Equal(got, []string{"a"}) {
		t.Errorf("ports: %v, want [a]", got)
	}
	if got := c.In(b).Load(); got != 0 {
		t.Errorf("updating the removed row changed the counter of the new row to %d", got)
	}
}

// TestGroupKeepsOrder checks that rows stay in natural order over random additions and removals.
func TestGroupKeepsOrder(t *testing.T) {
	set := NewSet()
	g := set.NewGroup("port")
	g.NewCounter("x_total", "help")
	rows := map[string]*Row{}
	for range 2000 {
		name := fmt.Sprintf("Ethernet%d", rand.IntN(300))
		if r := rows[name]; r != nil {
			r.Remove()
			delete(rows, name)
		} else {
			rows[name] = g.Add(name)
		}
	}
	var want []string
	for name := range rows {
		want = append(want, name)
	}
	slices.SortFunc(want, func(a, b string) int { // numbers without leading zeros
		return cmp.Or(len(a)-len(b), strings.Compare(a, b))
	})
	if got := ports(set); !slices.Equal(got, want) {
		t.Errorf("ports:\n%v, want\n%v", got, want)
	}
}

// TestGroupConcurrency adds, removes and updates rows during scrapes, and checks that each scrape
// has complete lines in order, including the row that is never removed.
func TestGroupConcurrency(t *testing.T) {
	set := NewSet()
	g := set.NewGroup("port")
	c := g.NewCounter("x_total", "help")
	permanent := g.Add("Ethernet50")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				r := g.Add(fmt.Sprintf("Ethernet%d", 100*w+i%7))
				c.In(r).Inc()
				c.In(permanent).Inc()
				r.Remove()
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		got := ports(set)
		if !slices.IsSortedFunc(got, compareNatural) || !slices.Contains(got, "Ethernet50") {
			t.Fatalf("ports: %v", got)
		}
	}
	if got := c.In(permanent).Load(); got != 1200 {
		t.Errorf("counter %d, want 1200", got)
	}
	if got := ports(set); !slices.Equal(got, []string{"Ethernet50"}) {
		t.Errorf("ports at the end: %v", got)
	}
}

// TestGroupMemory adds 512 rows in their order, as at a start. A row must keep little more than its 30
// values, and Add must allocate little more memory than the rows keep.
func TestGroupMemory(t *testing.T) {
	g := NewSet().NewGroup("port")
	for n := range 30 {
		g.NewCounter(fmt.Sprintf("portsyncd_port_number_%d_total", n), "A number.")
	}
	names := make([]string, 512)
	for i := range names {
		names[i] = fmt.Sprintf("Ethernet%d", 4*i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, name := range names {
		g.Add(name)
	}
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept := after.HeapAlloc - before.HeapAlloc
	t.Logf("%d rows: %d KiB allocated, %d KiB kept", len(names), allocated>>10, kept>>10)
	if most := uint64(len(names) * (30*8 + 256)); kept > most {
		t.Errorf("%d KiB kept, want at most %d", kept>>10, most>>10)
	}
	if most := kept + uint64(len(names)*160); allocated > most {
		t.Errorf("%d KiB allocated, want at most %d", allocated>>10, most>>10)
	}
	runtime.KeepAlive(g)
}
