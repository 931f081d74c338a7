package warmrestart

import (
	"runtime"
	"strings"
	"testing"
)

// TestCheck checks the errors for invalid bodies of the state file and metrics.json.
func TestCheck(t *testing.T) {
	const histogram = `"sync_duration_seconds":{"bounds":[1],"counts":[0,1],"sum":2}`
	many := `{"ports":[` + strings.Repeat(`{"name":"x"},`, maxPorts) + `{"name":"x"}]}`
	for _, c := range []struct {
		name  string
		check func(int, []byte) error
		body  string
		want  string // in the error; "": there is none
	}{
		{"ports", checkPorts, `{"ports":[{"name":"Ethernet0","mtu":9100}]}`, ""},
		{"no ports", checkPorts, `{"ports":[]}`, ""},
		{"an unknown field", checkPorts, `{"ports":[{"name":"Ethernet0","color":"red"}]}`, ""},
		{"no object", checkPorts, `[]`, "cannot unmarshal"},
		{"a negative MTU", checkPorts, `{"ports":[{"name":"Ethernet0","mtu":-1}]}`, "mtu"},
		{"no name", checkPorts, `{"ports":[{"mtu":1}]}`, `invalid port name "": must have 1 to 15 bytes`},
		{"a long name", checkPorts, `{"ports":[{"name":"Ethernet12345678"}]}`, `"Ethernet12345678": must have 1 to 15 bytes`},
		{"names of any bytes", checkPorts, `{"ports":[{"name":"a\ufffd","name_hex":"61ff"},{"name":"a\ufffd","name_hex":"61fe"}]}`, ""},
		{"a long name of any bytes", checkPorts, `{"ports":[{"name":"` + strings.Repeat(`\ufffd`, 15) + `","name_hex":"` + strings.Repeat("ff", 15) + `"}]}`, ""},
		{"bytes of another name", checkPorts, `{"ports":[{"name":"a","name_hex":"62"}]}`, `hexadecimal digits "62" do not match the name "a"`},
		{"a name twice", checkPorts, `{"ports":[{"name":"a"},{"name":"a"}]}`, `"a" is listed twice`},
		{"too many", checkPorts, many, "more than 65536 elements"},

		{"metrics", checkMetrics, `{` + histogram + `}`, ""},
		{"a record", checkMetrics, `{` + histogram + `,"restarts":[{"kind":"warm"}]}`, ""},
		{"no histogram", checkMetrics, `{}`, "0 buckets for 0 bounds"},
		{"a bucket missing", checkMetrics, `{"sync_duration_seconds":{"bounds":[1],"counts":[0]}}`, "1 buckets for 1 bounds"},
		{"bounds in disorder", checkMetrics, `{"sync_duration_seconds":{"bounds":[2,1],"counts":[0,0,0]}}`, "bound 2 before 1"},
		{"a negative sum", checkMetrics, `{"sync_duration_seconds":{"counts":[0],"sum":-1}}`, "sum -1"},
		{"a negative count", checkMetrics, `{"sync_duration_seconds":{"counts":[-1]}}`, "cannot unmarshal"},
		{"a strange kind", checkMetrics, `{` + histogram + `,"restarts":[{"kind":"warm"},{"kind":"hot"}]}`, `restart 1: invalid kind "hot"`},
		{"a negative duration", checkMetrics, `{` + histogram + `,"restarts":[{"kind":"cold","duration_ns":-1}]}`, "restart 0: invalid duration -1ns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.check(1, []byte(c.body))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.80s: %v, want %q", c.body, err, c.want)
			}
		})
	}
}

// TestDecodeMetricsIsBounded checks that a body of 8 MiB with any content needs little more memory
// than its text.
func TestDecodeMetricsIsBounded(t *testing.T) {
	const size = 8 << 20
	const histogram = `"sync_duration_seconds":{"bounds":[],"counts":[0],"sum":0}`
	fill := func(before, unit, after string) []byte {
		n := (size - len(before) - len(after)) / (len(unit) + 1)
		return []byte(before + strings.Repeat(unit+",", n-1) + unit + after)
	}
	for name, c := range map[string]struct {
		text []byte
		want string // in the error
	}{
		"empty records":    {fill(`{`+histogram+`,"restarts":[`, `{}`, `]}`), "more than 10128 elements"},
		"records":          {fill(`{`+histogram+`,"restarts":[`, `{"kind":"warm"}`, `]}`), "more than 10128 elements"},
		"counts":           {fill(`{"sync_duration_seconds":{"bounds":[],"counts":[`, `0`, `],"sum":0}}`), "more than 10128 elements"},
		"bounds":           {fill(`{"sync_duration_seconds":{"bounds":[`, `0`, `],"counts":[],"sum":0}}`), "more than 10128 elements"},
		"a long reason":    {[]byte(`{` + histogram + `,"restarts":[{"kind":"warm","reason":"` + strings.Repeat("x", size-200) + `"}]}`), "longer than 4096 bytes"},
		"many keys alike":  {fill(`{`+histogram+`,`, `"restarts":[{"kind":"warm"}]`, `}`), "more than 10128 elements"},
		"unknown values":   {fill(`{`+histogram+`,"x":[`, `{}`, `]}`), "more than 10128 elements"},
		"too many bounds":  {[]byte(`{"sync_duration_seconds":{"bounds":[` + strings.Repeat("0,", maxBuckets-1) + `0],"counts":[],"sum":0}}`), "must be fewer than 64"},
		"too many records": {[]byte(`{` + histogram + `,"restarts":[` + strings.Repeat(`{"kind":"warm"},`, maxRestarts) + `{"kind":"warm"}]}`), "limit 10000"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodeMetrics(c.text)
		runtime.ReadMemStats(&after)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 10*size {
			t.Errorf("%s: %d MiB were allocated", name, used>>20)
		}
		if held := after.HeapAlloc; held > before.HeapAlloc+4*size {
			t.Errorf("%s: the heap grew from %d to %d MiB", name, before.HeapAlloc>>20, held>>20)
		}
	}
}
