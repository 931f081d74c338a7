package metrics

import (
	"math"
	"testing"
)

// TestSamplesAreTheText checks that Samples yields the same names, labels and values as the lines
// of AppendText, in the same order.
func TestSamplesAreTheText(t *testing.T) {
	s := NewSet()
	s.NewCounter("a_total", "A.").Add(3)
	s.NewCounterFunc("b_total", "B.", func() uint64 { return 7 }, Label{"kind", "x\xff\"\n"})
	s.NewGauge("c_ratio", "C.").Set(math.Inf(-1))
	s.NewGaugeFunc("d_ratio", "D.", func() float64 { return 0.1 })
	s.NewIntGaugeVec("e_ports", "E.", "kind", "one", "two").With("two").Set(-2)
	h := s.NewHistogram("f_seconds", "F.", []float64{0.5, 1}, Label{"kind", "one"})
	for _, v := range []float64{0.1, 0.7, 2} {
		h.Observe(v)
	}
	g := s.NewGroup("port")
	up, mtu := g.NewIntGauge("port_up", "Up."), g.NewGauge("port_mtu_bytes", "MTU.")
	for _, name := range []string{"Ethernet8", "Ethernet0", "Ethernet\xfe"} {
		r := g.Add(name)
		up.In(r).Set(1)
		mtu.In(r).Set(9100)
	}
	p := new(pauseSummary)
	p.render("g_seconds")
	p.sum.Set(1.5)
	s.add("g_seconds", "G.", kindSummary, nil, p)

	var lines []byte
	n := 0
	for v := range s.Samples() {
		lines = appendSampleName(lines, v.Name, v.Labels)
		lines = append(appendFloat(lines, v.Value), '\n')
		n++
	}
	var text []byte
	for _, f := range *s.families.Load() {
		text = append(text, f.appendText(nil)[len(f.appendHeading(nil)):]...)
	}
	if string(lines) != string(text) {
		t.Errorf("samples:\n%s\ntext:\n%s", lines, text)
	}
	// The iteration stops when the loop ends.
	for limit := range n {
		got := 0
		for range s.Samples() {
			if got++; got > limit {
				break
			}
		}
		if got != limit+1 {
			t.Errorf("stopped after %d samples, got %d", limit+1, got)
		}
	}
}
