package metrics

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestLargeNumbers checks that integers of more than 32 bits, and of more than the 53 bits of a
// float64, are exact in text and JSON.
func TestLargeNumbers(t *testing.T) {
	const large = math.MaxUint64 - 1
	set := NewSet()
	set.NewCounter("a_total", "help").Set(large)
	set.NewCounterFunc("b_total", "help", func() uint64 { return large - 1 })
	set.NewCounterVec("c_total", "help", "kind", "one").With("one").Set(large - 2)
	set.NewIntGauge("d", "help").Set(math.MinInt64)
	g := set.NewGroup("port")
	ups, level := g.NewCounter("e_total", "help"), g.NewIntGauge("f", "help")
	r := g.Add("Ethernet0")
	ups.In(r).Set(large - 3)
	level.In(r).Set(math.MaxInt64)
	h := set.NewHistogram("g_seconds", "help", []float64{1})
	if err := h.Restore([]uint64{1 << 40, 1 << 41}, 1<<62); err != nil {
		t.Fatal(err)
	}
	h.Observe(0)
	c := set.NewCounter("h_total", "help")
	c.Set(math.MaxUint32)
	c.Inc()
	c.Add(1 << 33)

	text, jsonText := string(set.AppendText(nil)), string(set.AppendJSON(nil))
	for line, value := range map[string]string{
		"a_total":                     fmt.Sprint(uint64(large)),
		"b_total":                     fmt.Sprint(uint64(large - 1)),
		`c_total{kind="one"}`:         fmt.Sprint(uint64(large - 2)),
		"d":                           fmt.Sprint(int64(math.MinInt64)),
		`e_total{port="Ethernet0"}`:   fmt.Sprint(uint64(large - 3)),
		`f{port="Ethernet0"}`:         fmt.Sprint(int64(math.MaxInt64)),
		`g_seconds_bucket{le="1"}`:    fmt.Sprint(uint64(1<<40 + 1)),
		`g_seconds_bucket{le="+Inf"}`: fmt.Sprint(uint64(1<<40 + 1<<41 + 1)),
		"g_seconds_count":             fmt.Sprint(uint64(1<<40 + 1<<41 + 1)),
		"g_seconds_sum":               "4.611686018427388e+18",
		"h_total":                     fmt.Sprint(uint64(1<<32 + 1<<33)),
	} {
		if !strings.Contains("\n"+text, "\n"+line+" "+value+"\n") {
			t.Errorf("no line %s %s in the text:\n%s", line, value, text)
		}
		if want := `"value":` + value + "}"; !strings.Contains(jsonText, want) && !strings.HasPrefix(line, "g_") {
			t.Errorf("no %s in the JSON:\n%s", want, jsonText)
		}
	}
	for _, want := range []string{
		fmt.Sprintf(`{"le":"1","count":%d},{"le":"+Inf","count":%d}]`, uint64(1<<40+1), uint64(1<<40+1<<41+1)),
		fmt.Sprintf(`"count":%d}]`, uint64(1<<40+1<<41+1)),
	} {
		if !strings.Contains(jsonText, want) {
			t.Errorf("no %s in the JSON:\n%s", want, jsonText)
		}
	}
}
