package metrics

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestBadRegistrationPanics checks the panic of each invalid registration.
func TestBadRegistrationPanics(t *testing.T) {
	tests := []struct {
		name string
		add  func(s *Set)
		want string
	}{
		{"empty name", func(s *Set) { s.NewCounter("", "help") }, "invalid metric name"},
		{"dash", func(s *Set) { s.NewCounter("a-b", "help") }, "invalid metric name"},
		{"colon", func(s *Set) { s.NewCounter("a:b", "help") }, "invalid metric name"},
		{"digit first", func(s *Set) { s.NewCounter("1a", "help") }, "invalid metric name"},
		{"not ASCII", func(s *Set) { s.NewCounter("größe", "help") }, "invalid metric name"},
		{"no help", func(s *Set) { s.NewCounter("a", "") }, "no help"},
		{"twice", func(s *Set) { s.NewCounter("a", "h"); s.NewCounter("a", "h") }, "is already registered"},
		{"same labels twice", func(s *Set) {
			s.NewCounter("a", "h", Label{"x", "1"})
			s.NewCounter("a", "h", Label{"x", "1"})
		}, "is already registered"},
		{"labels that look the same", func(s *Set) {
			s.NewCounter("a", "h", Label{"x", "\xff"})
			s.NewCounter("a", "h", Label{"x", `\xff`})
		}, "is already registered"},
		{"other type", func(s *Set) { s.NewCounter("a", "h", Label{"x", "1"}); s.NewGauge("a", "h", Label{"x", "2"}) }, "already registered with another"},
		{"other help", func(s *Set) { s.NewCounter("a", "h", Label{"x", "1"}); s.NewCounter("a", "g", Label{"x", "2"}) }, "already registered with another"},
		{"other labels", func(s *Set) { s.NewCounter("a", "h", Label{"x", "1"}); s.NewCounter("a", "h") }, "already registered with another"},
		{"sum of a histogram", func(s *Set) { s.NewHistogram("a", "h", []float64{1}); s.NewCounter("a_sum", "h") }, "already belongs to a"},
		{"histogram over a count", func(s *Set) { s.NewCounter("a_count", "h"); s.NewHistogram("a", "h", []float64{1}) }, "already belongs to a_count"},
		{"label le", func(s *Set) { s.NewCounter("a", "h", Label{"le", "1"}) }, "invalid label name"},
		{"label quantile", func(s *Set) { s.NewGroup("quantile") }, "invalid label name"},
		{"reserved label", func(s *Set) { s.NewCounter("a", "h", Label{"__name__", "1"}) }, "invalid label name"},
		{"label twice", func(s *Set) { s.NewCounter("a", "h", Label{"x", "1"}, Label{"x", "2"}) }, "duplicate label"},
		{"no bounds", func(s *Set) { s.NewHistogram("a", "h", nil) }, "has no bounds"},
		{"bounds descend", func(s *Set) { s.NewHistogram("a", "h", []float64{2, 1}) }, "ascending"},
		{"bound twice", func(s *Set) { s.NewHistogram("a", "h", []float64{1, 1}) }, "ascending"},
		{"infinite bound", func(s *Set) { s.NewHistogram("a", "h", []float64{1, 1 / zero}) }, "finite"},
		{"unknown value", func(s *Set) { s.NewCounterVec("a", "h", "x", "1").With("2") }, `no series for "2"`},
		{"late column", func(s *Set) { g := s.NewGroup("x"); g.NewGauge("a", "h"); g.Add("1"); g.NewGauge("b", "h") }, "with rows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, tt.want) {
					t.Errorf("panic %q, want one with %q", got, tt.want)
				}
			}()
			tt.add(NewSet())
		})
	}
}

var zero float64

// TestVecWith checks that With and At return the same series, and that With panics on an unknown
// value.
func TestVecWith(t *testing.T) {
	set := NewSet()
	v := set.NewCounterVec("a", "h", "x", "p", "q")
	if v.With("q") != v.At(1) || v.With("p") == v.With("q") {
		t.Error("With and At return different series")
	}
	set.NewGaugeVec("b", "h", "x", "p").At(0).SetBool(true)
	set.NewIntGaugeVec("c", "h", "x", "p").At(0).SetBool(true)
	text := string(set.AppendText(nil))
	for _, want := range []string{"\nb{x=\"p\"} 1\n", "\nc{x=\"p\"} 1\n", "\na{x=\"q\"} 0\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
}

// TestRegisterWhileScraping checks that families can be registered during scrapes.
func TestRegisterWhileScraping(t *testing.T) {
	set := NewSet()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			set.NewCounter(fmt.Sprintf("a%d_total", i), "help")
			set.NewCounter("b_total", "help", Label{"i", fmt.Sprint(i)})
		}
	})
	var text []byte
	for range 100 {
		text = set.AppendText(text[:0])
		if n := strings.Count(string(text), "# TYPE b_total counter\n"); n > 1 {
			t.Fatalf("TYPE of b_total written %d times", n)
		}
	}
	wg.Wait()
	text = set.AppendText(text[:0])
	if n := strings.Count(string(text), "\nb_total{"); n != 200 {
		t.Errorf("%d series of b_total, want 200", n)
	}
}

