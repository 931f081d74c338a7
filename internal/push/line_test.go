package push

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"portsyncd/metrics"
)

// TestLines checks the line protocol of each kind of metric.
func TestLines(t *testing.T) {
	set := metrics.NewSet()
	set.NewCounter("portsyncd_audits_total", "Audits.").Add(3)
	set.NewGauge("portsyncd_progress_timestamp_seconds", "Progress.").Set(1.79e9 + 0.125)
	set.NewCounterVec("portsyncd_events_total", "Events.", "event", "newlink", "dellink").At(0).Add(1 << 40)
	set.NewHistogram("portsyncd_latency_seconds", "Latency.", []float64{0.001}).Observe(0.5)
	set.NewGauge("portsyncd_nothing", "NaN.").Set(math.NaN())
	set.NewGauge("portsyncd_endless", "Inf.").Set(math.Inf(-1))
	set.NewGauge("plain", "No underscore.").Set(-1)
	ports := set.NewGroup("port")
	up, mtu := ports.NewIntGauge("portsyncd_port_up", "Up."), ports.NewIntGauge("portsyncd_port_mtu_bytes", "MTU.")
	for _, name := range []string{"Ethernet0", "Ethernet 4,\"=\\"} {
		r := ports.Add(name)
		up.In(r).Set(1)
		mtu.In(r).Set(9100)
	}
	var l lines
	got, values := l.appendBatch([]byte("# begin\n"), set.Samples(), "leaf 1", 1790000000123456789)
	want := `# begin
portsyncd,instance=leaf\ 1 audits_total=3,progress_timestamp_seconds=1.790000000125e+09,latency_seconds_sum=0.5,latency_seconds_count=1 1790000000123456789
portsyncd,event=newlink,instance=leaf\ 1 events_total=1.099511627776e+12 1790000000123456789
portsyncd,event=dellink,instance=leaf\ 1 events_total=0 1790000000123456789
portsyncd,instance=leaf\ 1,le=0.001 latency_seconds_bucket=0 1790000000123456789
portsyncd,instance=leaf\ 1,le=+Inf latency_seconds_bucket=1 1790000000123456789
plain,instance=leaf\ 1 value=-1 1790000000123456789
portsyncd,instance=leaf\ 1,port=Ethernet\ 4\,"\=\x5c port_up=1,port_mtu_bytes=9100 1790000000123456789
portsyncd,instance=leaf\ 1,port=Ethernet0 port_up=1,port_mtu_bytes=9100 1790000000123456789
`
	if string(got) != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if values != 13 {
		t.Errorf("%d values, want 13", values)
	}
}

// TestLinesForget checks that a removed port is not in later batches, and that the memory for
// removed ports is released.
func TestLinesForget(t *testing.T) {
	set := metrics.NewSet()
	set.NewCounter("portsyncd_audits_total", "Audits.")
	ports := set.NewGroup("port")
	ports.NewIntGauge("portsyncd_port_up", "Up.")
	var l lines
	for i := range 1000 {
		r := ports.Add(fmt.Sprintf("Ethernet%d", i))
		text, values := l.appendBatch(nil, set.Samples(), "leaf1", 1)
		if values != 2 || bytes.Count(text, []byte("\n")) != 2 || !bytes.Contains(text, fmt.Appendf(nil, "port=Ethernet%d ", i)) {
			t.Fatalf("round %d: %d values:\n%s", i, values, text)
		}
		r.Remove()
	}
	if len(l.points) > 10 {
		t.Errorf("%d series in memory, want about 2", len(l.points))
	}
}

var awkward = []string{
	"", "Ethernet0", `\`, `\\`, `a\`, `\a`, `a\,b`, `a\\,b`, `a\ b`, `a\=`, `=`, `,`, ` `, "a\nb", "a\r", "a\x00b", "\t",
	"\xff\xfe", "\\\xff", "ßλ", "\\ß", "\u2028", "\\\u00a0", "\ufffd", "\\\ufffd", `"`, `\"`, `"a b"`, `#`, `\x5c`, `\xff`,
}

// TestEscaped checks checkEscaped for special characters.
func TestEscaped(t *testing.T) {
	for _, text := range awkward {
		checkEscaped(t, text)
	}
}

// FuzzEscaped checks checkEscaped for any text.
func FuzzEscaped(f *testing.F) {
	for _, text := range awkward {
		f.Add(text)
	}
	f.Fuzz(checkEscaped)
}

// checkEscaped checks that escaped text is one value on one line, that both servers parse the same
// value, and that the value is the text except for \xNN escapes.
func checkEscaped(t *testing.T, text string) {
	t.Helper()
	line := append([]byte("m,a="), appendEscaped(nil, text, tagSpecials)...)
	line = append(line, ",b=c d=1 1"...)
	if i := slices.IndexFunc(line, func(c byte) bool { return c < ' ' }); i >= 0 {
		t.Fatalf("%q: %q has a control character", text, line)
	}
	influx, victoria := firstTag(line, influxEscapes), firstTag(line, victoriaEscapes)
	if influx != victoria {
		t.Errorf("%q: InfluxDB parses %q, VictoriaMetrics %q from %s", text, influx, victoria, line)
	}
	if got, want := unescapeHex(influx), unescapeHex(text); got != want {
		t.Errorf("%q is parsed as %q", text, influx)
	}
}

// firstTag returns the value of the first tag. escapes reports whether a backslash before a
// character is an escape for the server. If the tag does not end correctly, firstTag returns the
// line.
func firstTag(line []byte, escapes func(next byte) bool) string {
	var value []byte
	rest := line[len("m,a="):]
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\' && i+1 < len(rest) && escapes(rest[i+1]):
			i++
			value = append(value, rest[i])
		case c == ',' && string(rest[i:]) == ",b=c d=1 1":
			return string(value)
		case c == ',' || c == ' ' || c == '=':
			return "broken: " + string(line)
		default:
			value = append(value, c)
		}
	}
	return "unterminated: " + string(line)
}

// influxEscapes is the rule of scanTagsValue and unescapeTag in models/points.go of InfluxDB: a
// backslash before another one is literal.
func influxEscapes(next byte) bool { return next == ',' || next == '=' || next == ' ' }

// victoriaEscapes is the rule of unescapeTagValue in lib/protoparser/influx/parser.go of
// VictoriaMetrics.
func victoriaEscapes(next byte) bool { return influxEscapes(next) || next == '\\' }

var hexEscape = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// unescapeHex replaces \xNN by the byte.
func unescapeHex(text string) string {
	return hexEscape.ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.ParseUint(s[2:], 16, 8)
		if err != nil {
			panic(err)
		}
		return string([]byte{byte(n)})
	})
}
