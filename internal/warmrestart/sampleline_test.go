package warmrestart

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fullSample has something in each field.
func fullSample() Sample {
	return Sample{
		Time: noon, Process: noon.Add(-time.Hour), Health: "degraded", Score: 70,
		Restarts: Counters{1, 2, 3, 4, 5, 6, 7, 8}, RestartsSum: math.MaxUint32, Events: math.MaxUint64, Writes: 1 << 63, Resyncs: 7, Repairs: 8, Exchanges: 1 << 62, Failed: 12,
		Configured: 9, Present: 10, Up: 11,
		Latency: &Latency{Count: 5000, Kept: 4096, P50: 1, P95: 2, P99: 3, Max: math.MaxInt64},
		Flaps:   []PortFlaps{{Port: "Ethernet0", Downs: 12, Penalty: 1234.5}, {Port: "Ethernet4", Downs: 1, Penalty: 1000}},
	}
}

// TestPlainLines: what a daemon writes is read without encoding/json, and as by it.
func TestPlainLines(t *testing.T) {
	full := fullSample()
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("field %s of the example is empty", v.Type().Field(i).Name)
		}
	}
	var r lineReader
	some := []Sample{full, {Time: noon}, {Time: noon, Latency: &Latency{}}, {Time: noon.Add(1), Flaps: make([]PortFlaps, MostFlaps)}}
	for _, s := range some {
		line := encode(s)
		if !r.plain(line) {
			t.Errorf("not read as plain: %s", line)
		}
		if got, ok := r.read(line); !ok || !reflect.DeepEqual(*got, s) {
			t.Errorf("%s: read %+v", line, got)
		}
	}
}

// TestUnusualLines: what is no plain line is read as encoding/json reads it.
func TestUnusualLines(t *testing.T) {
	plain := string(encode(fullSample()))
	replace := func(old, new string) string {
		if !strings.Contains(plain, old) {
			t.Fatalf("%s has no %s", plain, old)
		}
		return strings.Replace(plain, old, new, 1)
	}
	lines := []string{
		plain, " " + plain + " ", replace(`"health"`, ` "health"`), replace(`"health"`, `"HEALTH"`),
		replace(`"score":70`, `"score":-70`), replace(`"score":70`, `"score":070`), replace(`"score":70`, `"score":7e1`),
		replace(`"score":70`, `"score":"70"`), replace(`"score":70`, `"score":null`), replace(`"score":70`, `"score":70.0`),
		replace(`"score":70,`, ``), replace(`"score":70,`, `"score":1,"score":2,`), replace(`"events":`, `"events":9`),
		replace(`"p50_ns":1`, `"p50_ns":9223372036854775808`), replace(`"kept":4096`, `"kept":4294967296`),
		replace(`1234.5`, `1.2345e3`), replace(`1234.5`, `1234.`), replace(`1234.5`, `.5`), replace(`1234.5`, `01.5`),
		replace(`1234.5`, `1.2.3`), replace(`1234.5`, `-1`), replace(`1234.5`, `0.5`), replace(`1234.5`, strings.Repeat("9", 400)),
		replace(`Ethernet0`, "Ethernet\xff"), replace(`1234.5`, `1234.5,"port_hex":"45ff"`), replace(`Ethernet0`, "Ethernet\x01"), replace(`Ethernet0`, `\u003cscript\u003e`),
		replace(`Ethernet0`, ``), replace(`Ethernet0`, "€"), replace(`2026-10-05T12:00:00Z`, `2026-10-05T12:00:00+02:00`),
		replace(`2026-10-05T12:00:00Z`, `2026-10-05 12:00:00`), replace(`2026-10-05T12:00:00Z`, `0001-01-01T00:00:00Z`),
		replace(`[{"port"`, `[null,{"port"`), `{"time":"2026-10-05T12:00:00Z"}`, `{"other":1}`, `{}`, `null`, `7`, ``, `{`,
	}
	for i := range plain {
		lines = append(lines, plain[:i]) // torn
	}
	for _, line := range lines {
		checkLine(t, []byte(line))
	}
}

// checkLine compares with encoding/json.
func checkLine(t *testing.T, line []byte) {
	t.Helper()
	var want Sample
	err := json.Unmarshal(line, &want)
	var r lineReader
	if r.plain(line) && (err != nil || !reflect.DeepEqual(r.sample, want)) {
		t.Fatalf("%q is read as %+v, by encoding/json as %+v, %v", line, r.sample, want, err)
	}
	got, ok := r.read(line)
	switch {
	case err != nil || !want.bounded():
		if ok || got != nil {
			t.Fatalf("%q is read as %+v, %v; want an error", line, got, ok)
		}
	case want.Time.IsZero():
		if !ok || got != nil {
			t.Fatalf("%q is read as %+v, %v; want none", line, got, ok)
		}
	case !ok || !reflect.DeepEqual(*got, want):
		t.Fatalf("%q is read as %+v, %v; want %+v", line, got, ok, want)
	}
}

// TestLinesApart: nothing of one line is left in the next.
func TestLinesApart(t *testing.T) {
	var r lineReader
	full := fullSample()
	lines := [][]byte{encode(full), encode(Sample{Time: noon}), []byte(`{"time":"2026-10-05T12:00:00Z"}`), []byte(`{`)}
	for range 200 {
		line := lines[rand.IntN(len(lines))]
		var want Sample
		got, ok := r.read(line)
		if ok != (json.Unmarshal(line, &want) == nil) || ok && !reflect.DeepEqual(*got, want) {
			t.Fatalf("%s: %v, %+v", line, ok, got)
		}
	}
}

// TestLongNames: what no daemon writes is not kept.
func TestLongNames(t *testing.T) {
	var r lineReader
	long := strings.Repeat("x", longestName+1)
	for _, s := range []Sample{
		{Time: noon, Health: long}, {Time: noon, Flaps: []PortFlaps{{Port: long}}}, {Time: noon, Flaps: make([]PortFlaps, MostFlaps+1)},
	} {
		if got, ok := r.read(encode(s)); ok || got != nil {
			t.Errorf("%+v is read", *got)
		}
	}
	for i := range 2 * mostNames {
		s := Sample{Time: noon, Flaps: []PortFlaps{{Port: fmt.Sprint(i)}}}
		if got, ok := r.read(encode(s)); !ok || got.Flaps[0].Port != fmt.Sprint(i) {
			t.Fatalf("port %d is read as %+v", i, got)
		}
	}
	if len(r.names) > mostNames {
		t.Errorf("%d names are kept", len(r.names))
	}
}

func TestLineAllocates(t *testing.T) {
	var r lineReader
	line := encode(fullSample())
	r.read(line)
	if n := testing.AllocsPerRun(100, func() { r.read(line) }); n != 0 {
		t.Errorf("%v allocations for a line", n)
	}
}

func BenchmarkSampleLine(b *testing.B) {
	line := encode(fullSample())
	var r lineReader
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.read(line); !ok {
			b.Fatal("not read")
		}
	}
}
