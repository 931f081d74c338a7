package metrics

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// TestJSONNumbers checks the JSON of integers, floats, NaN and infinities.
func TestJSONNumbers(t *testing.T) {
	set := NewSet()
	set.NewCounter("a_total", "help").Set(math.MaxUint64)
	set.NewGauge("b", "help").Set(math.NaN())
	set.NewGauge("c", "help").Set(math.Inf(1))
	set.NewGauge("d", "help").Set(math.Inf(-1))
	set.NewGauge("e", "help").Set(-1.5e-7)
	set.NewIntGauge("f", "help").Set(-3)
	h := set.NewHistogram("g", "help", []float64{1})
	h.Observe(math.Inf(1))
	text := string(set.AppendJSON(nil))
	if !json.Valid([]byte(text)) {
		t.Fatalf("not JSON: %s", text)
	}
	for _, want := range []string{
		`"value":18446744073709551615}`, `"value":"NaN"}`, `"value":"+Inf"}`, `"value":"-Inf"}`,
		`"value":-1.5e-07}`, `"value":-3}`, `"sum":"+Inf","count":1}`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

// TestJSONOfEmptySets checks the JSON of a set without families and of a family without series.
func TestJSONOfEmptySets(t *testing.T) {
	set := NewSet()
	if got, want := string(set.AppendJSON(nil)), `{"schema":1,"families":[]}`+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	set.NewGroup("port").NewCounter("x_total", "help")
	want := `{"schema":1,"families":[{"name":"x_total","type":"counter","help":"help","samples":[]}]}` + "\n"
	if got := string(set.AppendJSON(nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(set.AppendText(nil)); got != "" {
		t.Errorf("text of a family without series is %q, want none", got)
	}
}

// TestJSONOfStandardFamilies checks the JSON of the standard families, which include a summary.
func TestJSONOfStandardFamilies(t *testing.T) {
	set := NewSet()
	set.AddGo()
	set.AddBuildInfo(`1.0 "quoted"`, "")
	text := set.AppendJSON([]byte("\n"))
	if !json.Valid(text) {
		t.Errorf("not JSON: %s", text)
	}
}