// fullSet returns the metrics of a switch with the given number of ports: seven series for each
// port, a histogram, and the standard families.
func fullSet(tb testing.TB, ports int) (set *Set, oper IntGaugeColumn, rows []*Row) {
	tb.Helper()
	set = NewSet()
	set.AddGo()
	if err := set.AddProcess(); err != nil {
		tb.Fatal(err)
	}
	set.NewHistogram("test_latency_seconds", "help", []float64{50e-6, 1e-3, 0.1, 10}).Observe(0.02)
	g := set.NewGroup("port")
	oper = g.NewIntGauge("test_port_oper_up", "help")
	g.NewIntGauge("test_port_admin_up", "help")
	g.NewIntGauge("test_port_mtu_bytes", "help")
	ups := g.NewCounter("test_port_carrier_up_changes_total", "help")
	g.NewCounter("test_port_carrier_down_changes_total", "help")
	changed := g.NewGauge("test_port_last_change_timestamp_seconds", "help")
	g.NewCounter("test_port_writes_total", "help")
	for i := range ports {
		r := g.Add(fmt.Sprintf("Ethernet%d", 4*i))
		ups.In(r).Set(uint64(i))
		changed.In(r).Set(1.7e9 + float64(i)/8)
		rows = append(rows, r)
	}
	return set, oper, rows
}

// TestNoAllocations checks that updating a metric and rendering all of them do not allocate.
func TestNoAllocations(t *testing.T) {
	set, oper, rows := fullSet(t, 512)
	counter := set.NewCounter("test_x_total", "help")
	gauge := set.NewGauge("test_y", "help")
	histogram := set.NewHistogram("test_z_seconds", "help", []float64{1, 2, 3})
	text := set.AppendText(nil)
	if n := strings.Count(string(text), "\n"); n < 3500 {
		t.Fatalf("only %d lines in the scrape, want more than 3500", n)
	}
	jsonText := set.AppendJSON(nil)
	tests := []struct {
		name string
		f    func()
	}{
		{"Counter.Inc", counter.Inc},
		{"Counter.Add", func() { counter.Add(2) }},
		{"Gauge.Set", func() { gauge.Set(0.5) }},
		{"Gauge.Add", func() { gauge.Add(0.5) }},
		{"column in row", func() { oper.In(rows[7]).SetBool(true) }},
		{"Histogram.Observe", func() { histogram.Observe(2) }},
		{"AppendText", func() { text = set.AppendText(text[:0]) }},
		{"AppendJSON", func() { jsonText = set.AppendJSON(jsonText[:0]) }},
	}
	for _, tt := range tests {
		if n := testing.AllocsPerRun(50, tt.f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, n)
		}
	}
}

func BenchmarkAppendText(b *testing.B) {
	for _, ports := range []int{512, 10_000} {
		b.Run(fmt.Sprintf("%d_ports", ports), func(b *testing.B) {
			set, _, _ := fullSet(b, ports)
			text := set.AppendText(nil)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				text = set.AppendText(text[:0])
			}
		})
	}
}

// BenchmarkGroupAdd measures adding the rows of all ports, as at the start of a switch.
func BenchmarkGroupAdd(b *testing.B) {
	for _, ports := range []int{512, 10_000} {
		b.Run(fmt.Sprintf("%d_ports", ports), func(b *testing.B) {
			names := make([]string, ports)
			for i := range names {
				names[i] = fmt.Sprintf("Ethernet%d", 4*i)
			}
			b.ReportAllocs()
			for b.Loop() {
				g := NewSet().NewGroup("port")
				g.NewCounter("x_total", "help")
				for _, name := range names {
					g.Add(name)
				}
			}
		})
	}
}

// TestAppendTextOf checks that only the families with the prefix are appended.
func TestAppendTextOf(t *testing.T) {
	s := NewSet()
	s.NewCounter("a_x_total", "A.")
	s.NewHistogram("b_seconds", "B.", []float64{1})
	s.NewCounter("a_y_total", "A.").Add(2)
	const want = "# HELP a_x_total A.\n# TYPE a_x_total counter\na_x_total 0\n" +
		"# HELP a_y_total A.\n# TYPE a_y_total counter\na_y_total 2\n"
	if got := string(s.AppendTextOf([]byte("# begin\n"), "a_")); got != "# begin\n"+want {
		t.Errorf("got %q, want %q", got, want)
	}
}
