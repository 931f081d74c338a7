package warmrestart

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fullSample returns a sample with a value in each field.
func fullSample() Sample {
	return Sample{
		Time: noon, Process: noon.Add(-time.Hour), Health: "degraded", Score: 70,
		Restarts: Counters{1, 2, 3, 4, 5, 6, 7, 8}, RestartsSum: math.MaxUint32, Events: math.MaxUint64, Writes: 1 << 63, Resyncs: 7, Repairs: 8, Exchanges: 1 << 62, Failed: 12,
		Configured: 9, Present: 10, Up: 11,
		Latency: &Latency{Count: 5000, Kept: 4096, P50: 1, P95: 2, P99: 3, Max: math.MaxInt64},
		Flaps:   []PortFlaps{{Port: "Ethernet0", Downs: 12, Penalty: 1234.5}, {Port: "Ethernet4", Downs: 1, Penalty: 1000}},
	}
}

// TestDecodeSample checks that samples are decoded, that other objects are distinguished
// from corrupt lines, and that samples that no daemon writes are refused.
func TestDecodeSample(t *testing.T) {
	full := fullSample()
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("field %s of the example is empty", v.Type().Field(i).Name)
		}
	}
	long := strings.Repeat("x", maxName+1)
	line := func(s Sample) string { return string(encode(s)) }
	for _, c := range []struct {
		name, line string
		want       *Sample
		ok         bool
	}{
		{"all fields", line(full), &full, true},
		{"time alone", `{"time":"2026-10-05T12:00:00Z"}`, &Sample{Time: noon}, true},
		{"other object", `{"other":1}`, nil, true},
		{"zero time", line(Sample{}), nil, true},
		{"torn", line(full)[:100], nil, false},
		{"empty", ``, nil, false},
		{"number", `7`, nil, false},
		{"wrong type", `{"time":"2026-10-05T12:00:00Z","score":"70"}`, nil, false},
		{"bad time", `{"time":"2026-10-05 12:00:00"}`, nil, false},
		{"long health", line(Sample{Time: noon, Health: long}), nil, false},
		{"long port", line(Sample{Time: noon, Flaps: []PortFlaps{{Port: long}}}), nil, false},
		{"long port_hex", line(Sample{Time: noon, Flaps: []PortFlaps{{Port: "x", PortHex: long}}}), nil, false},
		{"too many ports", line(Sample{Time: noon, Flaps: make([]PortFlaps, MaxFlaps+1)}), nil, false},
	} {
		if got, ok := decodeSample([]byte(c.line)); ok != c.ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}
