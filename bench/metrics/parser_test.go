package metrics

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	ours "portsyncd/metrics"
)

// parse reads text with the parser of prometheus/common.
func parse(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("prometheus/common refuses our text: %v\n%s", err, text)
	}
	return families
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// TestParserReadsLabels checks that prometheus/common reads labels and help as they were set.
func TestParserReadsLabels(t *testing.T) {
	names := []string{
		"Ethernet0", `back\slash`, `qu"ote`, "new\nline", `\n`, `\\"`, "Größe", "日本",
		"a,b", "a}b", "{a=\"b\"}", "#", " ", "tab\there", "\r", "\x00", "trailing\\",
	}
	spelled := map[string]string{"tab\there": `tab\x09here`, "\r": `\x0d`, "\x00": `\x00`} // so that they cannot control a terminal
	set := ours.NewSet()
	group := set.NewGroup("port")
	column := group.NewCounter("x_total", `help with \ and "quotes"`+"\nand a second line")
	for i, name := range names {
		column.In(group.Add(name)).Set(uint64(i))
	}
	family := parse(t, set.AppendText(nil))["x_total"]
	if want := `help with \ and "quotes"` + "\nand a second line"; family.GetHelp() != want {
		t.Errorf("help is %q, want %q", family.GetHelp(), want)
	}
	got := map[string]float64{}
	for _, m := range family.GetMetric() {
		got[labelOf(m, "port")] = m.GetCounter().GetValue()
	}
	for i, name := range names {
		if other, ok := spelled[name]; ok {
			name = other
		}
		if v, ok := got[name]; !ok || v != float64(i) {
			t.Errorf("port %q has value %v (present: %v), want %d", name, v, ok, i)
		}
	}
	if len(got) != len(names) {
		t.Errorf("got %d ports, want %d", len(got), len(names))
	}
}

// TestParserReadsInvalidUTF8 checks that names that are not UTF-8 become valid labels.
func TestParserReadsInvalidUTF8(t *testing.T) {
	set := ours.NewSet()
	group := set.NewGroup("port")
	column := group.NewIntGauge("x", "help")
	for i, name := range []string{"a\xff", "a\xfe", "a\xc3\x28", "\xf0\x9f"} {
		column.In(group.Add(name)).Set(int64(i))
	}
	seen := map[string]bool{}
	for _, m := range parse(t, set.AppendText(nil))["x"].GetMetric() {
		seen[labelOf(m, "port")] = true
	}
	for _, want := range []string{`a\xff`, `a\xfe`, `a\xc3(`, `\xf0\x9f`} {
		if !seen[want] {
			t.Errorf("no port %q among %v", want, seen)
		}
	}
}

// TestParserReadsNumbers checks that prometheus/common reads values as they were set.
func TestParserReadsNumbers(t *testing.T) {
	values := []float64{
		0, 1, -1, 0.1, 1e15, 1e15 - 1, 1e15 + 2, -1e15, 1e21, 1e-9, 123456789.5, 1700000000.123,
		math.Pi, math.MaxFloat64, math.SmallestNonzeroFloat64, math.MaxInt64,
		math.NaN(), math.Inf(1), math.Inf(-1),
	}
	set := ours.NewSet()
	for i, v := range values {
		set.NewGauge("x", "help", ours.Label{Name: "i", Value: fmt.Sprint(i)}).Set(v)
	}
	metrics := parse(t, set.AppendText(nil))["x"].GetMetric()
	if len(metrics) != len(values) {
		t.Fatalf("got %d values, want %d", len(metrics), len(values))
	}
	for i, m := range metrics {
		got, want := m.GetGauge().GetValue(), values[i]
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("value %v is read as %v", want, got)
		}
	}
}

