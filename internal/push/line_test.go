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

// TestLinesForget: a port that went away is in no later batch, and a great many
// of them do not stay in memory.
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
		t.Errorf("%d series are remembered, 2 are there", len(l.points))
	}
}

var awkward = []string{
	"", "Ethernet0", `\`, `\\`, `a\`, `\a`, `a\,b`, `a\\,b`, `a\ b`, `a\=`, `=`, `,`, ` `, "a\nb", "a\r", "a\x00b", "\t",
	"\xff\xfe", "\\\xff", "ßλ", "\\ß", "\u2028", "\\\u00a0", "\ufffd", "\\\ufffd", `"`, `\"`, `"a b"`, `#`, `\x5c`, `\xff`,
}

func TestEscaped(t *testing.T) {
	for _, text := range awkward {
		checkEscaped(t, text)
	}
}

func FuzzEscaped(f *testing.F) {
	for _, text := range awkward {
		f.Add(text)
	}
	f.Fuzz(checkEscaped)
}

// checkEscaped: whatever the text, it stays one word on one line, both servers
// read the same in it, and that is the text but for what is spelled \xNN.
func checkEscaped(t *testing.T, text string) {
	t.Helper()
	line := append([]byte("m,a="), appendEscaped(nil, text, tagSpecials)...)
	line = append(line, ",b=c d=1 1"...)
	if i := slices.IndexFunc(line, func(c byte) bool { return c < ' ' }); i >= 0 {
		t.Fatalf("%q: %q has a control character", text, line)
	}
	influx, victoria := firstTag(line, influxEscapes), firstTag(line, victoriaEscapes)
	if influx != victoria {
		t.Errorf("%q: InfluxDB reads %q, VictoriaMetrics %q in %s", text, influx, victoria, line)
	}
	if got, want := unspelled(influx), unspelled(text); got != want {
		t.Errorf("%q became %q", text, influx)
	}
}

// firstTag returns the value of the first tag as a server reads it whose rule
// about backslashes is given, or all of the line where the tag has no proper end.
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
	return "endless: " + string(line)
}

// influxEscapes is scanTagsValue and unescapeTag of InfluxDB's models/points.go:
// a backslash that stands before another one is nothing special.
func influxEscapes(next byte) bool { return next == ',' || next == '=' || next == ' ' }

// victoriaEscapes is unescapeTagValue of VictoriaMetrics'
// lib/protoparser/influx/parser.go.
func victoriaEscapes(next byte) bool { return influxEscapes(next) || next == '\\' }

var spelled = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// unspelled puts bytes back for \xNN, wherever that came from.
func unspelled(text string) string {
	return spelled.ReplaceAllStringFunc(text, func(s string) string {
		n, err := strconv.ParseUint(s[2:], 16, 8)
		if err != nil {
			panic(err)
		}
		return string([]byte{byte(n)})
	})
}