// TestIntegersAreExact checks that the text has every digit of an integer, for readers that do not
// round to float64 as Prometheus does.
func TestIntegersAreExact(t *testing.T) {
	set := ours.NewSet()
	set.NewCounter("x_total", "help").Set(1<<53 + 1)
	set.NewCounter("y_total", "help").Set(math.MaxUint64)
	set.NewIntGauge("z", "help").Set(math.MinInt64)
	text := set.AppendText(nil)
	for _, line := range []string{
		"x_total 9007199254740993\n", "y_total 18446744073709551615\n", "z -9223372036854775808\n",
	} {
		if !strings.Contains(string(text), "\n"+line) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	families := parse(t, text)
	if got := families["x_total"].GetMetric()[0].GetCounter().GetValue(); got != 1<<53 {
		t.Errorf("x_total is read as %v, want the float64 next to 2^53+1", got)
	}
	if got := families["z"].GetMetric()[0].GetGauge().GetValue(); got != math.MinInt64 {
		t.Errorf("z is read as %v", got)
	}
}

// TestParserReadsHistogram checks that prometheus/common reads a histogram as it was observed.
func TestParserReadsHistogram(t *testing.T) {
	set := ours.NewSet()
	h := set.NewHistogram("x_seconds", "help", latencyBounds, ours.Label{Name: "reason", Value: `a"b`})
	observed := []float64{-1, 0, 50e-6, 51e-6, 0.3, 1, 1.5, 1e9}
	sum := 0.0
	for _, v := range observed {
		h.Observe(v)
		sum += v
	}
	got := parse(t, set.AppendText(nil))["x_seconds"].GetMetric()[0].GetHistogram()
	if got.GetSampleCount() != uint64(len(observed)) || got.GetSampleSum() != sum {
		t.Errorf("count %d and sum %v, want %d and %v", got.GetSampleCount(), got.GetSampleSum(), len(observed), sum)
	}
	if len(got.GetBucket()) != len(latencyBounds)+1 {
		t.Fatalf("%d buckets, want %d", len(got.GetBucket()), len(latencyBounds)+1)
	}
	for i, b := range got.GetBucket() {
		bound := math.Inf(1)
		if i < len(latencyBounds) {
			bound = latencyBounds[i]
		}
		want := uint64(0)
		for _, v := range observed {
			if v <= bound {
				want++
			}
		}
		if b.GetUpperBound() != bound || b.GetCumulativeCount() != want {
			t.Errorf("bucket %d: le=%v count %d, want le=%v count %d",
				i, b.GetUpperBound(), b.GetCumulativeCount(), bound, want)
		}
	}
}

// wholeSet returns a set with everything that the package itself can expose.
func wholeSet(t *testing.T) *ours.Set {
	t.Helper()
	set := ourPorts(3, allFamilies)
	set.AddGo()
	set.AddBuildInfo("1.0", "abc")
	if err := set.AddProcess(); err != nil {
		t.Fatal(err)
	}
	cfg := ours.ServerConfig{Profiling: true}
	src := ours.Sources{Set: set, Ports: func(b []byte) []byte { return b }}
	if _, err := ours.NewServer(cfg, src, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return set
}

// TestLinterIsSilent checks that promlint finds no problem.
func TestLinterIsSilent(t *testing.T) {
	problems, err := promlint.New(bytes.NewReader(wholeSet(t).AppendText(nil))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestParserWritesTheSame reads the text and writes it again with prometheus/common. Both texts
// must be equal except for the order of families and labels and for the spelling of large numbers.
func TestParserWritesTheSame(t *testing.T) {
	text := wholeSet(t).AppendText(nil)
	families := parse(t, text)
	var again bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&again, f); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]int{}
	for line := range strings.Lines(again.String()) {
		want[canonical(line)]++
	}
	for line := range strings.Lines(string(text)) {
		if want[canonical(line)]--; want[canonical(line)] < 0 {
			t.Errorf("line of ours only: %s", line)
		}
		if want[canonical(line)] == 0 {
			delete(want, canonical(line))
		}
	}
	for line := range want {
		t.Errorf("line of prometheus/common only: %s", line)
	}
}

// canonical returns a sample with its value in one spelling.
func canonical(line string) string {
	i := strings.LastIndexByte(line, ' ')
	var v float64
	if _, err := fmt.Sscan(line[i+1:], &v); err != nil || line[0] == '#' {
		return line
	}
	return line[:i+1] + fmt.Sprint(v)
}
